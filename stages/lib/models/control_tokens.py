"""Control strings: commands to a model in the template's text, ordinary text in the messages of a chat."""

import json
import re
from collections.abc import Iterable
from typing import Any

from stages.lib.models.thinking import THINKING_TOKEN
from stages.lib.records.chats import Message

MARKS = range(0x10FFFD, 0xFFFFF, -1)  # private-use characters, of which one begins every code
FIRST_CODE = 0xF0000  # private-use characters for the second part of a code, one for each control string
IN_BRACKETS = re.compile(r"<.+>|\[.+\]|◁.+▷", re.S)
# The control tokens of public families, in whatever text they are.
CONTROL_TOKEN = re.compile(
    r"<\|[\w:./▁-]{2,60}\|>|<｜[^<>｜]{2,40}｜>|<\|(?:turn|channel|think)>|<(?:turn|channel)\|>|\[\|[A-Za-z]{2,20}\|\]"  # noqa: RUF001
    r"|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<end_of_utterance>|\[/?(?:TOOL_CALLS|AVAILABLE_TOOLS|TOOL_RESULTS)\]"
    r"|<(?:SPECIAL_|extra_id_|reserved_|unused)\d+>|\[[gs]MASK\]|<[se]op>|\[e~\[|\]~!?b[\[\]]"
)
# Gemma has tokens for HTML tags, but a page in a prompt is not a command.
HTML = re.compile(
    r"</?(?:[abipqsu]|h[1-6]|[bh]r|em|strong|su[bp]|code|pre|blockquote|[uo]l|li|div|span|img"
    r"|table|caption|thead|tbody|tfoot|t[rhd])>"
)


class Controls:
    """Hides the control strings in messages from a template, and encodes the rendered chat.

    Each control string has a code of private-use characters that are in no message of the chat. In the messages,
    strings are replaced by codes. In the rendered text, codes are replaced by strings and strings by codes, so that now
    the template's commands are the codes. A copy of the tokenizer that knows the codes instead of the strings encodes
    the whole text in one call.
    """

    def __init__(self, tokenizer: Any, template: str | None) -> None:
        self._tokenizer = tokenizer
        self._strings = control_strings(tokenizer)
        self._any = re.compile(any_of(self._strings))
        mentioned = [text for text in self._strings if text in (template or "")]
        self._left_in_replies = set(filter(THINKING_TOKEN.fullmatch, mentioned))
        self._copy: tuple[str, Any] = "", None

    def hide(self, messages: list[Message], mark: str, system_prompt: str = "") -> list[Message]:
        """Return the messages with codes instead of control strings; the same messages if there are none.

        The catalogue's `system_prompt`, with which a system message begins, stays as it is. So does thinking in an
        earlier reply if the template mentions its tags: it removes them.
        """
        if not any(self._any.search(message["content"]) for message in messages):
            return messages
        codes = self._codes(mark)
        in_replies = {text: code for text, code in codes.items() if text not in self._left_in_replies}
        of_role = {"system": codes, "user": codes, "assistant": in_replies}
        kept = {"system": system_prompt}
        return [self._encoded(each, of_role[each["role"]], kept.get(each["role"], "")) for each in messages]

    def encode(self, rendered: str, mark: str) -> list[int]:
        """Return the token ids of a chat that was rendered from hidden messages with the same mark."""
        codes = self._codes(mark)
        swap = {**codes, **{code: text for text, code in codes.items()}}
        text = re.sub(f"{mark}.|{self._any.pattern}", lambda match: swap[match[0]], rendered, flags=re.S)
        ids: list[int] = self._tokenizer_for(mark).encode(text, add_special_tokens=False).ids
        return ids

    def _codes(self, mark: str) -> dict[str, str]:
        """Return the code of each control string."""
        return {text: mark + chr(FIRST_CODE + number) for number, text in enumerate(self._strings)}

    def _encoded(self, message: Message, codes: dict[str, str], kept: str) -> Message:
        """Return a message with codes instead of the control strings that have one; `kept` at its beginning stays."""
        start = len(kept) if message["content"].startswith(kept) else 0
        content = self._any.sub(lambda match: codes.get(match[0], match[0]), message["content"][start:])
        return Message(role=message["role"], content=message["content"][:start] + content)

    def _tokenizer_for(self, mark: str) -> Any:
        """Return the copy for a mark; making it takes seconds for a large vocabulary."""
        if self._copy[0] != mark:
            self._copy = mark, copy_with_codes(self._tokenizer, self._codes(mark))
        return self._copy[1]


def any_of(texts: Iterable[str]) -> str:
    """Return a regular expression for any of these texts; it matches nothing when there are none."""
    return "|".join(map(re.escape, texts)) or r"[^\s\S]"


def unused_mark(messages: list[Message]) -> str:
    """Return a private-use character that is in no message, nearly always the same one."""
    return next(mark for mark in map(chr, MARKS) if not any(mark in message["content"] for message in messages))


def control_strings(tokenizer: Any) -> list[str]:
    """Return a tokenizer's special tokens and the added ones that look like a command (`<think>`), longest first."""
    added = tokenizer.added_tokens_decoder.values()
    strings = {token.content for token in added if token.special or is_command(token.content)}
    return sorted(filter(None, strings | set(tokenizer.all_special_tokens)), key=lambda text: (-len(text), text))


def is_command(text: str) -> bool:
    """Return whether an added token that its tokenizer does not call special looks like a command."""
    return bool(IN_BRACKETS.fullmatch(text)) and not HTML.fullmatch(text)


def copy_with_codes(tokenizer: Any, codes: dict[str, str]) -> Any:
    """Copy a tokenizer with codes as the names of its control tokens: it encodes their old names as ordinary text.

    Raises ValueError for a tokenizer without tokenizer.json.
    """
    from tokenizers import Tokenizer

    if not getattr(tokenizer, "backend_tokenizer", None):
        raise ValueError("a message holds a control string, which only a tokenizer.json can take as text")
    spec = json.loads(tokenizer.backend_tokenizer.to_str())
    for token in spec["added_tokens"]:
        token["content"] = codes.get(token["content"], token["content"])
    spec["model"] = rename_tokens(spec["model"], codes)
    return Tokenizer.from_str(json.dumps({**spec, "truncation": None, "padding": None, "post_processor": None}))


def rename_tokens(model: dict[str, Any], codes: dict[str, str]) -> dict[str, Any]:
    """Return the vocabulary with codes instead of names, and without merges that lead to a name."""
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
