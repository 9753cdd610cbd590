"""Whether a reply shows control tokens, chat templates or thoughts that the user did not write first."""

import re
from typing import Literal

from stages.lib.models.thinking import THINKING_TAG
from stages.lib.validation.check_input import AnsweredTurn

CONTROL_TOKEN = re.compile(
    r"<\|[a-zA-Z0-9_]{2,40}\|>|<｜[^<>｜]{2,40}｜>|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>"  # noqa: RUF001
)
TEMPLATE = re.compile(r"^### ?(?:Instruction|Response|Human|Assistant|User|Input) ?:|^(?:Human|USER|ASSISTANT): ", re.M)
REPLACEMENT_CHARACTER = "\ufffd"


def has_broken_characters(turn: AnsweredTurn) -> bool:
    """Whether a reply has U+FFFD, which stands for bytes that could not be decoded."""
    return REPLACEMENT_CHARACTER in turn.reply and REPLACEMENT_CHARACTER not in turn.user_text


def has_control_token(turn: AnsweredTurn) -> bool:
    """Whether a reply has a control token such as `<|im_end|>`."""
    return leaks(CONTROL_TOKEN, turn)


def has_template(turn: AnsweredTurn) -> bool:
    """Whether a reply has a piece of a chat template such as `### Instruction:`."""
    return leaks(TEMPLATE, turn)


def leaks(pattern: re.Pattern[str], turn: AnsweredTurn) -> bool:
    """Whether a reply matches a pattern with a text that the user had not written before."""
    return any(text not in turn.user_text for text in {match.group() for match in pattern.finditer(turn.reply)})


def has_thoughts(turn: AnsweredTurn) -> bool:
    """Whether a reply holds the thoughts of a model that thinks aloud, and their end."""
    return find_thoughts(turn) == "closed"


def has_unclosed_thoughts(turn: AnsweredTurn) -> bool:
    """Whether a reply begins thoughts and never ends them."""
    return find_thoughts(turn) == "unclosed"


def find_thoughts(turn: AnsweredTurn) -> Literal["none", "closed", "unclosed"]:
    """Look for the tags of a model that thinks aloud, which the user did not write first: does the last one close?"""
    tags = [match for match in THINKING_TAG.finditer(turn.reply) if match.group() not in turn.user_text]
    if not tags:
        return "none"
    return "closed" if tags[-1].group(1) else "unclosed"
