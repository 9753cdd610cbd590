"""Judgments of three models on four questions of two turns, and a judge's choices between two of them."""

from typing import Any

import pyarrow as pa

from stages.lib.records.judgments import JUDGMENT
from stages.lib.records.pairings import PAIRING, TIE

DGM, TUNED, RIVAL = "dgm", "tuned", "rival"
# Four questions of two turns:  1a 1b  2a 2b  3a 3b  4a 4b
SCORES = {
    DGM: [9, 8, 7, 5, 6, 9, 9, 4],
    TUNED: [7, 5, 7, 5, 6, 3, 5, 4],
    RIVAL: [8, 8, 4, 5, 7, 4, 5, 9],
}


def judgment(
    number: int, score: float | None, text: str | None = "", chars: int = 100, status: str = "ok"
) -> dict[str, Any]:
    """A row of JUDGMENT of a turn by its number: the first turn of question 1 is number 0, its second is 1."""
    return {
        "question_id": number // 2 + 1,
        "category": "explain",
        "turn": number % 2 + 1,
        "score": score,
        "text": text,
        "chars": chars,
        "status": status,
        "reason": "",
    }


def without_score(number: int, status: str = "failed") -> dict[str, Any]:
    """A row of JUDGMENT without a score."""
    return judgment(number, None, None, 0 if status == "unanswered" else 100, status)


def judgment_table(rows: list[dict[str, Any]]) -> pa.Table:
    """A table of JUDGMENT."""
    return pa.Table.from_pylist(rows, schema=JUDGMENT)


def judgments(scores: dict[str, list[int]] = SCORES) -> dict[str, pa.Table]:
    """Each model's table of JUDGMENT, with a score of every turn."""
    return {
        model: judgment_table([judgment(number, score) for number, score in enumerate(row)])
        for model, row in scores.items()
    }


def pairing(
    number: int, first: str, winner: str | None, status: str = "ok", one: str = DGM, other: str = TUNED
) -> dict[str, Any]:
    """A row of PAIRING of a turn by its number; the reply of the model `first` was shown first."""
    row = judgment(number, None)
    return {
        **{key: row[key] for key in ("question_id", "category", "turn", "text", "reason")},
        "one": one,
        "other": other,
        "first": first,
        "winner": winner,
        "status": status,
    }


def pairing_table(*rows: dict[str, Any]) -> pa.Table:
    """A table of PAIRING."""
    return pa.Table.from_pylist(list(rows), schema=PAIRING)


# Five turns in both orders: DGM wins twice, a tie twice, TUNED wins twice; then the first shown wins in both orders;
# then a tie in one order and DGM in the other.
BOTH_ORDERS = [
    *(pairing(0, DGM, DGM), pairing(0, TUNED, DGM)),
    *(pairing(1, DGM, TIE), pairing(1, TUNED, TIE)),
    *(pairing(2, DGM, TUNED), pairing(2, TUNED, TUNED)),
    *(pairing(3, DGM, DGM), pairing(3, TUNED, TUNED)),
    *(pairing(4, DGM, TIE), pairing(4, TUNED, DGM)),
]
# A turn with a choice in one order only, and one without any.
INCOMPLETE = [
    *(pairing(5, DGM, DGM), pairing(5, TUNED, None, "failed")),
    *(pairing(6, DGM, None, "unanswered"), pairing(6, TUNED, None, "unanswered")),
]
