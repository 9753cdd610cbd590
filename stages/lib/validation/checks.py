"""The checks of validation, one entry each. Reasons, `not_checked` and the table in the docs follow from the entries.

To add a check, add an entry and run `make tables`. Its function gets one conversation and says whether it has the
fault. `needs` names what the function reads: where that is unknown, the check is not made and counted in `not_checked`.
"""

import re
from collections.abc import Callable, Collection, Iterable, Set
from dataclasses import dataclass
from functools import cache

from stages.lib.console.errors import UserError
from stages.lib.records.responses import UNANSWERED
from stages.lib.validation import endings, languages, leaks, relevance, repetition, requests, topics
from stages.lib.validation.check_input import AnsweredTurn, CheckInput, Need


@dataclass(frozen=True, slots=True)
class Check:
    """One way in which a conversation can be wrong."""

    name: str  # the reason that it gives; a name with <…> stands for the reasons that `find` returns
    needs: Set[Need]  # empty: the check is made even if values of the row are missing
    meaning: str  # of the reason, for the table in the docs
    find: Callable[[CheckInput], bool | Collection[str]]

    @property
    def is_open(self) -> bool:
        """Whether the check takes its reasons from the data."""
        return "<" in self.name

    def reasons(self, given: CheckInput) -> Collection[str]:
        """Return the reasons that a conversation gives."""
        fault = self.find(given)
        if isinstance(fault, bool):
            return [self.name] if fault else []
        return fault


def any_turn(has_fault: Callable[[AnsweredTurn], bool]) -> Callable[[CheckInput], bool]:
    """Turn a check of one reply into a check of a conversation: whether any reply has the fault."""
    return lambda given: any(has_fault(turn) for turn in given.answered_turns)


def prompt_is(problem: str) -> Callable[[CheckInput], bool]:
    """Make the check of a reason why a conversation has no prompt."""
    return lambda given: given.prompt == problem


def is_unanswered(reason: str) -> Callable[[CheckInput], bool]:
    """Make the check of one of UNANSWERED: whether it is the conversation's status or a turn's finish reason."""
    return lambda given: reason in (given.row["status"], *(turn["finish_reason"] for turn in given.row["turns"]))


def other_status(given: CheckInput) -> list[str]:
    """Return the status of a conversation unless it is one that has its own check."""
    return [] if given.row["status"] in ("ok", *UNANSWERED, "not_imported") else [given.row["status"]]


