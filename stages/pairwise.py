"""A judge's choice between the replies of two compared models to the same turn, shown in both orders (paper, sec. 3.3).

In:  data/answers/<model>/ of the models that are paired, the questions' reference replies, the judge's prompts,
     models/<judge>/
Out: data/pairwise/: rows of PAIRING, .summary.json
     data/costs/pairwise/all.json: the time that the judge's replies took, also those from the store
"""

from itertools import combinations
from pathlib import Path
from typing import Literal

import pyarrow as pa

from stages.lib.console.shell import log_line
from stages.lib.core.artifacts import require_answers
from stages.lib.core.costs import ALL, write_cost
from stages.lib.core.files import ROWS_SUMMARY, new_folder, write_json
from stages.lib.core.names import NO_JUDGE, NOBODY_JUDGED
from stages.lib.core.types import Row
from stages.lib.judging.judge import judge_rows
from stages.lib.judging.judge_prompts import JudgePrompts
from stages.lib.judging.judge_replies import JudgeReply, count_statuses, is_answered, judging_status, parse_choice
from stages.lib.judging.questions import read_questions
from stages.lib.records.pairings import PAIRING, TIE
from stages.lib.records.responses import Turn
from stages.lib.records.shards import read_table, write_table
from stages.lib.settings.reading import load, load_value, run
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import Answers, Judge, Pairwise

QuestionTurns = dict[int, list[Turn]]  # one model's turns of each question


def choose_pairs(pairs: Literal["all", "none"] | list[list[str]], compare: list[str]) -> list[tuple[str, str]]:
    """Return the pairs of models to judge."""
    if isinstance(pairs, list):
        return [(one, other) for one, other in pairs]
    return list(combinations(compare, 2)) if pairs == "all" else []


def build_requests(
    pair: tuple[str, str], answers: dict[str, QuestionTurns], questions: list[Row], prompts: JudgePrompts
) -> list[Row]:
    """Build two rows for every turn of every question, one for each order of the replies.

    Their `prompt` is None where one of the models gave no reply.
    """
    rows = []
    for question in questions:
        turns = {model: answers[model].get(question["question_id"], []) for model in pair}
        for number, reference in enumerate(question["reference"], start=1):
            answered = all(is_answered(replies, number) for replies in turns.values())
            for first, second in (pair, pair[::-1]):
                shown = turns[first][:number], turns[second][:number]
                rows.append({
                    "one": pair[0],
                    "other": pair[1],
                    "question_id": question["question_id"],
                    "category": question["category"],
                    "turn": number,
                    "first": first,
                    "prompt": prompts.pair(*shown, reference) if answered else None,
                })
    return rows


def to_pairing(request: Row, reply: JudgeReply | None) -> Row:
    """Build a row of PAIRING; `reply` is None where there was nothing to judge."""
    row = {key: value for key, value in request.items() if key != "prompt"}
    if reply is None:
        return row | {"winner": None, "text": "", "status": "unanswered", "reason": "a model gave no reply"}
    choice, reason = parse_choice(reply)
    second = row["other"] if row["first"] == row["one"] else row["one"]
    winner = {"A": row["first"], "B": second, "C": TIE}.get(choice or "")
    return row | {"winner": winner, "text": reply.text, "status": "failed" if reason else "ok", "reason": reason}


def read_answers(model: str) -> QuestionTurns:
    """Read the answers of one compared model, by question."""
    rows = read_table(require_answers(model)).to_pylist()
    return {row["question_id"]: row["turns"] for row in rows}


READS = ("pairwise", "judge", "answers.questions", "compare", "runtime")


def main() -> None:
    """Judge every pair."""
    judge = load(Judge)
    pairs = [] if judge.model == NO_JUDGE else choose_pairs(load(Pairwise).pairs, load_value("compare"))
    questions = read_questions(Path(load(Answers).questions))
    answers = {model: read_answers(model) for model in dict.fromkeys(name for pair in pairs for name in pair)}
    prompts = JudgePrompts(Path(judge.prompts))
    requests = [row for pair in pairs for row in build_requests(pair, answers, questions, prompts)]
    replies, cost = judge_rows({ALL: requests}, judge, load(Runtime))[ALL]
    rows = [to_pairing(request, reply) for request, reply in zip(requests, replies, strict=True)]
    status, reason = ("skipped", NOBODY_JUDGED) if judge.model == NO_JUDGE else judging_status(rows, "pairwise")
    counts = count_statuses(rows)
    with new_folder(Path("data/pairwise")) as folder:
        write_table(folder, pa.Table.from_pylist(rows, schema=PAIRING))
        write_json(folder / ROWS_SUMMARY, {"pairs": len(pairs), "status": status, "reason": reason, **counts})
    write_cost("pairwise", ALL, cost)
    log_line(NOBODY_JUDGED if status == "skipped" else f"{len(pairs)} pairs of models, {counts['ok']} choices")


if __name__ == "__main__":
    run(main)
