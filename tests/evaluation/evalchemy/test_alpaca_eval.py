"""What is read of a run of AlpacaEval: preferences as percentages, and its own length control."""

import pytest

from stages.lib.evaluation.evalchemy.alpaca_eval import DATA, PACKAGE
from stages.lib.evaluation.results import measure
from tests.support.evalchemy import alike, read, write


def alpaca(folder, preferences, **result):
    """Write what alpaca_eval leaves: the judge's cache in the package, and a row of its leaderboard."""
    clone = folder / "clone"
    items = [{"instruction": f"Do {number}"} for number in range(len(preferences))]
    for name in ("alpaca_eval.json", "alpaca_eval_gpt4_baseline.json"):
        write(clone / DATA / name, items)
    (clone / DATA / "df_gamed.csv").write_text("made,up\n")
    rows = [
        item
        | {
            "output_1": "base",
            "output_2": "mine",
            "preference": value,
            "preference_raw_completion": {"text": "m", "index": 0},
        }
        for item, value in zip(items, preferences, strict=True)
    ]
    write(clone / PACKAGE / "evaluators_configs/weighted/annotations_seed0_configs.json", rows)
    write(folder / "out/models__rewild/results_x.json", {"results": {"alpaca_eval": result}})


def test_the_length_control_is_alpaca_evals_and_the_interval_of_the_win_rate_is_ours(tmp_path):
    alpaca(tmp_path, [2.0, 1.0, 1.6], win_rate=160 / 3, length_controlled_winrate=41.0, lc_standard_error=1.5)
    entry, samples = read(tmp_path, "alpaca_eval", "length_controlled_winrate")
    controlled = entry["metrics"]["length_controlled_winrate"]
    assert controlled == {
        "value": 41.0,
        "n": 3,
        "clusters": 3,
        "stderr": 1.5,
        "ci95": [41 - 1.96 * 1.5, 41 + 1.96 * 1.5],
        "unit": "percent",
    }
    assert entry["metrics"]["win_rate"] == alike(measure([[100.0], [0.0], [60.0]], unit="percent"))
    assert [row["score"] for row in samples] == pytest.approx([100.0, 0.0, 60.0])


def test_a_preference_that_alpaca_eval_could_not_read_is_a_failed_verdict(tmp_path):
    alpaca(tmp_path, [2.0, None, float("nan")], win_rate=100.0, length_controlled_winrate=41.0)
    entry, samples = read(tmp_path, "alpaca_eval", "win_rate")
    assert [row["score"] for row in samples] == [100.0, None, None]
    assert entry["status"] == "failed"


def test_without_a_length_control_there_is_no_main_metric(tmp_path):
    alpaca(tmp_path, [2.0, 1.0], win_rate=50.0, length_controlled_winrate=float("nan"))
    with pytest.raises(ValueError, match="evalchemy gave no 'length_controlled_winrate', only: win_rate"):
        read(tmp_path, "alpaca_eval", "length_controlled_winrate")
