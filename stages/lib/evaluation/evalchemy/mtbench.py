"""MT-bench: a judge's score from 1 to 10 of each turn of 80 questions (Zheng et al., 2023)."""

from pathlib import Path

from stages.lib.core.files import write_text
from stages.lib.core.types import Json
from stages.lib.evaluation.evalchemy.task import (
    BENCHMARKS,
    Task,
    Verdicts,
    check_known,
    check_mean,
    digest,
    group_by,
    index_once,
    mean_score,
    only_file,
    read_lines,
)
from stages.lib.settings.evaluate import Evaluate

DATA = BENCHMARKS / "MTBench/fastchat/llm_judge/data/mt_bench"
QUESTIONS = DATA / "question.jsonl"
TOLERANCE = 1e-6  # of Evalchemy's own mean
NO_SCORE = -1  # that Evalchemy writes, and leaves out of its mean


def prepare(clone: Path, settings: Evaluate) -> None:
    """Leave the first questions, if there is a limit."""
    if settings.limit:
        file = clone / QUESTIONS
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        write_text(file, "".join(lines[: settings.limit]))


def read(clone: Path, result: Json) -> Verdicts:
    """Read the verdicts of a run; the turns of a question are one cluster."""
    questions = {question["question_id"]: question for question in read_lines(clone / QUESTIONS)}
    answer_rows = read_lines(only_file(clone / DATA, "model_answer/*.jsonl"))
    answers = index_once(answer_rows, lambda row: row["question_id"])
    if len(answers) < len(questions):
        raise ValueError(f"only {len(answers)} of {len(questions)} questions were answered")
    rows = read_lines(clone / DATA / "model_judgment/gpt-4_single.jsonl")
    verdicts = index_once(rows, lambda row: (row["question_id"], row["turn"]))
    turns = [(name, turn) for name in sorted(questions) for turn in range(1, len(questions[name]["turns"]) + 1)]
    check_known(verdicts, turns)
    scores = [row["score"] for row in rows if row["score"] != NO_SCORE]
    check_mean("Average", result.get("Average"), scores, TOLERANCE)
    samples = [to_sample(questions[name], turn, answers[name], verdicts.get((name, turn))) for name, turn in turns]
    metrics = {"Average": mean_score(group_by(samples, "id").values(), "score_1_10")}
    for turn, part in group_by(samples, "turn").items():
        metrics[f"Turn {turn}"] = mean_score([[sample] for sample in part], "score_1_10")
    return Verdicts(samples, metrics, digest([clone / QUESTIONS]))


def to_sample(question: Json, turn: int, answer: Json, verdict: Json | None) -> Json:
    """Make the sample of one turn of a question."""
    score = verdict["score"] if verdict else NO_SCORE
    return {
        "task": "MTBench",
        "id": question["question_id"],
        "turn": turn,
        "prompt": question["turns"][turn - 1],
        "response": answer["choices"][0]["turns"][turn - 1],
        "score": float(score) if 1 <= score <= 10 else None,  # a judge may write any number in its brackets
        "judge_text": verdict["judgment"] if verdict else "",
    }


MTBENCH = Task(
    name="MTBench",
    files=("eval_instruct.py", "fastchat"),
    num_questions=80,
    verdicts_per_question=2,
    metrics=("Average", "Turn 1", "Turn 2"),
    prepare=prepare,
    read=read,
)
