"""The judge's choices between a model and a few DGMs, in rounds, until all is decided or a budget is spent."""

from collections.abc import Sequence
from pathlib import Path

from commands.add.field import Sample
from stages.lib.core.pairs import Pair
from stages.lib.core.types import Json, Row
from stages.lib.judging.judge import AskedJudge
from stages.lib.judging.judge_prompts import JudgePrompts
from stages.lib.judging.race import Rounds
from stages.lib.judging.stopped import describe_stops
from stages.lib.settings.pairwise import Stop
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import Judge
from stages.lib.statistics.significance import ALPHA
from stages.pairwise import ask_until_decided, build_requests

NUM_ANCHORS = 5
CALLS = 400  # judge replies for all anchors together
ORDERS = 2


def stand(
    own: Sample, anchors: Sequence[Sample], calls: int, margin: float, judge: Judge, runtime: Runtime
) -> list[Json]:
    """Have the judge compare a model with every anchor; return a row for each, as `pairwise` describes a stopped pair.

    It sees the first replies to the prompts in their order, in both orders, and no reply of the source as a reference.
    An anchor that is decided is asked about no further. What the store holds counts as asked, so that a run again asks
    nothing and ends in the same place. `margin` is that of the share of prompts won less that lost.
    """
    stop = Stop(alpha=ALPHA, margin=margin / 2, max_questions=calls // ORDERS)
    questions = [{"question_id": key, "category": "", "reference": [""]} for key in own.rows]
    answers = {each.id: {key: row["turns"] for key, row in each.rows.items()} for each in (own, *anchors)}
    prompts = JudgePrompts(Path(judge.prompts))
    rounds = Rounds([(own.id, anchor.id) for anchor in anchors], len(questions), stop)

    def build(pair: Pair, part: Sequence[Row]) -> list[Row]:
        return build_requests(pair, answers, part, prompts)  # type: ignore[arg-type]  # keys are hashes here

    with AskedJudge(judge, runtime) as asked:
        _, _, outcomes = ask_until_decided(rounds, build, questions, asked)
    rows: list[Json] = describe_stops(rounds, outcomes, stop, len(questions))["pairs"]
    return rows
