"""A fixed set of two-turn questions, answered by one compared model (paper, sec. 3.2, 3.3).

In:  the JSONL that answers.questions names (question_id, category, turns), models/<model>/model.json
Out: data/answers/<model>/; data/costs/answers/<model>.json: the time it took
"""

from collections import Counter
from contextlib import closing
from pathlib import Path

import pyarrow as pa

from stages.lib.console.shell import progress
from stages.lib.core.costs import timed_cost
from stages.lib.core.files import ROWS_SUMMARY, new_folder, write_json
from stages.lib.core.types import Row
from stages.lib.engines.factory import make_engine
from stages.lib.engines.request import comparison_config
from stages.lib.generation.conversations import Conversation, run_conversations
from stages.lib.judging.questions import read_questions
from stages.lib.models.catalogue import Model, load_model
from stages.lib.records.answers import ANSWER
from stages.lib.records.shards import write_table
from stages.lib.settings.reading import load, run
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import Answers


def answer(questions: list[Row], model: Model, answers: Answers, runtime: Runtime) -> tuple[list[Row], str]:
    """Answer every question with a model; return rows of ANSWER in the questions' order, and the engine's hardware."""
    config = comparison_config(model, answers)
    conversations = [Conversation(str(question["question_id"]), question["turns"]) for question in questions]
    with closing(make_engine(answers.engine, model, config, runtime)) as engine:
        finished = run_conversations(engine, conversations, config, runtime.max_concurrent)
        for _ in progress(finished, desc=model.id, unit="questions", total=len(conversations)):
            pass
        hardware = engine.usage().hardware
    rows = [
        {**question, "turns": conversation.turns, "status": conversation.status}
        for question, conversation in zip(questions, conversations, strict=True)
    ]
    return rows, hardware


READS = ("answers", "runtime")


def main(model: str) -> None:
    """Answer the questions with one compared model."""
    answers = load(Answers)
    questions = read_questions(Path(answers.questions))
    with timed_cost("answers", model) as cost:
        rows, cost.hardware = answer(questions, load_model(model), answers, load(Runtime))
    with new_folder(Path("data/answers") / model) as folder:
        write_table(folder, pa.Table.from_pylist(rows, schema=ANSWER))
        finishes = Counter(turn["finish_reason"] for row in rows for turn in row["turns"])
        write_json(folder / ROWS_SUMMARY, {"questions": len(rows), "finish_reasons": finishes})


if __name__ == "__main__":
    run(main)
