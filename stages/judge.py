"""A judge's score, from 1 to 10, of every reply of every compared model (paper, sec. 3.3; single-answer grading).

In:  data/answers/<model>/ of every compared model, the questions with their reference replies, the judge's prompts,
     models/<judge>/
Out: data/judgments/<model>/: rows of JUDGMENT, .results.json (the schema of `evaluate`), .summary.json
     data/costs/judge/<model>.json: the time that the judge's replies took, also those from the store
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from stages.lib.console.shell import log_line
from stages.lib.core.artifacts import require_answers
from stages.lib.core.costs import COSTS, Cost, write_cost
from stages.lib.core.files import ROWS_SUMMARY, new_folder, sha256_folder, write_json
from stages.lib.core.names import NO_JUDGE, NOBODY_JUDGED
from stages.lib.core.types import Json, Row
from stages.lib.engines.request import choose_engine
from stages.lib.evaluation.results import TaskResult, measure
from stages.lib.judging.judge import Judged, judge_rows
from stages.lib.judging.judge_prompts import JudgePrompts
from stages.lib.judging.judge_replies import JudgeReply, count_statuses, is_answered, judging_status, parse_score
from stages.lib.judging.questions import read_questions
from stages.lib.models.catalogue import Model, load_model
from stages.lib.records.judgments import JUDGMENT
from stages.lib.records.shards import read_table, write_table
from stages.lib.settings.reading import load, load_value, run
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import Answers, Judge


def build_requests(answers: list[Row], questions: list[Row], prompts: JudgePrompts) -> list[Row]:
    """Build one row for every turn of every question; its `prompt` is None where the model gave no reply."""
    turns_by_question = {row["question_id"]: row["turns"] for row in answers}
    return [
        {
            "question_id": question["question_id"],
            "category": question["category"],
            "turn": number,
            "chars": len(turns[number - 1]["assistant"]) if is_answered(turns, number) else 0,
            "prompt": prompts.single(turns[:number], reference) if is_answered(turns, number) else None,
        }
        for question in questions
        for turns in [turns_by_question.get(question["question_id"], [])]
        for number, reference in enumerate(question["reference"], start=1)
    ]


def to_judgment(request: Row, reply: JudgeReply | None) -> Row:
    """Build a row of JUDGMENT; `reply` is None where there was nothing to judge."""
    row = {key: value for key, value in request.items() if key != "prompt"}
    if reply is None:
        return row | {"score": None, "text": "", "status": "unanswered", "reason": "the model gave no reply"}
    score, reason = parse_score(reply)
    return row | {"score": score, "text": reply.text, "status": "failed" if reason else "ok", "reason": reason}


def measure_scores(rows: list[Row]) -> Json:
    """Average the scores over all turns (`score`) and over the first, second … ones (`turn_1`, …).

    The turns of a question are a cluster. Turns without a score are left out.
    """
    scored = [row for row in rows if row["score"] is not None]
    turns = sorted({row["turn"] for row in scored})
    subsets = {"score": scored} | {f"turn_{turn}": [row for row in scored if row["turn"] == turn] for turn in turns}
    return {name: measure(group_scores(subset), unit="score_1_10") for name, subset in subsets.items()}


def group_scores(rows: list[Row]) -> list[list[float]]:
    """Group scores by question: one list for each."""
    groups: dict[int, list[float]] = {}
    for row in rows:
        groups.setdefault(row["question_id"], []).append(row["score"])
    return list(groups.values())


class Judgments(NamedTuple):
    """The judgments of one model's answers."""

    rows: list[Row]  # of JUDGMENT
    results: Json
    cost: Cost


def to_judgments(model: str, requests: list[Row], judged: Judged, judge: Judge, judge_model: Model) -> Judgments:
    """Convert the judge's replies to the requests about one model."""
    rows = [to_judgment(request, reply) for request, reply in zip(requests, judged.replies, strict=True)]
    return Judgments(rows, build_results(model, rows, judge, judge_model), judged.cost)


