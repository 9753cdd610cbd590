"""Whether a reply shows control tokens, chat templates or thoughts that the user did not write first."""

import functools
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
    return any(
        find_leaks(pattern, turn) for pattern in (CONTROL_TOKEN, any_text(turn.config.reply_format.control_tokens))
    )


def has_template(turn: AnsweredTurn) -> bool:
    """Whether a reply has a piece of a chat template, outside of code: the header of another turn."""
    patterns = TEMPLATE, header_pattern(turn.config.reply_format.user_header)
    return any(find_leaks(pattern, turn, outside_code=True) for pattern in patterns)


@functools.cache
def any_text(texts: tuple[str, ...]) -> re.Pattern[str]:
    """Return what finds any of these texts."""
    return re.compile(any_of(list(texts)))


@functools.cache
def header_pattern(header: str) -> re.Pattern[str]:
    """Return what finds the header of a user's turn; one that its template begins on a line must begin one."""
    text = header.strip()
    if not re.search(r"\w", text):
        return any_text(())
    begins_line = "\n" in header[: header.index(text)]
    return re.compile((r"^[ \t]*" if begins_line else r"(?<!\w)") + re.escape(text), re.M)


@functools.cache
def thinking_pattern(own: tuple[tuple[str, str], ...]) -> re.Pattern[str]:
    """Return what finds a tag of thoughts; the group `end` is one that ends them. A look at one character is fast."""
    tags = {**TAGS, **dict(own)}
    first = "".join(sorted({re.escape(text[0]) for text in [*tags, *tags.values()] if text}))
    return re.compile(f"(?=[{first}])(?:(?P<end>{any_tag(tags.values())})|{any_tag(tags)})", re.I)


def find_leaks(pattern: re.Pattern[str], turn: AnsweredTurn, *, outside_code: bool = False) -> list[re.Match[str]]:
    """Return the matches in a reply with something that the user had not written before."""
    found = [match for match in pattern.finditer(turn.reply) if match.group() not in turn.user_text]
    if not (found and outside_code):
        return found
    text = CODE.sub(" ", turn.reply)
    return [match for match in pattern.finditer(text) if match.group() not in turn.user_text]


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
    leaked = find_leaks(thinking_pattern(turn.config.thinking_tags), turn, outside_code=True)
    if not leaked:
        return "none"
    return "closed" if leaked[-1]["end"] else "unclosed"
