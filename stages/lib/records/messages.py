"""Check and pair the messages of chats that others made."""

from stages.lib.records.responses import IMPORTED

ParsedTurn = dict[str, str | None]  # user (None: not known), reply, finish


def parse_messages(messages: object) -> list[ParsedTurn] | str:
    """Pair user messages with the replies to them; or return the reason why this is not a chat."""
    if not isinstance(messages, list) or not messages:
        return "no_messages"
    turns: list[ParsedTurn] = []
    for number, message in enumerate(messages):
        is_user = number % 2 == 0
        if not isinstance(message, dict) or message.get("role") != ("user" if is_user else "assistant"):
            return "roles_do_not_alternate"
        content = message.get("content")
        if problem := invalid_reason(content):
            return problem
        if is_user:
            turns.append({"user": content})
        else:
            turns[-1] |= {"reply": content, "finish": str(message.get("finish_reason") or IMPORTED)}
    return turns if "reply" in turns[-1] else "last_reply_missing"


def invalid_reason(text: object) -> str:
    """Return the reason why a text cannot be stored; empty if it can."""
    if not isinstance(text, str):
        return "null_content" if text is None else "content_is_no_text"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "content_is_no_text"  # half of a surrogate pair
    return ""
