"""What a check of validation is given: one conversation, the prompt that it answers, and how the model was asked."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Literal

from stages.lib.core.types import Row
from stages.lib.engines.request import RequestConfig
from stages.lib.models.catalogue import Model
from stages.lib.records.prompts import system_of
from stages.lib.records.responses import IMPORTED, UNANSWERED, Turn
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
    "off_topic_words",
]
ALWAYS_KNOWN: frozenset[Need] = frozenset({"assistant", "dgm", "status"})
NOT_IMPORTED: frozenset[Need] = frozenset({"token_counts", "prompt_sha", "identity"})  # nobody knows them of an import
ROW_VALUES = ("identity", "conversation_hash", "dgm", "turns", "status", "engine")
TURN_VALUES = ("user", "assistant", "finish_reason", "prompt_tokens", "completion_tokens", "prompt_sha")
MAX_CHARS = 1_000_000  # of a text that checks look at, half of them at its end; no model writes as much


class UserMessages:
    """The user's messages of a conversation, in their order; the system message counts as part of the first."""

    def __init__(self, messages: Sequence[str], system: str = "") -> None:
        self._messages = [f"{system}\n{messages[0]}", *messages[1:]] if system and messages else messages
        self._first_mention: dict[str, int] = {}

    @cached_property
    def _text(self) -> str:
        return "\n".join(self._messages)

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(len(message) + 1 for message in self._messages))

    def hold(self, text: str, number: int) -> bool:
        """Whether one of the messages up to this number holds a text; each text is looked for once."""
        if text not in self._first_mention:
            position = self._text.find(text)
            self._first_mention[text] = bisect_right(self._ends, position) if position >= 0 else len(self._messages)
        return self._first_mention[text] <= number


@dataclass(frozen=True, slots=True)
class AnsweredTurn:
    """A user message and the reply to it, of each what checks look at."""

    user: str
    reply: str
    finish_reason: str
    number: int  # from 0, among all turns
    messages: UserMessages
    settings: Validate
    config: RequestConfig

    def user_wrote(self, text: str) -> bool:
        """Whether this message of the user, an earlier one or the system message holds a text."""
        return self.messages.hold(text, self.number)


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
        users = [without_middle(turn["user"]) for turn in self.row["turns"]]
        messages = UserMessages(users, self.system)
        return [
            AnsweredTurn(
                users[number], without_middle(turn["assistant"]), turn["finish_reason"],
                number, messages, self.settings, self.config,
            )
            for number, turn in enumerate(self.row["turns"])
            if turn["finish_reason"] not in UNANSWERED and not self._is_absent(turn)
        ]  # fmt: skip

    @property
    def system(self) -> str:
        """The system message of the prompt or, where there is none, of the row: what checks look at."""
        return without_middle(system_of(self.row if isinstance(self.prompt, str) else self.prompt))

    def _is_absent(self, turn: Turn) -> bool:
        """Whether the imported set lacks the reply of a turn."""
        return self.row["status"] == "not_imported" and not (turn["assistant"] or turn["raw"])

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
        if not self.settings.off_topic_words:
            unknown.add("off_topic_words")
        return frozenset(unknown)

    @cached_property
    def partly_known(self) -> frozenset[Need]:
        """What is known of some turns only, or of none: checks that need it are made on those, if there are any."""
        if not (self.is_import and self.is_complete):
            return frozenset()
        turns = self.row["turns"]
        partly: set[Need] = set()
        if any(turn["finish_reason"] == IMPORTED for turn in turns):
            partly.add("finish_reason")
        if not all(turn["user"] for turn in turns):
            partly.add("user")
        return frozenset(partly)


def without_middle(text: str) -> str:
    """Return a text, or the beginning and the end of one that is longer than MAX_CHARS."""
    return text if len(text) <= MAX_CHARS else f"{text[: MAX_CHARS // 2]}\n{text[-MAX_CHARS // 2 :]}"
