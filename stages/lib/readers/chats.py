"""Chats of any shape: messages of role and content or from and value, content in parts, a chat as JSON text."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from stages.lib.core.text import is_blank
from stages.lib.readers.json_rows import parse_json
from stages.lib.readers.reasons import Reason
from stages.lib.readers.values import UNKNOWN, is_missing, to_label
from stages.lib.records.hashing import content_hash
from stages.lib.records.responses import IMPORTED

ParsedTurn = dict[str, str | None]  # user and reply (None: not known), finish

ROLE_KEYS = ("role", "from")
CONTENT_KEYS = ("content", "value")
MESSAGE_FIELDS = (*ROLE_KEYS, *CONTENT_KEYS, "finish_reason")  # of a message, the fields that are read
LIST_KEYS = ("messages", "conversation", "conversations")  # of an object that holds a chat
ROLES = {
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "model"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("tool", "function", "ipython", "observation", "environment", "tool_call", "tool_calls"), "tool"),
    **dict.fromkeys(("tool_response", "tool_result", "function_call", "function_response"), "tool"),
}
TEXT_PARTS = ("text", "input_text", "output_text")  # types of a part of a message whose text is all that it says


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat of turns: the text of a system message before them, and the turns. A reply that is missing is None."""

    system: str
    turns: list[ParsedTurn]


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """One message: its role as ours, its text or why it has none, and why it ended, if that is told."""

    role: str
    text: str | Reason
    finish: str


def parse_chat(value: object, names: Mapping[str, str] | None = None, *, needs_replies: bool = True) -> Chat | Reason:
    """Return the chat that a value of a column is, or why it is none.

    `names`: other keys of a message for `role` and `content`. Without `needs_replies`, a reply that is absent or no
    text is None.
    """
    messages = to_messages(value)
    if isinstance(messages, Reason):
        return messages
    parsed = [parse_message(message, names or {}) for message in messages]
    if wrong := next((message for message in parsed if isinstance(message, Reason)), None):
        return wrong
    known = [message for message in parsed if isinstance(message, ParsedMessage)]
    return pair_messages(known, needs_replies=needs_replies)


def to_messages(value: object) -> list[object] | Reason:
    """Return the messages that a value holds, without null ones at the end; or why there are none."""
    if isinstance(value, str) and not is_blank(value):
        value = parse_json(value)
        if isinstance(value, Reason):
            return Reason("chat_is_not_json") if value.name == "not_json" else value
    if isinstance(value, dict):
        value = next((value[key] for key in LIST_KEYS if key in value), None)
    if not isinstance(value, list):
        return Reason("no_messages")
    length = max((number for number, message in enumerate(value, 1) if not is_null(message)), default=0)
    return value[:length] or Reason("no_messages")


def is_null(message: object) -> bool:
    """Whether a message is null, or a record of nothing but nulls, as lists of one length are filled up with."""
    return message is None or (isinstance(message, dict) and all(value is None for value in message.values()))


def parse_message(message: object, names: Mapping[str, str]) -> ParsedMessage | Reason:
    """Return a message, or why it has no place in a chat of turns."""
    if is_null(message):
        return Reason("null_message")
    if not isinstance(message, dict):
        return Reason("message_is_no_record")
    role = to_role(first_value(message, (names.get("role", ROLE_KEYS[0]), *ROLE_KEYS)))
    if isinstance(role, Reason):
        return role
    text = to_content(first_value(message, (names.get("content", CONTENT_KEYS[0]), *CONTENT_KEYS)))
    return ParsedMessage(role, text, to_finish(message.get("finish_reason")))


def first_value(message: Mapping[object, object], keys: Collection[str]) -> object:
    """Return the value of the first of the keys that a message has one for."""
    return next((message[key] for key in keys if message.get(key) is not None), None)


def to_role(value: object) -> str | Reason:
    """Return user, assistant or system for a role of any public form, or why it is none of these."""
    role = ROLES.get(value.strip().lower(), "") if isinstance(value, str) else ""
    return Reason("tool_message") if role == "tool" else role or Reason("unknown_role")


def to_content(value: object) -> str | Reason:
    """Return the text of a message, its parts of text joined by line breaks; or why it has none."""
    if isinstance(value, list):
        return join_parts(value)
    if not isinstance(value, str):
        return Reason("null_content" if is_missing(value) else "content_is_no_text")
    try:
        value.encode()
    except UnicodeEncodeError:
        return Reason("content_is_no_text")  # half of a surrogate pair
    return value


def to_finish(value: object) -> str:
    """Return why a reply ended, in small letters as engines write it; IMPORTED if that is not told, or in no text."""
    finish = to_label(value)
    word = finish.lower() if isinstance(finish, str) and isinstance(to_content(finish), str) else ""
    return IMPORTED if word in UNKNOWN else word


def join_parts(parts: list[object]) -> str | Reason:
    """Join the parts of a message; return the reason if one is no text, such as a picture."""
    texts = list[str]()
    for part in parts:
        if is_null(part):
            continue
        if isinstance(part, dict) and ("text" not in part or (part.get("type") or "text") not in TEXT_PARTS):
            return Reason("content_has_other_parts")
        text = to_content(part.get("text") if isinstance(part, dict) else None if isinstance(part, list) else part)
        if isinstance(text, Reason):
            return text
        texts.append(text)
    return "\n".join(texts) if texts else Reason("null_content")


def pair_messages(messages: list[ParsedMessage], *, needs_replies: bool) -> Chat | Reason:
    """Pair each user message with the reply to it; a system message that shows nothing is none."""
    system = ""
    if messages[0].role == "system":
        text = messages[0].text
        if isinstance(text, Reason) and text.name != "null_content":
            return text
        system, messages = "" if isinstance(text, Reason) or is_blank(text) else text, messages[1:]
    turns = list[ParsedTurn]()
    for number, message in enumerate(messages):
        if problem := find_problem(message, number, needs_replies=needs_replies):
            return problem
        known = None if isinstance(message.text, Reason) else message.text
        if message.role == "user":
            turns.append({"user": known, "reply": None, "finish": IMPORTED})
        else:
            turns[-1] |= {"reply": known, "finish": message.finish}
    if not turns:
        return Reason("no_messages")
    return Reason("last_reply_missing") if needs_replies and turns[-1]["reply"] is None else Chat(system, turns)


def find_problem(message: ParsedMessage, number: int, *, needs_replies: bool) -> Reason | None:
    """Return why a message cannot be the one of this number, from 0, after the system's; None if it can."""
    if message.role == "system":
        return Reason("late_system_message")
    if message.role != ("user", "assistant")[number % 2]:
        return Reason("roles_do_not_alternate")
    has_problem = isinstance(message.text, Reason) and (needs_replies or message.role == "user")
    return message.text if has_problem and isinstance(message.text, Reason) else None


def hash_prompt(chat: Chat) -> str:
    """Name a conversation that has no name of its own by its system message and what its user says."""
    texts = [("system", chat.system)] if chat.system else []
    texts += [("user", turn["user"] or "") for turn in chat.turns]
    return content_hash([{"role": role, "content": text} for role, text in texts])


def parse_exchange(user: object, reply: object, *, needs_replies: bool = True) -> Chat | Reason:
    """Return the chat of one turn that two columns hold; see `parse_chat`."""
    texts = to_content(user), to_content(reply)
    messages = [ParsedMessage("user", texts[0], IMPORTED), ParsedMessage("assistant", texts[1], IMPORTED)]
    return pair_messages(messages, needs_replies=needs_replies)
