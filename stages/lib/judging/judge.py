"""A model that judges replies. Each of its replies is kept in the store, so that nothing is asked twice."""

from collections.abc import Sequence

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


def ask_judge(prompts: Sequence[str], judge: Judge, runtime: Runtime) -> tuple[list[JudgeReply], Cost]:
    """Return the judge's reply to each prompt: from the store, or asked now; equal prompts are asked once.

    The cost is that of all replies, when they were asked.

    Prompts that failed before are asked again. Raises UserError for a judge that is an import.
    """
    if not prompts:
        return [], Cost()
    model = load_model(judge.model)
    if model.kind == "import":
        raise UserError(f"judge.model: {judge.model} is an import, which cannot be asked")
    hashes = [content_hash([{"role": "user", "content": prompt}]) for prompt in prompts]
    rows = [
        {"conversation_hash": name, "turns": [{"user": prompt, "reference": ""}]}
        for name, prompt in dict(zip(hashes, prompts, strict=True)).items()
    ]
    store = open_store(judge.model + VERDICTS)
    config = with_reply_format(comparison_config(model, judge), model, judge.engine)
    generation = CachedGeneration(model, config, judge.engine, store, runtime, unit="judge replies", retry_failed=True)
    with store.exclusive():
        finished = generation.table(rows, ["conversation_hash", "turns", "reason", "seconds", "hardware"]).to_pylist()
    replies = {row["conversation_hash"]: to_judge_reply(row["turns"][0], row["reason"]) for row in finished}
    return [replies[name] for name in hashes], cost_of(finished)


def judge_rows(rows: Sequence[Row], judge: Judge, runtime: Runtime) -> tuple[list[JudgeReply | None], Cost]:
    """Return the judge's reply to the `prompt` of each row, None for a row whose prompt is None; and their cost."""
    replies, cost = ask_judge([row["prompt"] for row in rows if row["prompt"] is not None], judge, runtime)
    remaining = iter(replies)
    return [None if row["prompt"] is None else next(remaining) for row in rows], cost
