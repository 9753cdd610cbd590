"""Collect the texts of all benchmarks in use, so that `mix` can look for them in its rows.

In:  the benchmarks of evaluate.tasks (as `evaluate` reads them), the JSONL of answers.questions
Out: data/benchmarks/: a row for every question and for every right answer that is a text; .summary.json counts them
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypedDict

import pyarrow as pa

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line, progress
from stages.lib.core.files import ROWS_SUMMARY, new_folder, write_json
from stages.lib.evaluation.lm_eval_tasks import are_local, data_environment, find_tasks, load_task
from stages.lib.evaluation.results import reason_of
from stages.lib.judging.questions import read_questions
from stages.lib.records.shards import write_table
from stages.lib.settings.evaluate import Evaluate
from stages.lib.settings.reading import load, run
from stages.lib.settings.sections import Answers, Mix

SEED = 0
QUESTIONS = "questions"  # the benchmark name of answers.questions
TEXT = pa.schema([
    ("benchmark", pa.string()),  # the task; of a group, each of its tasks
    ("document", pa.string()),  # number of the row in the task, or id of the question
    ("text", pa.string()),  # a question, or a right answer that is a text
])


class TextRow(TypedDict):
    """A row of TEXT."""

    benchmark: str
    document: str
    text: str


def list_texts(task: Any, row: dict[str, Any]) -> list[str]:
    """List the question of a document, without few-shot examples, and its right answers, if they are texts."""
    choices = task.doc_to_choice(row) if task.OUTPUT_TYPE == "multiple_choice" else []
    answers = task.doc_to_target(row)
    values = [task.doc_to_text(row), *(answers if isinstance(answers, list) else [answers])]
    texts = [choices[value] if isinstance(value, int) and value < len(choices) else value for value in values]
    return [text for text in texts if isinstance(text, str) and text.strip()]


def read_task(name: str, task: Any) -> Iterator[TextRow]:
    """Yield the rows of TEXT of the documents that a task is evaluated on."""
    for number, row in enumerate(task.eval_docs):
        for text in list_texts(task, row):
            yield {"benchmark": name, "document": str(number), "text": text}


def read_tasks(settings: Evaluate, scratch: Path) -> tuple[list[TextRow], dict[str, str]]:
    """Read the rows of TEXT of tasks and groups, and the reasons of tasks that this environment cannot run.

    `evaluate` cannot run those either. Raises UserError for data that cannot be read: they may be readable the next
    time, and without them the mixes would be screened for too little from then on.
    """
    manager, _ = find_tasks(settings, scratch)
    rows: list[TextRow] = []
    not_read = {}
    for name in progress(list(settings.tasks), desc="benchmarks", unit="tasks"):
        try:
            parts = load_task(manager, name, SEED)["tasks"]
            rows += [row for part, task in parts.items() for row in read_task(part, task)]
        except (ImportError, UserError) as error:
            not_read[name] = reason_of(error)
        except Exception as error:
            reason = reason_of(error)
            raise UserError(f"evaluate.tasks.{name} cannot be read: {reason}; fix or remove it") from None
    return rows, not_read


def read_question_texts(path: Path) -> Iterator[TextRow]:
    """Yield the rows of TEXT of the two-turn questions."""
    for question in read_questions(path):
        for turn in question["turns"]:
            yield {"benchmark": QUESTIONS, "document": str(question["question_id"]), "text": turn}


def count_texts(rows: list[TextRow]) -> dict[str, dict[str, int]]:
    """Count the documents and texts of each benchmark."""
    texts = Counter(row["benchmark"] for row in rows)
    documents = Counter(name for name, _ in {(row["benchmark"], row["document"]) for row in rows})
    return {name: {"documents": documents[name], "texts": texts[name]} for name in texts}


def read_all(settings: Evaluate, questions: Path) -> tuple[list[TextRow], dict[str, str]]:
    """Read the rows of TEXT of all benchmarks in use, and the reasons of tasks that have none."""
    with TemporaryDirectory(prefix="rewild-benchmarks-") as scratch:
        os.environ.update(data_environment(f"{scratch}/cache", offline=are_local(settings)))
        rows, not_read = read_tasks(settings, Path(scratch))
    return [*rows, *read_question_texts(questions)], not_read


READS = ("evaluate.tasks", "evaluate.local_data", "evaluate.tasks_folder", "mix.contamination", "answers.questions")


def main() -> None:
    """Write the texts of all benchmarks in use; none if mix.contamination is off."""
    rows: list[TextRow] = []
    not_read: dict[str, str] = {}
    if load(Mix).contamination != "off":
        rows, not_read = read_all(load(Evaluate), Path(load(Answers).questions))
    counts = count_texts(rows)
    with new_folder(Path("data/benchmarks")) as out:
        write_table(out, pa.Table.from_pylist(rows, schema=TEXT))
        write_json(out / ROWS_SUMMARY, {"benchmarks": counts, "not_read": not_read})
    for name, reason in not_read.items():
        log_line(f"evaluate.tasks.{name} cannot be run here, and is left out: {reason}")
    log_line(f"{sum(each['documents'] for each in counts.values())} documents of {len(counts)} benchmarks")


if __name__ == "__main__":
    run(main)
