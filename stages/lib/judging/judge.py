"""A model that judges replies. Each of its replies is kept in the store, so that nothing is asked twice."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from stages.lib.console.errors import UserError
from stages.lib.core.costs import Cost
from stages.lib.core.types import Row
from stages.lib.engines.base import Engine
from stages.lib.engines.request import comparison_config, with_reply_format
from stages.lib.generation.cached import CachedGeneration
from stages.lib.generation.costs import cost_of
from stages.lib.generation.place import open_store
from stages.lib.generation.store import VERDICTS
from stages.lib.judging.judge_replies import JudgeReply, to_judge_reply
from stages.lib.models.catalogue import load_model
from stages.lib.records.hashing import content_hash
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import Judge

COLUMNS = ["turns", "reason", "seconds", "hardware"]  # of a finished conversation


class Judged(NamedTuple):
    """The judge's replies to a group of rows, None where there was nothing to judge, and what they cost when asked."""

    replies: list[JudgeReply | None]
    cost: Cost


@dataclass
class OneEngine(CachedGeneration):
    """Generation whose engine starts once at most, and runs until `stack` ends."""

    stack: ExitStack = field(kw_only=True)
    _engine: Engine | None = field(default=None, init=False)

    @contextmanager
    def running_engine(self) -> Iterator[Engine]:
        """Lend the engine, which starts when it is first needed."""
        if self._engine is None:
            self._engine = self.stack.enter_context(super().running_engine())
        yield self._engine


class AskedJudge:
    """A judge that is asked several times: its engine starts once, and not at all if the store has every reply.

    It is used as `with AskedJudge(…) as asked`; the engine and the store's lock are held until the block ends.
    """

    def __init__(self, judge: Judge, runtime: Runtime) -> None:
        """Nothing is opened or started before a prompt is asked."""
        self._judge, self._runtime = judge, runtime
        self._stack = ExitStack()
        self._generation: CachedGeneration | None = None
        self._finished: dict[str, Row] = {}  # the judge's conversation by prompt

    def __enter__(self) -> "AskedJudge":
        """Begin to ask."""
        return self

    def __exit__(self, *error: object) -> None:
        """Stop the engine, if it runs, and let others use the store."""
        self._stack.close()

    def ask(self, rows: Sequence[Row]) -> Judged:
        """Return the judge's replies to the `prompt` of each row: from the store, or asked now.

        Equal prompts are asked once, those that failed in an earlier run again. Raises UserError for a judge that is an
        import.
        """
        prompts = dict.fromkeys(row["prompt"] for row in rows if row["prompt"] is not None)
        new = {prompt: to_question(prompt) for prompt in prompts if prompt not in self._finished}
        if new:
            self._generation = self._generation or self._open()
            finished = self._generation.table([*new.values()], COLUMNS).to_pylist()
            self._finished |= dict(zip(new, finished, strict=True))
        return select_replies(rows, self._finished)

    def _open(self) -> CachedGeneration:
        """Open the judge's store, for this run alone."""
        judge, model = self._judge, load_model(self._judge.model)
        if model.kind == "import":
            raise UserError(f"judge.model: {judge.model} is an import, which cannot be asked")
        store = open_store(judge.model + VERDICTS)
        config = with_reply_format(comparison_config(model, judge), model, judge.engine)
        self._stack.enter_context(store.exclusive())
        return OneEngine(
            *(model, config, judge.engine, store, self._runtime),
            unit="judge replies",
            retry_failed=True,
            stack=self._stack,
        )


def judge_rows(groups: Mapping[str, Sequence[Row]], judge: Judge, runtime: Runtime) -> dict[str, Judged]:
    """Return the judge's replies to the `prompt` of each row, by group, from one start of its engine for all groups.

    In the cost of each group that has a prompt, the reply to it counts.
    """
    with AskedJudge(judge, runtime) as asked:
        asked.ask([row for rows in groups.values() for row in rows])
        return {name: asked.ask(rows) for name, rows in groups.items()}


def to_question(prompt: str) -> Row:
    """Build the row of PROMPT that asks the judge."""
    return {
        "conversation_hash": content_hash([{"role": "user", "content": prompt}]),
        "turns": [{"user": prompt, "reference": ""}],
    }


def select_replies(rows: Sequence[Row], finished: Mapping[str, Row]) -> Judged:
    """Select the replies to some rows among the judge's finished conversations, which are by prompt."""
    asked = {row["prompt"]: finished[row["prompt"]] for row in rows if row["prompt"] is not None}
    replies = {prompt: to_judge_reply(row["turns"][0], row["reason"]) for prompt, row in asked.items()}
    return Judged([replies.get(row["prompt"]) for row in rows], cost_of([*asked.values()]))
