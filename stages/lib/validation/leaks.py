"""Whether a reply shows control tokens, chat templates or thoughts that the user did not write first."""

import re
from typing import Literal

from stages.lib.models.control_tokens import CONTROL_TOKEN, any_of
from stages.lib.models.thinking import TAGS, any_tag
from stages.lib.validation.check_input import AnsweredTurn

# The headers of public families that are plain text; those of control tokens are found as such.
TEMPLATE = re.compile(
    r"^### ?(?:Instruction|Response|Human|Assistant|User|Input|System) ?:|^(?:Human|User|USER|ASSISTANT): "
    r"|^<(?:human|user|bot|assistant)>: ?|^GPT4 (?:Correct )?User:|^\[Round \d+\]|^(?:问|用户)[:：]",  # noqa: RUF001
    re.M,
)
CODE = re.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1|\Z)|`[^`\n]+`", re.S | re.M)
REPLACEMENT_CHARACTER = "\ufffd"


def has_broken_characters(turn: AnsweredTurn) -> bool:
    """Whether a reply has U+FFFD, which stands for bytes that could not be decoded."""
    return REPLACEMENT_CHARACTER in turn.reply and REPLACEMENT_CHARACTER not in turn.user_text


def has_control_token(turn: AnsweredTurn) -> bool:
    """Whether a reply has a control token such as `<|im_end|>`, or another of those that its model has."""
    own = re.compile(any_of(list(turn.config.reply_format.control_tokens)))
    return leaks(CONTROL_TOKEN, turn.reply, turn) or leaks(own, turn.reply, turn)


def has_template(turn: AnsweredTurn) -> bool:
    """Whether a reply has a piece of a chat template, outside of code: the header of another turn."""
    text = without_code(turn.reply)
    return leaks(TEMPLATE, text, turn) or leaks(header_pattern(turn.config.reply_format.user_header), text, turn)


def header_pattern(header: str) -> re.Pattern[str]:
    """Return what finds the header of a user's turn; one that its template begins on a line must begin one."""
    text = header.strip()
    if not re.search(r"\w", text):
        return re.compile(r"[^\s\S]")
    return re.compile((r"^\s*" if header[0].isspace() and "\n" in header else r"(?<!\w)") + re.escape(text), re.M)


def without_code(text: str) -> str:
    """Return a text without its code blocks and code spans."""
    return CODE.sub(" ", text)


def leaks(pattern: re.Pattern[str], text: str, turn: AnsweredTurn) -> bool:
    """Whether a text matches a pattern with something that the user had not written before."""
    return any(found not in turn.user_text for found in {match.group() for match in pattern.finditer(text)})


def has_thoughts(turn: AnsweredTurn) -> bool:
    """Whether a reply holds the thoughts of a model that thinks aloud, and their end."""
    return find_thoughts(turn) == "closed"


def has_unclosed_thoughts(turn: AnsweredTurn) -> bool:
    """Whether a reply begins thoughts and never ends them."""
    return find_thoughts(turn) == "unclosed"


def find_thoughts(turn: AnsweredTurn) -> Literal["none", "closed", "unclosed"]:
    """Look for the tags of a model that thinks aloud, outside of code, which the user did not write first.

    Does the last one close?
    """
    tags = {**TAGS, **dict(turn.config.thinking_tags)}
    ends = any_tag(tags.values())
    found = re.finditer(f"(?P<end>{ends})|{any_tag(tags)}", without_code(turn.reply), re.I)
    leaked = [match for match in found if match.group() not in turn.user_text]
    if not leaked:
        return "none"
    return "closed" if leaked[-1]["end"] else "unclosed"
