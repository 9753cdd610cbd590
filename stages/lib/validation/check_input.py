"""What a check of validation is given: one conversation, the prompt that it answers, and how the model was asked."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from stages.lib.core.types import Row
from stages.lib.engines.request import RequestConfig
from stages.lib.models.catalogue import Model
from stages.lib.records.responses import UNANSWERED
from stages.lib.settings.sections import Validate

# What a check may need: columns of a response and of its turns, the prompt's row, a setting that is not 0.
Need = Literal[
    "user",
    "assistant",
    "finish_reason",
    "token_counts",
    "prompt_sha",
    "identity",
    "dgm",
    "status",
    "prompt",
    "topic_letters",
]
ALWAYS_KNOWN: frozenset[Need] = frozenset({"assistant", "dgm", "status"})
NOT_IMPORTED: frozenset[Need] = frozenset({"token_counts", "prompt_sha", "identity"})  # nobody knows them of an import
ROW_VALUES = ("identity", "conversation_hash", "dgm", "turns", "status", "engine")
TURN_VALUES = ("user", "assistant", "finish_reason", "prompt_tokens", "completion_tokens", "prompt_sha")


@dataclass(frozen=True, slots=True)
class AnsweredTurn:
    """A user message and the reply to it."""

    user: str
    reply: str
    finish_reason: str
    user_text: str  # all that the user has written up to this turn, this message included
    settings: Validate
    config: RequestConfig


@dataclass(frozen=True)
class CheckInput:
    """A conversation (a row of RESPONSE) and what it is checked against."""

    row: Row
    prompt: Row | str  # the row of PROMPT that it answers, or the reason why there is none
    settings: Validate
    model: Model
    config: RequestConfig

    @cached_property
    def answered_turns(self) -> list[AnsweredTurn]:
        """The turns that have a reply."""
        return [turn for turn in self._turns() if turn.finish_reason not in UNANSWERED]

    def _turns(self) -> Iterator[AnsweredTurn]:
        user_text = ""
        for turn in self.row["turns"]:
            user_text += turn["user"] + "\n"
            yield AnsweredTurn(
                turn["user"], turn["assistant"], turn["finish_reason"], user_text, self.settings, self.config
            )

    @property
    def prompt_row(self) -> Row:
        """The row of PROMPT, for checks that need `prompt`."""
        assert not isinstance(self.prompt, str), "a check that reads the prompt must need `prompt`"
        return self.prompt

    @property
    def is_import(self) -> bool:
        """Whether the replies were imported, so that nobody knows how the model was asked."""
        return self.model.kind == "import"

    @cached_property
    def is_complete(self) -> bool:
        """Whether the row and its turns have all their values."""
        turns = self.row["turns"]
        if not turns or any(self.row[name] is None for name in ROW_VALUES):
            return False
        return all(turn is not None and all(turn[name] is not None for name in TURN_VALUES) for turn in turns)

    @cached_property
    def unknown(self) -> frozenset[Need]:
        """What is not known of this conversation: checks that need it are not made."""
        unknown: set[Need] = set(NOT_IMPORTED) if self.is_import else set()
        if isinstance(self.prompt, str):
            unknown.add("prompt")
        if not self.settings.topic_letters:
            unknown.add("topic_letters")
        return frozenset(unknown)

    @cached_property
    def partly_known(self) -> frozenset[Need]:
        """What may be known of some turns only: checks that need it are made on those, and counted as not checked."""
        if not self.is_import:
            return frozenset()
        has_users = all(turn and turn["user"] for turn in self.row["turns"] or [])
        return frozenset({"finish_reason"} if has_users else {"finish_reason", "user"})
