"""A fixed set of two-turn questions, answered by one compared model (paper, sec. 3.2, 3.3).

In:  the JSONL that answers.questions names (question_id, category, turns), models/<model>/model.json, the store
Out: data/answers/<model>/; data/costs/answers/<model>.json: the time that the answers took, also those from the store
"""

from collections import Counter
from pathlib import Path

import pyarrow as pa

from stages.lib.core.costs import Cost, write_cost
from stages.lib.core.files import ROWS_SUMMARY, new_folder, write_json
from stages.lib.core.types import Row
from stages.lib.engines.request import comparison_config, with_reply_format
from stages.lib.generation.cached import CachedGeneration
from stages.lib.generation.costs import cost_of
from stages.lib.generation.place import open_store
from stages.lib.generation.store import ANSWERS
from stages.lib.judging.questions import read_questions
from stages.lib.models.catalogue import Model, load_model
from stages.lib.records.answers import ANSWER
from stages.lib.records.shards import write_table
from stages.lib.settings.reading import load, run
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import Answers


def answer(questions: list[Row], model: Model, answers: Answers, runtime: Runtime) -> tuple[list[Row], Cost]:
    """Return a model's answer to every question, as rows of ANSWER in the questions' order, and what they cost.

    They are taken from the store or asked now; what failed before is asked again.
    """
    prompts = [
        {
            "conversation_hash": str(row["question_id"]),
            "turns": [{"user": user, "reference": ""} for user in row["turns"]],
        }
        for row in questions
    ]
    store = open_store(model.id + ANSWERS)
    config = with_reply_format(comparison_config(model, answers), model, answers.engine)
    generation = CachedGeneration(model, config, answers.engine, store, runtime, unit="answers", retry_failed=True)
    with store.exclusive():
        finished = generation.table(prompts, ["turns", "status", "seconds", "hardware"]).to_pylist()
    rows = [
        {**question, "turns": answer["turns"], "status": answer["status"]}
        for question, answer in zip(questions, finished, strict=True)
    ]
    return rows, cost_of(finished)


READS = ("answers", "runtime")


def main(model: str) -> None:
    """Answer the questions with one compared model."""
    answers = load(Answers)
    questions = read_questions(Path(answers.questions))
    rows, cost = answer(questions, load_model(model), answers, load(Runtime))
    with new_folder(Path("data/answers") / model) as folder:
        write_table(folder, pa.Table.from_pylist(rows, schema=ANSWER))
        finishes = Counter(turn["finish_reason"] for row in rows for turn in row["turns"])
        write_json(folder / ROWS_SUMMARY, {"questions": len(rows), "finish_reasons": finishes})
    write_cost("answers", model, cost)


if __name__ == "__main__":
    run(main)
