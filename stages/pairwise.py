"""A judge's choice between the replies of two compared models to the same turn, shown in both orders (paper, sec. 3.3).

In:  data/answers/<model>/ of the models that are paired, the questions' reference replies, the judge's prompts,
     models/<judge>/
Out: data/pairwise/: rows of PAIRING, .summary.json (where pairs are asked until decided, with what was decided)
     data/costs/pairwise/all.json: the time that the judge's replies took, also those from the store
"""

from collections.abc import Callable, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from stages.lib.console.shell import log_line
from stages.lib.core.artifacts import require_answers
from stages.lib.core.costs import ALL, Cost, write_cost
from stages.lib.core.files import ROWS_SUMMARY, new_folder, write_json
from stages.lib.core.names import NO_JUDGE, NOBODY_JUDGED
from stages.lib.core.pairs import Pair, all_pairs
from stages.lib.core.types import Json, Row
from stages.lib.judging.judge import AskedJudge
from stages.lib.judging.judge_prompts import JudgePrompts
from stages.lib.judging.judge_replies import JudgeReply, count_statuses, is_answered, judging_status, parse_choice
from stages.lib.judging.questions import read_questions
from stages.lib.judging.race import Rounds
from stages.lib.judging.sequential import Outcome, average_turns, decide_pair
from stages.lib.judging.stopped import describe_stops
from stages.lib.records.hashing import keyed_hash
from stages.lib.records.pairings import PAIRING, TIE
from stages.lib.records.responses import Turn
from stages.lib.records.shards import read_table, write_table
from stages.lib.settings.pairwise import Pairwise
from stages.lib.settings.reading import load, load_value, run
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import Answers, Judge

QuestionTurns = dict[int, list[Turn]]  # one model's turns of each question
Build = Callable[[Pair, Sequence[Row]], list[Row]]  # the requests about a pair on some questions


def choose_pairs(pairs: Literal["all", "none"] | list[list[str]], compare: list[str]) -> list[Pair]:
    """Return the pairs of models to judge."""
    if isinstance(pairs, list):
        return [(one, other) for one, other in pairs]
    return all_pairs(compare) if pairs == "all" else []


def build_requests(
    pair: Pair, answers: dict[str, QuestionTurns], questions: Sequence[Row], prompts: JudgePrompts
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


def ask_all(pairs: Sequence[Pair], build: Build, questions: Sequence[Row], judge: AskedJudge) -> tuple[list[Row], Cost]:
    """Ask about every question of every pair; return the rows of PAIRING, and what they cost."""
    requests = [row for pair in pairs for row in build(pair, questions)]
    replies, cost = judge.ask(requests)
    return [to_pairing(request, reply) for request, reply in zip(requests, replies, strict=True)], cost


def ask_until_decided(
    rounds: Rounds, build: Build, questions: Sequence[Row], judge: AskedJudge
) -> tuple[list[Row], Cost, dict[Pair, list[Outcome]]]:
    """Ask about the questions in their order, in rounds, until every pair is decided or is asked no further.

    Returned are the rows of PAIRING by pair, what they cost, and the outcomes of each pair's questions.
    """
    requests: dict[Pair, list[Row]] = {pair: [] for pair in rounds.asked}
    rows: dict[Pair, list[Row]] = {pair: [] for pair in rounds.asked}
    outcomes: dict[Pair, list[Outcome]] = {pair: [] for pair in rounds.asked}
    while places := rounds.next_round():
        asked = {pair: build(pair, questions[place.start : place.stop]) for pair, place in places.items()}
        judge.ask([*chain.from_iterable(asked.values())])
        for pair, new in asked.items():
            made = [to_pairing(*both) for both in zip(new, judge.ask(new).replies, strict=True)]
            requests[pair] += new
            rows[pair] += made
            parts = (average_turns(part) for _, part in groupby(made, key=lambda row: row["question_id"]))
            outcomes[pair] += [outcome for outcome in parts if outcome]
        shares = {pair: np.array([outcome.share for outcome in outcomes[pair]]) for pair in places}
        rounds.record({pair: decide_pair(values, rounds.rule) for pair, values in shares.items()})
        log_line(rounds.describe())
    cost = judge.ask([*chain.from_iterable(requests.values())]).cost
    return [*chain.from_iterable(rows.values())], cost, outcomes


def order_questions(questions: Sequence[Row], seed: int) -> list[Row]:
    """Return the questions in an order that neither their content nor their place decides."""
    return sorted(questions, key=lambda question: keyed_hash(seed, "pairwise", str(question["question_id"])))


READS = ("pairwise", "judge", "answers.questions", "compare", "runtime")


def main() -> None:
    """Judge every pair."""
    judge, pairwise = load(Judge), load(Pairwise)
    pairs = [] if judge.model == NO_JUDGE else choose_pairs(pairwise.pairs, load_value("compare"))
    questions = read_questions(Path(load(Answers).questions))
    answers = {model: read_answers(model) for model in dict.fromkeys(name for pair in pairs for name in pair)}
    prompts = JudgePrompts(Path(judge.prompts))

    def build(pair: Pair, part: Sequence[Row]) -> list[Row]:
        return build_requests(pair, answers, part, prompts)

    stopped: Json = {}
    with AskedJudge(judge, load(Runtime)) as asked:
        if pairwise.stop is None:
            rows, cost = ask_all(pairs, build, questions, asked)
        else:
            rounds = Rounds(pairs, len(questions), pairwise.stop)
            ordered = order_questions(questions, judge.seed)
            rows, cost, outcomes = ask_until_decided(rounds, build, ordered, asked)
            stopped = {"stop": describe_stops(rounds, outcomes, pairwise.stop, len(questions))}
    write_pairings(rows, {"pairs": len(pairs)}, stopped, is_skipped=judge.model == NO_JUDGE)
    write_cost("pairwise", ALL, cost)


def write_pairings(rows: list[Row], pairs: Json, stopped: Json, *, is_skipped: bool) -> None:
    """Write the rows with their counts and status, and where pairs were stopped what was decided."""
    status, reason = ("skipped", NOBODY_JUDGED) if is_skipped else judging_status(rows, "pairwise")
    counts = count_statuses(rows)
    with new_folder(Path("data/pairwise")) as folder:
        write_table(folder, pa.Table.from_pylist(rows, schema=PAIRING))
        write_json(folder / ROWS_SUMMARY, {**pairs, "status": status, "reason": reason, **counts, **stopped})
    log_line(NOBODY_JUDGED if is_skipped else f"{pairs['pairs']} pairs of models, {counts['ok']} choices")


if __name__ == "__main__":
    run(main)
