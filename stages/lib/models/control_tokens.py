"""Control strings: in a template's text they are commands to a model, in a message they are what somebody wrote."""

import json
import re
from typing import Any

from stages.lib.records.chats import Message

MARKS = range(0x10FFFD, 0xFFFFF, -1)  # private characters, which have no meaning of their own
FIRST_CODE = 0xF0000  # others, one for each control string
IN_BRACKETS = re.compile(r"<.+>|\[.+\]", re.S)
THINKING = re.compile(r"[<\[]/?(?:think|thinking|reasoning)[>\]]", re.I)
HTML = re.compile(  # Gemma has tokens of their own for them, and a page in a prompt is no command
    r"</?(?:[abipqsu]|h[1-6]|[bh]r|em|strong|su[bp]|code|pre|blockquote|[uo]l|li|div|span|img"
    r"|table|caption|thead|tbody|tfoot|t[rhd])>"
)


class Controls:
    """Hides the control strings in messages from a template, and encodes what the template makes of the messages.

    Each control string has a code, of private characters that are in no message of the chat. In the messages strings
    are swapped for codes; in the rendered text codes for strings and strings for codes, so that now the template's are
    the codes. A twin of the tokenizer that knows the codes, and not the strings, encodes all of it in one call.
    """

    def __init__(self, tokenizer: Any) -> None:  # noqa: ANN401  (transformers is imported only where it runs)
        self._tokenizer = tokenizer
        self._strings = control_strings(tokenizer)
        self._any = re.compile("|".join(map(re.escape, self._strings)) or r"(?!)")
        template = str(tokenizer.chat_template)
        self._left_in_replies = {text for text in self._strings if THINKING.fullmatch(text) and text in template}
        self._twin: tuple[str, Any] = "", None

    def hide(self, messages: list[Message], mark: str) -> list[Message]:
        """The messages with codes for control strings; equal to what was given if there are none.

        A system prompt is the catalogue's, not a user's, and stays. So does thinking in an earlier reply if the
        template speaks of its tags: it is there to take it away.
        """
        if not any(self._any.search(message["content"]) for message in messages):
            return messages
        codes = self._codes(mark)
        in_replies = {text: code for text, code in codes.items() if text not in self._left_in_replies}
        of_role: dict[str, dict[str, str]] = {"system": {}, "user": codes, "assistant": in_replies}
        return [self._swapped(message, of_role[message["role"]]) for message in messages]

    def encode(self, rendered: str, mark: str) -> list[int]:
        """The token ids of what the template made of hidden messages."""
        codes = self._codes(mark)
        swap = {**codes, **{code: text for text, code in codes.items()}}
        text = re.sub(f"{mark}.|{self._any.pattern}", lambda found: swap[found[0]], rendered, flags=re.S)
        ids: list[int] = self._knows(mark).encode(text, add_special_tokens=False).ids
        return ids

    def _codes(self, mark: str) -> dict[str, str]:
        """The code of each control string."""
        return {text: mark + chr(FIRST_CODE + number) for number, text in enumerate(self._strings)}

    def _swapped(self, message: Message, codes: dict[str, str]) -> Message:
        """A message with codes for the control strings that have one."""
        content = self._any.sub(lambda found: codes.get(found[0], found[0]), message["content"])
        return Message(role=message["role"], content=content)

    def _knows(self, mark: str) -> Any:  # noqa: ANN401
        """The twin for a mark: made when it is first needed, which takes seconds for a large vocabulary."""
        if self._twin[0] != mark:
            self._twin = mark, twin(self._tokenizer, self._codes(mark))
        return self._twin[1]


def unused_mark(messages: list[Message]) -> str:
    """A private character that is in no message, nearly always the same one."""
    return next(mark for mark in map(chr, MARKS) if not any(mark in message["content"] for message in messages))


def control_strings(tokenizer: Any) -> list[str]:  # noqa: ANN401
    """A tokenizer's special tokens and the added ones that look like a command (`<think>`), longest first."""
    added = tokenizer.added_tokens_decoder.values()
    found = {token.content for token in added if token.special or is_command(token.content)}
    return sorted(filter(None, found | set(tokenizer.all_special_tokens)), key=lambda text: (-len(text), text))


def is_command(text: str) -> bool:
    """Whether an added token that its tokenizer does not call special is a command by its looks."""
    return bool(IN_BRACKETS.fullmatch(text)) and not HTML.fullmatch(text)


def twin(tokenizer: Any, codes: dict[str, str]) -> Any:  # noqa: ANN401
    """The same tokenizer with codes for the names of its control tokens: to it, the names are text like any other."""
    from tokenizers import Tokenizer

    if not getattr(tokenizer, "backend_tokenizer", None):
        raise ValueError("a message holds a control string, which only a tokenizer.json can take as text")
    spec = json.loads(tokenizer.backend_tokenizer.to_str())
    for token in spec["added_tokens"]:
        token["content"] = codes.get(token["content"], token["content"])
    spec["model"] = renamed(spec["model"], codes)
    return Tokenizer.from_str(json.dumps({**spec, "truncation": None, "padding": None, "post_processor": None}))


def renamed(model: dict[str, Any], codes: dict[str, str]) -> dict[str, Any]:
    """The vocabulary with codes for names, and without a way to put a name together from its parts."""
    new: dict[str, Any] = dict(model)
    if isinstance(model["vocab"], dict):
        new["vocab"] = {codes.get(text, text): number for text, number in model["vocab"].items()}
    else:
        new["vocab"] = [[codes.get(text, text), score] for text, score in model["vocab"]]
    if "merges" in model:
        new["merges"] = [pair for pair in model["merges"] if not codes.keys() & {*pair, "".join(pair)}]
    if model.get("unk_token"):
        new["unk_token"] = codes.get(model["unk_token"], model["unk_token"])
    return new
