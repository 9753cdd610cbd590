"""A model that judges replies. Each of its replies is kept in the store, so that nothing is asked twice."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from stages.lib.console.errors import UserError
from stages.lib.core.costs import Cost
from stages.lib.core.types import Row
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


class Judged(NamedTuple):
    """The judge's replies to a group of rows, None where there was nothing to judge, and what they cost when asked."""

    replies: list[JudgeReply | None]
    cost: Cost


def judge_rows(groups: Mapping[str, Sequence[Row]], judge: Judge, runtime: Runtime) -> dict[str, Judged]:
    """Return the judge's replies to the `prompt` of each row, by group, from one start of its engine for all groups.

    Equal prompts are asked once; in the cost of each group that has one, the reply counts. Raises UserError for a judge
    that is an import.
    """
    prompts = dict.fromkeys(row["prompt"] for rows in groups.values() for row in rows if row["prompt"] is not None)
    finished = ask_judge(prompts, judge, runtime)
    return {name: select_replies(rows, finished) for name, rows in groups.items()}


def ask_judge(prompts: Iterable[str], judge: Judge, runtime: Runtime) -> dict[str, Row]:
    """Return the judge's finished conversation for each prompt: from the store, or asked now.

    Prompts that failed before are asked again.
    """
    rows = {
        prompt: {
            "conversation_hash": content_hash([{"role": "user", "content": prompt}]),
            "turns": [{"user": prompt, "reference": ""}],
        }
        for prompt in prompts
    }
    if not rows:
        return {}
    model = load_model(judge.model)
    if model.kind == "import":
        raise UserError(f"judge.model: {judge.model} is an import, which cannot be asked")
    store = open_store(judge.model + VERDICTS)
    config = with_reply_format(comparison_config(model, judge), model, judge.engine)
    generation = CachedGeneration(model, config, judge.engine, store, runtime, unit="judge replies", retry_failed=True)
    with store.exclusive():
        finished = generation.table([*rows.values()], ["turns", "reason", "seconds", "hardware"]).to_pylist()
    return dict(zip(rows, finished, strict=True))


def select_replies(rows: Sequence[Row], finished: Mapping[str, Row]) -> Judged:
    """Select the replies to some rows among the judge's finished conversations, which are by prompt."""
    asked = {row["prompt"]: finished[row["prompt"]] for row in rows if row["prompt"] is not None}
    replies = {prompt: to_judge_reply(row["turns"][0], row["reason"]) for prompt, row in asked.items()}
    return Judged([replies.get(row["prompt"]) for row in rows], cost_of([*asked.values()]))
