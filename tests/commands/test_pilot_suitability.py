"""The pilot's last table: which DGM suits a base model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from commands.pilot import suitability
from commands.pilot.review import find_verdicts
from commands.pilot.suitability import format_order, keep_chats, predict_order
from stages.lib.core.types import Row
from stages.lib.records.chats import Message
from stages.lib.settings.sections import Suitability
from tests.support.pilot import answer, make_job, make_prompt

SETTINGS = Suitability(bases=["base"], device="cpu", num_conversations=2, seed=1, resamples=20)


def numbers(place: float | None, ratio: float | None, **left_out: int) -> dict[str, Any]:
    """The numbers of a DGM with 3 conversations, without intervals."""
    cells = {"place": place, "ratio": ratio, "surprisal": 2.0, "rank": 10.0, "tokens": 40.0}
    return {
        **{name: {"value": value, "ci95": None} for name, value in cells.items()},
        "conversations": 3,
        "left_out": left_out,
        "beyond_window": {"value": 0.25, "ci95": [0.0, 0.6]},
    }


def test_the_best_predicted_dgm_is_first_and_one_without_a_score_has_a_line() -> None:
    dgms = {"plain": numbers(2.0, 6.5), "none": numbers(None, None, refused=3), "rich": numbers(1.0, 5.0)}
    assert format_order("base", dgms)[:5] == [
        "Which DGM suits base?",
        "DGM    place  ratio  surprisal   rank  tokens  too long  conversations",
        "rich       1   5.00       2.00  10.00   40.00     25.0%              3",
        "plain      2   6.50       2.00  10.00   40.00     25.0%              3",
        "no score of none: refused 3",
    ]


def test_only_kept_conversations_are_read(tmp_path: Path) -> None:
    prompts = [make_prompt("a"), make_prompt("b")]
    rows = [answer(prompts[0], assistant=""), answer(prompts[1], assistant="Hello.")]
    chats = keep_chats(rows, find_verdicts(rows, prompts, make_job(tmp_path)))
    assert chats == {
        rows[1]["conversation_hash"]: [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Hello."}]
    }


def test_the_first_conversations_of_each_dgm_are_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, int]] = []

    class Lengths:
        def __init__(self, *_given: Any) -> None:
            pass

        def score(self, chats: Sequence[list[Message]], of: str) -> list[Row]:
            asked.append((of, len(chats)))
            return [{"status": "ok", "tokens": 1, "rank": float(len(of)), "surprisal": 1.0} for _ in chats]

    monkeypatch.setattr(suitability, "Scorer", Lengths)
    monkeypatch.setattr(suitability, "load_model", str)
    monkeypatch.setattr(suitability, "load", lambda _section: type("Train", (), {"sequence_length": 1}))
    three: dict[str, list[Message]] = {name: [{"role": "user", "content": "Hi?"}] for name in "abc"}
    lines = predict_order({"plain": three, "rich": three, "empty": {}}, "base", SETTINGS)
    assert asked == [("plain", 2), ("rich", 2)]
    assert [line.split()[0] for line in lines[2:4]] == ["rich", "plain"]
    assert "empty: none of its conversations is kept, so base reads none" in capsys.readouterr().err