def build_results(model: str, rows: list[Row], judge: Judge, judge_model: Model) -> Json:
    """Build results.json: the judge's settings, how many rows have which status, and the scores as a task."""
    status, reason = judging_status(rows, "judge", model)
    metrics = measure_scores(rows) if status != "failed" else {}
    task = TaskResult(
        status=status,
        reason=reason,
        metrics=metrics,
        primary="score",
        harness="judge",
        harness_version=judge_model.commit,
    )
    settings = {
        **judge.model_dump(exclude={"prompts"}),
        "engine": choose_engine(judge_model, judge.engine),
        "name": judge_model.name,
        "prompts_sha256": sha256_folder(Path(judge.prompts)),
    }
    return {
        "schema": 2,
        "model": model,
        "settings": settings,
        "verdicts": count_statuses(rows),
        "tasks": {"judge": task.to_json()},
    }


def skipped_results(model: str) -> Json:
    """Build results.json where nobody judges."""
    task = TaskResult(status="skipped", reason=NOBODY_JUDGED, primary="score", harness="judge", harness_version=None)
    settings, tasks = {"name": NO_JUDGE}, {"judge": task.to_json()}
    return {"schema": 2, "model": model, "settings": settings, "verdicts": count_statuses([]), "tasks": tasks}


def summarize(results: Json) -> Json:
    """Select the numbers that git keeps: the mean scores, and how many replies were judged."""
    task = results["tasks"]["judge"]
    values = {name: round(metric["value"], 4) for name, metric in task["metrics"].items()}
    about = {"judge": results["settings"]["name"], "status": task["status"]}
    return {"score": None, **values, **about, **results["verdicts"]}


def describe(results: Json) -> str:
    """Describe the score in one line."""
    task = results["tasks"]["judge"]
    if not task["metrics"]:
        return f"{results['model']}: no score: {task['reason']}"
    score = task["metrics"]["score"]
    return f"{results['model']}: score {score['value']:.2f}, n = {score['n']}, by {results['settings']['name']}"


READS = ("judge", "answers.questions", "compare", "runtime")


def read_requests(models: list[str], judge: Judge) -> dict[str, list[Row]]:
    """Build the requests about the answers of every compared model, by model."""
    questions, prompts = read_questions(Path(load(Answers).questions)), JudgePrompts(Path(judge.prompts))
    return {
        model: build_requests(read_table(require_answers(model)).to_pylist(), questions, prompts) for model in models
    }


def judge_models(models: list[str], judge: Judge) -> dict[str, Judgments]:
    """Have the judge score the answers of every compared model: its engine starts once, if the store lacks a reply."""
    requests = read_requests(models, judge)
    judged = judge_rows(requests, judge, load(Runtime))
    judge_model = load_model(judge.model)
    return {model: to_judgments(model, requests[model], judged[model], judge, judge_model) for model in models}


def write_judgments(judgments: Mapping[str, Judgments]) -> None:
    """Write the judgments of all models, and in place of earlier ones what they cost."""
    with new_folder(Path("data/judgments")) as folder:
        for model, (rows, results, _) in judgments.items():
            (folder / model).mkdir()
            write_table(folder / model, pa.Table.from_pylist(rows, schema=JUDGMENT))
            write_json(folder / model / ".results.json", results)
            write_json(folder / model / ROWS_SUMMARY, summarize(results))
    with new_folder(COSTS / "judge"):
        pass
    for model, (_, _, cost) in judgments.items():
        write_cost("judge", model, cost)


def main() -> None:
    """Judge the answers of every compared model."""
    judge, models = load(Judge), load_value("compare")
    if judge.model == NO_JUDGE:
        judgments = {model: Judgments([], skipped_results(model), Cost()) for model in models}
    else:
        judgments = judge_models(models, judge)
    write_judgments(judgments)
    for number, (_, results, _) in enumerate(judgments.values(), start=1):
        log_line(f"{describe(results)} ({number} of {len(judgments)})")


if __name__ == "__main__":
    run(main)
