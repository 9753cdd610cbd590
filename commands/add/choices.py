"""The judge's choices between a model and a few DGMs, in rounds, until a budget is spent or all is decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from commands.add.field import Sample
from stages.lib.comparison.verdicts import Verdict
from stages.lib.core.types import Floats, Row
from stages.lib.judging.judge import judge_rows
from stages.lib.judging.judge_prompts import JudgePrompts
from stages.lib.judging.pairwise import PairChoices
from stages.lib.records.pairings import TIE
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import Judge
from stages.lib.statistics.intervals import clustered_means, score_interval
from stages.pairwise import build_requests, to_pairing

NUM_ANCHORS = 5
CALLS = 400  # judge replies for all anchors together
FIRST_ROUND = 10  # prompts for each anchor; every round doubles what was asked, as each may start the judge's engine
ORDERS = 2
BOUNDS = (-1.0, 1.0)


@dataclass(frozen=True)
class Decision:
    """What the judge's choices between two models say so far."""

    value: float | None  # the share of prompts won less that lost; None without a choice
    ci95: list[float] | None
    verdict: Verdict = Verdict.NOT_DECIDED
    is_final: bool = False  # whether more choices are not needed


@dataclass(frozen=True)
class Standing:
    """How a model stands against one anchor by the judge."""

    anchor: str
    outcomes: Floats  # of the prompts that were asked: 1 won, 0 a tie, -1 lost; NaN: no choice in both orders
    decision: Decision


def decide(outcomes: Floats, margin: float) -> Decision:
    """Decide between two models by the outcomes of all prompts of a budget that was fixed before."""
    known = outcomes[np.isfinite(outcomes)][:, None]
    if not len(known):
        return Decision(None, None)
    means = clustered_means(known, np.arange(len(known)))
    low, high = score_interval(means.values, means.stderrs, means.clusters, BOUNDS)[0].tolist()
    value = float(means.values[0])
    if not np.isfinite([low, high]).all():
        return Decision(value, None)
    if max(abs(low), abs(high)) <= margin:
        return Decision(value, [low, high], Verdict.EQUIVALENT)
    if low <= 0 <= high:
        return Decision(value, [low, high])
    return Decision(value, [low, high], Verdict.BETTER if value > 0 else Verdict.WORSE)


def ask(
    own: Sample, anchors: Sequence[Sample], keys: Sequence[str], judge: Judge, runtime: Runtime
) -> dict[str, Floats]:
    """Have the judge choose between the first replies to some prompts, in both orders; return outcomes by anchor."""
    prompts = JudgePrompts(Path(judge.prompts))
    requests = {anchor.id: request(own, anchor, keys, prompts) for anchor in anchors}
    judged = judge_rows(requests, judge, runtime)
    return {
        anchor: to_outcomes([to_pairing(*pair) for pair in zip(rows, judged[anchor].replies, strict=True)], own.id)
        for anchor, rows in requests.items()
    }


def request(own: Sample, anchor: Sample, keys: Sequence[str], prompts: JudgePrompts) -> list[Row]:
    """Build the two requests for each prompt that both have; no reply of the source is shown as a reference."""
    shared = [key for key in keys if key in anchor.rows]
    answers = {sample.id: {key: sample.rows[key]["turns"] for key in shared} for sample in (own, anchor)}
    questions = [{"question_id": key, "category": "", "reference": [""]} for key in shared]
    return build_requests((own.id, anchor.id), answers, questions, prompts)  # type: ignore[arg-type]  # keys are hashes


def to_outcomes(rows: Sequence[Row], own: str) -> Floats:
    """Return the outcome of each prompt from its two rows of PAIRING; a split of both orders is a tie."""
    values = [{own: 1.0, TIE: 0.0}.get(row["winner"], -1.0) if row["status"] == "ok" else np.nan for row in rows]
    orders = np.array(values).reshape(-1, ORDERS)
    return PairChoices([(own, "")], orders[:, :1], orders[:, 1:], [], 0).outcomes[:, 0]


def stand(
    own: Sample, anchors: Sequence[Sample], calls: int, margin: float, judge: Judge, runtime: Runtime
) -> list[Standing]:
    """Have the judge compare a model with every anchor: in rounds on the prompts in their order, within a budget.

    An anchor that is decided is asked about no further. What the store holds counts as asked, so that a run again asks
    nothing and ends in the same place.
    """
    known: dict[str, Floats] = {anchor.id: np.zeros(0) for anchor in anchors}
    decisions = {anchor.id: decide(known[anchor.id], margin) for anchor in anchors}
    keys, asked, spent = list(own.rows), 0, 0
    size = FIRST_ROUND
    while open_ones := [anchor for anchor in anchors if not decisions[anchor.id].is_final]:
        batch = keys[asked : asked + min(size, (calls - spent) // (ORDERS * len(open_ones)))]
        if not batch:
            break
        for anchor, outcomes in ask(own, open_ones, batch, judge, runtime).items():
            known[anchor] = np.concatenate([known[anchor], outcomes])
            decisions[anchor] = decide(known[anchor], margin)
        spent += ORDERS * len(batch) * len(open_ones)
        asked, size = asked + len(batch), asked + len(batch)
    return [Standing(anchor.id, known[anchor.id], decisions[anchor.id]) for anchor in anchors]


def describe_wins(outcomes: Floats) -> Mapping[str, int]:
    """Count prompts won, tied, lost and without a choice."""
    known = outcomes[np.isfinite(outcomes)]
    won, lost = int((known > 0).sum()), int((known < 0).sum())
    return {"won": won, "tied": len(known) - won - lost, "lost": lost, "unknown": len(outcomes) - len(known)}
