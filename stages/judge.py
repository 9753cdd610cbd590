"""A judge's score, from 1 to 10, of every reply of one compared model (paper, sec. 3.3; single-answer grading).

In:  data/answers/<model>/, the questions with their reference replies, the judge's prompts, models/<judge>/
Out: data/judgments/<model>/: rows of JUDGMENT, .results.json (the schema of `evaluate`), .summary.json
"""

from pathlib import Path
from typing import Any

import pyarrow as pa

from stages.lib.console.shell import log_line
from stages.lib.core.files import ROWS_SUMMARY, new_folder, sha256_folder, write_json
from stages.lib.core.types import Json
from stages.lib.engines.request import choose_engine
from stages.lib.evaluation.results import TaskResult, measure
from stages.lib.judging.judge import (
    JudgePrompts,
    JudgeReply,
    count_statuses,
    is_answered,
    judge_rows,
    judging_status,
    read_score,
)
from stages.lib.judging.questions import read_questions
from stages.lib.models.catalogue import load_model
from stages.lib.records.judgments import JUDGMENT
from stages.lib.records.shards import read_table, write_table
from stages.lib.settings.reading import load, run
from stages.lib.settings.sections import Answers, Judge


def to_judge(
    answers: list[dict[str, Any]], questions: list[dict[str, Any]], prompts: JudgePrompts
) -> list[dict[str, Any]]:
    """One row for every turn of every question: its prompt, or none where the model gave no reply."""
    replies = {row["question_id"]: row["turns"] for row in answers}
    return [
        {
            "question_id": question["question_id"],
            "category": question["category"],
            "turn": number,
            "chars": len(turns[number - 1]["assistant"]) if is_answered(turns, number) else 0,
            "prompt": prompts.single(turns[:number], reference) if is_answered(turns, number) else None,
        }
        for question in questions
        for turns in [replies.get(question["question_id"], [])]
        for number, reference in enumerate(question["reference"], start=1)
    ]


def to_row(asked: dict[str, Any], verdict: JudgeReply | None) -> dict[str, Any]:
    """A row of JUDGMENT."""
    row = {key: value for key, value in asked.items() if key != "prompt"}
    if verdict is None:
        return row | {"score": None, "text": "", "status": "unanswered", "reason": "the model gave no reply"}
    score, reason = read_score(verdict)
    return row | {"score": score, "text": verdict.text, "status": "failed" if reason else "ok", "reason": reason}


def score(rows: list[dict[str, Any]]) -> Json:
    """The mean score over all turns and over the first, second … ones; turns of a question are a cluster."""
    known = [row for row in rows if row["score"] is not None]
    turns = sorted({row["turn"] for row in known})
    chosen = {"score": known} | {f"turn_{turn}": [row for row in known if row["turn"] == turn] for turn in turns}
    return {name: measure(by_question(some), unit="score_1_10") for name, some in chosen.items()}


def by_question(rows: list[dict[str, Any]]) -> list[list[float]]:
    """The scores of each question."""
    found: dict[int, list[float]] = {}
    for row in rows:
        found.setdefault(row["question_id"], []).append(row["score"])
    return list(found.values())


READS = ("judge", "answers.questions", "runtime")


def main(model: str) -> None:
    """Judge the answers of one compared model."""
    judge = load(Judge)
    questions = read_questions(Path(load(Answers).questions))
    answers = read_table(Path("data/answers") / model).to_pylist()
    asked = to_judge(answers, questions, JudgePrompts(Path(judge.prompts)))
    rows = [to_row(row, verdict) for row, verdict in zip(asked, judge_rows(asked, judge), strict=True)]
    status, reason = judging_status(rows, f"judge@{model}")
    metrics = score(rows) if status != "failed" else {}
    judged_by = load_model(judge.model)
    counts = count_statuses(rows)
    result = TaskResult(
        status=status,
        reason=reason,
        metrics=metrics,
        primary="score",
        harness="judge",
        harness_version=judged_by.commit,
    )
    results = {
        "schema": 2,
        "model": model,
        "settings": {
            **judge.model_dump(exclude={"prompts"}),
            "engine": choose_engine(judged_by, judge.engine),
            "name": judged_by.name,
            "prompts_sha256": sha256_folder(Path(judge.prompts)),
        },
        "verdicts": counts,
        "tasks": {"judge": result.to_json()},
    }
    with new_folder(Path("data/judgments") / model) as folder:
        write_table(folder, pa.Table.from_pylist(rows, schema=JUDGMENT))
        write_json(folder / ".results.json", results)
        values = {name: round(metric["value"], 4) for name, metric in metrics.items()}
        write_json(
            folder / ROWS_SUMMARY, {"score": None} | values | {"judge": judged_by.name, "status": status, **counts}
        )
    if metrics:
        log_line(f"{model}: score {metrics['score']['value']:.2f}, n = {metrics['score']['n']}, by {judged_by.name}")
    else:
        log_line(f"{model}: no score: {reason}")


if __name__ == "__main__":
    run(main)
