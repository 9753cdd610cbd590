"""A judge's choice between the replies of two compared models to the same turn, shown in both orders (paper, sec. 3.3).

In:  data/answers/<model>/ of the models that are paired, the questions' reference replies, the judge's prompts,
     models/<judge>/
Out: data/pairwise/: rows of PAIRING, .summary.json
"""

from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from stages.lib.console.shell import log_line
from stages.lib.core.artifacts import require_compared
from stages.lib.core.files import ROWS_SUMMARY, new_folder, write_json
from stages.lib.judging.judge import (
    JudgePrompts,
    JudgeReply,
    count_statuses,
    is_answered,
    judge_rows,
    judging_status,
    read_choice,
)
from stages.lib.judging.questions import read_questions
from stages.lib.records.pairings import PAIRING, TIE
from stages.lib.records.responses import Turn
from stages.lib.records.shards import read_table, write_table
from stages.lib.settings.reading import load, load_value, run
from stages.lib.settings.sections import Answers, Judge, Pairwise

AnswerTurns = dict[int, list[Turn]]  # the turns of each question


def choose_pairs(pairs: Literal["all", "none"] | list[list[str]], compare: list[str]) -> list[tuple[str, str]]:
    """The pairs of models to judge."""
    if isinstance(pairs, list):
        return [(one, other) for one, other in pairs]
    return list(combinations(compare, 2)) if pairs == "all" else []


def to_judge(
    pair: tuple[str, str], answers: dict[str, AnswerTurns], questions: list[dict[str, Any]], prompts: JudgePrompts
) -> list[dict[str, Any]]:
    """Two rows for every turn of every question, one for each order: its prompt, or none where a reply is missing."""
    rows = []
    for question in questions:
        turns = {model: answers[model].get(question["question_id"], []) for model in pair}
        for number, reference in enumerate(question["reference"], start=1):
            both = all(is_answered(replies, number) for replies in turns.values())
            for first, second in (pair, pair[::-1]):
                rows.append({
                    "one": pair[0],
                    "other": pair[1],
                    "question_id": question["question_id"],
                    "category": question["category"],
                    "turn": number,
                    "first": first,
                    "prompt": prompts.pair(turns[first][:number], turns[second][:number], reference) if both else None,
                })
    return rows


def to_row(asked: dict[str, Any], verdict: JudgeReply | None) -> dict[str, Any]:
    """A row of PAIRING."""
    row = {key: value for key, value in asked.items() if key != "prompt"}
    if verdict is None:
        return row | {"winner": None, "text": "", "status": "unanswered", "reason": "a model gave no reply"}
    choice, reason = read_choice(verdict)
    second = row["other"] if row["first"] == row["one"] else row["one"]
    winner = {"A": row["first"], "B": second, "C": TIE}.get(choice or "")
    return row | {"winner": winner, "text": verdict.text, "status": "failed" if reason else "ok", "reason": reason}


def read_answers(model: str) -> AnswerTurns:
    """The answers of one compared model, by question."""
    rows = read_table(require_compared(model, "answers")).to_pylist()
    return {row["question_id"]: row["turns"] for row in rows}


READS = ("pairwise", "judge", "answers.questions", "compare", "runtime")


def main() -> None:
    """Judge every pair."""
    judge = load(Judge)
    pairs = choose_pairs(load(Pairwise).pairs, load_value("compare"))
    questions = read_questions(Path(load(Answers).questions))
    answers = {model: read_answers(model) for model in dict.fromkeys(name for pair in pairs for name in pair)}
    prompts = JudgePrompts(Path(judge.prompts))
    asked = [row for pair in pairs for row in to_judge(pair, answers, questions, prompts)]
    rows = [to_row(row, verdict) for row, verdict in zip(asked, judge_rows(asked, judge), strict=True)]
    status, reason = judging_status(rows, "pairwise")
    counts = count_statuses(rows)
    with new_folder(Path("data/pairwise")) as folder:
        write_table(folder, pa.Table.from_pylist(rows, schema=PAIRING))
        write_json(folder / ROWS_SUMMARY, {"pairs": len(pairs), "status": status, "reason": reason, **counts})
    log_line(f"{len(pairs)} pairs, {counts['ok']} verdicts")


if __name__ == "__main__":
    run(main)
