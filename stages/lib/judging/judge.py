"""A model that judges replies. Each of its replies is kept in the store, so that nothing is asked twice."""

from collections.abc import Sequence
from typing import Any

from stages.lib.console.errors import UserError
from stages.lib.engines.request import comparison_config
from stages.lib.generation.cached import ask
from stages.lib.generation.store import Store, store_folder
from stages.lib.judging.judge_replies import JudgeReply, to_judge_reply
from stages.lib.models.catalogue import load_model
from stages.lib.records.hashing import content_hash
from stages.lib.settings.sections import Judge

STORE_SUFFIX = ".verdicts"  # a judge's replies are in the store under its id, which has no dot, and this


def ask_judge(prompts: Sequence[str], judge: Judge) -> list[JudgeReply]:
    """Return the judge's reply to each prompt: from the store, or asked now; equal prompts are asked once.

    Prompts that failed before are asked again. Raises UserError for a judge that is an import.
    """
    if not prompts:
        return []
    model = load_model(judge.model)
    if model.kind == "import":
        raise UserError(f"judge.model: {judge.model} is an import, which cannot be asked")
    hashes = [content_hash([{"role": "user", "content": prompt}]) for prompt in prompts]
    rows = [
        {"conversation_hash": name, "turns": [{"user": prompt, "reference": ""}]}
        for name, prompt in dict(zip(hashes, prompts, strict=True)).items()
    ]
    store = Store(store_folder(), judge.model + STORE_SUFFIX)
    with store.held():
        config = comparison_config(model, judge)
        locations = ask(lambda: iter(rows), model, config, judge.engine, store, unit="judge replies", again=True)
        finished = store.read(list(locations.values()), ["turns", "reason"]).to_pylist()
    replies = {
        name: to_judge_reply(row["turns"][0], row["reason"]) for name, row in zip(locations, finished, strict=True)
    }
    return [replies[name] for name in hashes]


def judge_rows(rows: Sequence[dict[str, Any]], judge: Judge) -> list[JudgeReply | None]:
    """Return the judge's reply to the `prompt` of each row; None for a row whose prompt is None."""
    replies = iter(ask_judge([row["prompt"] for row in rows if row["prompt"] is not None], judge))
    return [None if row["prompt"] is None else next(replies) for row in rows]