CHECKS = (
    Check("empty", {"assistant"}, "a reply is empty", any_turn(endings.is_empty)),
    Check("too_short", {"assistant"}, "a reply is shorter than `min_chars`", any_turn(endings.is_too_short)),
    Check("finish_length", {"finish_reason"}, "a reply reached the token limit", any_turn(endings.reached_limit)),
    Check(
        "finish_length",
        {"assistant"},
        "an imported reply ends with a mark such as `(truncated)`",
        any_turn(endings.has_truncation_mark),
    ),
    Check(
        "finish_<word>",
        {"finish_reason"},
        "a reply has another finish reason that `finish_reasons` does not allow, such as `abort`",
        endings.other_finishes,
    ),
    Check(
        "no_end_of_turn",
        {"finish_reason"},
        "a finish reason is empty or not a plain word: the reply never ended",
        any_turn(endings.has_no_end),
    ),
    Check(
        "loop",
        {"assistant"},
        "a reply ends in the same text three times or more, over `max_loop_chars`, or is little else; or zlib leaves "
        "less of it than 80 bytes and its share `min_compressed_share`",
        any_turn(repetition.is_loop),
    ),
    Check(
        "broken_characters",
        {"assistant"},
        "a reply has U+FFFD, which the user did not write first",
        any_turn(leaks.has_broken_characters),
    ),
    Check(
        "control_token",
        {"assistant"},
        "a reply has, outside of code, a control token such as `<|im_end|>` or another special token of its model, "
        "which the user did not write first",
        any_turn(leaks.has_control_token),
    ),
    Check(
        "template_leak",
        {"assistant"},
        "a reply has, outside of code, a piece of a chat template such as `### Instruction:` or the header of another "
        "turn, which the user did not write first",
        any_turn(leaks.has_template),
    ),
    Check(
        "thinking_leak",
        {"assistant"},
        "a reply has, outside of code, the thoughts of a model that thinks aloud, with their end",
        any_turn(leaks.has_thoughts),
    ),
    Check(
        "thinking_unclosed",
        {"assistant"},
        "a reply begins such thoughts and never ends them",
        any_turn(leaks.has_unclosed_thoughts),
    ),
    Check(
        "echo",
        {"assistant", "user"},
        "a reply repeats the message and says little else",
        any_turn(relevance.is_echo),
    ),
    Check(
        "refusal",
        {"assistant"},
        "a reply begins by declining, in one of nine languages; some of these help after all",
        any_turn(relevance.refuses),
    ),
    Check(
        "other_language",
        {"assistant", "user"},
        "a reply is in another language than the message, or has a sentence of Chinese, Japanese or Korean, "
        "unless language is the subject",
        any_turn(languages.answers_in_other_language),
    ),
    Check(
        "off_topic",
        {"assistant", "user", "off_topic_words"},
        "a reply of `off_topic_words` different words or more, of four letters each or pairs of Chinese or Thai ones, "
        "shares none with what was said before it; none is judged that is in another language than the message",
        topics.goes_off_topic,
    ),
    Check(
        "prompt_altered",
        {"user", "prompt"},
        "the system message or the user's messages are not the prompt's",
        requests.is_altered,
    ),
    Check(
        "turns_swapped",
        {"user", "prompt"},
        "the user's messages are the prompt's in another order",
        requests.is_reordered,
    ),
    Check("turns_missing", {"prompt", "status"}, "turns of the prompt have no reply", requests.lacks_turns),
    Check("out_of_order", set(), "the conversations are not in the order of the prompts", prompt_is("out_of_order")),
    Check(
        "duplicate_conversation",
        set(),
        "an earlier row answers the same prompt",
        prompt_is("duplicate_conversation"),
    ),
    Check("unknown_conversation", set(), "there is no such prompt", prompt_is("unknown_conversation")),
    Check(
        "history_broken",
        {"prompt", "prompt_sha"},
        "a turn was not asked after the replies that stand before it",
        requests.has_broken_history,
    ),
    Check(
        "token_counts",
        {"prompt", "token_counts"},
        "token counts that are impossible under the limits",
        requests.has_wrong_token_counts,
    ),
    Check("not_as_asked", {"dgm"}, "the row names another DGM", requests.is_of_other_dgm),
    Check(
        "not_as_asked",
        {"prompt", "identity"},
        "another model, sampling, seed, history or system prompt than the params say",
        requests.is_not_as_asked,
    ),
    Check(
        "incomplete_row",
        set(),
        "a value of the row or of a turn is missing; nothing else is checked",
        lambda given: not given.is_complete,
    ),
    Check(
        "context_overflow",
        {"status"},
        "a prompt did not fit the context window, so that it has no reply",
        is_unanswered("context_overflow"),
    ),
    Check(
        "no_system_role",
        {"status"},
        "the prompt has a system message, for which the model's chat template has no role, so that it was not asked",
        is_unanswered("no_system_role"),
    ),
    Check("failed", {"status"}, "the engine gave no reply", is_unanswered("failed")),
    Check(
        "not_imported",
        {"status"},
        "the imported set lacks a reply",
        lambda given: bool(given.row["status"] == "not_imported"),
    ),
    Check("<status>", {"status"}, "any other status than `ok`", other_status),
)
REASONS = tuple(dict.fromkeys(check.name for check in CHECKS if not check.is_open))
FINISH_REASON = re.compile(r"finish_[a-z_]+")


def find_reasons(given: CheckInput) -> list[str]:
    """Return, sorted, every reason that a conversation gives."""
    checks = checks_to_make(given.is_complete, given.unknown)
    return sorted({reason for check in checks for reason in check.reasons(given)})


@cache
def checks_to_make(is_complete: bool, unknown: frozenset[Need]) -> list[Check]:
    """Return the checks that can be made of rows where these needs are unknown."""
    return [check for check in CHECKS if not check.needs or (is_complete and not check.needs & unknown)]


def not_checked(given: CheckInput, found: Collection[str]) -> list[str]:
    """Return, sorted, the reasons that were not found and not looked for in every turn, since something is unknown."""
    names = names_not_checked(given.is_complete, given.unknown | given.partly_known)
    return [name for name in names if name not in found]


@cache
def names_not_checked(is_complete: bool, unknown: frozenset[Need]) -> list[str]:
    """Return, sorted, the names of the checks that cannot be made, or not of every turn."""
    made = checks_to_make(is_complete, unknown)
    return sorted({check.name for check in CHECKS if check not in made and not check.is_open})


def require_reasons(names: Iterable[str], where: str) -> None:
    """Raise UserError for the first name that is not a reason of a check."""
    for name in names:
        if name not in REASONS and not FINISH_REASON.fullmatch(name):
            raise UserError(f"{where}: {name!r} is not a reason; the reasons are: {', '.join(REASONS)}")
