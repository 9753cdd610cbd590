"""The stage preference: all numbers in tables.json, those that git keeps in summary.json, and the words."""

from pathlib import Path

import pytest

from stages.lib.console.errors import UserError
from stages.lib.core.files import read_json, sha256_folder, write_json
from stages.lib.core.sections import parse
from stages.lib.records.shards import read_table, write_table
from stages.lib.settings.sections import Preference
from stages.preference import main, measure_preference
from tests.support.judgments import (
    BOTH_ORDERS,
    DGM,
    RIVAL,
    TUNED,
    judgment,
    judgment_table,
    judgments,
    pairing_table,
)

SETTINGS = parse(Preference, {"seed": 1, "resamples": 200, "min_judgments": 1, "num_words": 5}, "preference")
PARAMS = """
compare: [dgm, tuned, rival]
preference: {seed: 1, resamples: 100, min_judgments: 2, num_words: 3}
"""
RUNS = {"tuned": {"sources": {"dgm": {"kind": "dgm"}}}, "else": {"sources": {"other": {"kind": "dgm"}}}}
RATES = ("rate", "rate_other")


def test_without_judgments_there_are_no_numbers():
    tables, words = measure_preference(
        {DGM: judgment_table([]), TUNED: judgment_table([])}, pairing_table(), {}, SETTINGS
    )
    assert tables["by_score"]["dgm tuned"]["turns"] == 0
    assert tables["by_score"]["dgm tuned"]["rate"] is None
    assert tables["models"][DGM]["mean"] is None
    assert [table.num_rows for table in words.values()] == [0, 0, 0]


def test_the_summary_names_the_significant_words_and_the_table_counts_them_over_all_pairs():
    # Ten questions, three models: the winner is always the clear one, of two pairs; the third pair is level.
    rows = {
        DGM: [(9, "clear" if number % 2 == 0 else "") for number in range(20)],
        TUNED: [(9 if number % 2 else 1, "not clear" if number % 2 == 0 else "") for number in range(20)],
        RIVAL: [(9 if number % 2 else 1, "not clear" if number % 2 == 0 else "") for number in range(20)],
    }
    judged = {
        model: judgment_table([judgment(number, *row) for number, row in enumerate(part)])
        for model, part in rows.items()
    }
    tables, words = measure_preference(judged, pairing_table(), {}, SETTINGS)
    assert tables["words"]["of_all"] == {
        "turns": 10,
        "tested": 3,
        "different": 3,
        "negated": 1,
        "words": {"winner": ["clear"], "loser": ["not", "not clear"]},
    }
    assert tables["words"]["pairs"]["tuned rival"]["turns"] == 0
    row = words["words_by_winner_of_all"].to_pylist()[0]
    expected = {"word": "clear", "negated": False, "turns": 10, "only_winner": 10, "only_loser": 0, "both": 0}
    assert {key: row[key] for key in expected} == expected
    assert (row["pairs_only_winner"], row["pairs_only_loser"], row["pairs_both"]) == (20, 0, 0)
    assert row["p"] == pytest.approx(2 / 2**10)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the judgments and choices of three models, and nothing else."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS)
    for model, table in judgments().items():
        folder = Path("data/judgments") / model
        folder.mkdir(parents=True)
        write_table(folder, table)
        write_json(folder / ".summary.json", {"status": "ok"})
        write_json(Path(f"metrics/digests/models/{model}.json"), {"judgments": sha256_folder(folder)})
    Path("data/pairwise").mkdir()
    write_json(Path("data/pairwise/.summary.json"), {"status": "ok"})
    write_table(Path("data/pairwise"), pairing_table(*BOTH_ORDERS))
    write_json(Path("metrics/recipes.json"), {"runs": RUNS})


def test_when_the_judge_failed_too_often_none_of_its_judgments_count(project):
    folder = Path("data/judgments") / DGM
    write_json(folder / ".summary.json", {"status": "failed"})
    write_json(Path(f"metrics/digests/models/{DGM}.json"), {"judgments": sha256_folder(folder)})
    write_json(Path("data/pairwise/.summary.json"), {"status": "failed"})
    main()
    tables = read_json(Path("data/preference/tables.json"))
    assert (tables["models"][DGM]["mean"], tables["models"][DGM]["scored"]) == (None, 0)
    assert tables["models"]["tuned"]["mean"] is not None
    assert tables["side_by_side"]["orders"]["turns"] == 0


def test_the_stage_writes_all_numbers_and_the_words(project):
    main()
    tables = read_json(Path("data/preference/tables.json"))
    assert tables["models"][DGM]["mean"] == 7.125
    assert tables["by_score"]["dgm tuned"]["rate"] == 0.5
    assert tables["by_score"]["dgm tuned"]["equal_length"]["reason"] == "the lengths differ by the same on every turn"
    assert tables["side_by_side"]["pairs"]["dgm tuned"]["orders"]["splits"] == 2
    assert tables["flips"]["pairs"] == {
        "dgm tuned": {"rival": {"turns": 8, "behind": 5, "flips": 2, "level": 2, "ties_broken": 1}}
    }
    assert tables["flips"]["not_compared"] == ["other else"]
    assert read_json(Path("data/preference/summary.json")) == {
        "flips": {"dgm tuned": 2},
        "orders": {"agreement": tables["side_by_side"]["orders"]["agreement"], "failed": 0, "unanswered": 0},
        "side_by_side": {"dgm tuned": {name: tables["side_by_side"]["pairs"]["dgm tuned"][name] for name in RATES}},
        "words": {name: tables["words"]["of_all"][name] for name in ("tested", "different")},
    }
    assert set(tables["words"]["pairs"]) == {"dgm tuned", "dgm rival", "tuned rival"}
    columns = {"word", "negated", "only_winner", "only_loser", "both", "turns", "p", "q"}
    assert {"one", "other", *columns} == set(read_table(Path("data/preference/words_by_winner")).column_names)


def test_a_second_run_writes_the_same_bytes(project):
    main()
    first = sha256_folder(Path("data/preference"))
    main()
    assert sha256_folder(Path("data/preference")) == first


def test_there_may_be_no_choices(project):
    write_table(Path("data/pairwise"), pairing_table())
    main()
    choices = read_json(Path("data/preference/tables.json"))["side_by_side"]
    assert choices["pairs"] == {}
    assert choices["orders"]["agreement"] is None


def test_judgments_that_do_not_match_their_digest_are_refused(project):
    write_table(Path("data/judgments/rival"), judgment_table([judgment(0, 1)]))
    with pytest.raises(UserError, match="data/judgments/rival does not match the digest in metrics/"):
        main()


STOP = {  # the judge was asked for TUNED against DGM, until TUNED was worse
    "one": TUNED, "other": DGM, "asked": 4, "counted": 4, "why": "decided", "verdict": "worse", "share": 0.2,
    "interval": [0.1, 0.45], "ci95": [0.125, 0.375], "ci95_won": [0.0, 0.25], "ci95_lost": [0.5, 0.875], "p": 0.01,
}  # fmt: skip


def test_pairs_that_were_stopped_have_intervals_that_hold_whenever_one_stops(project):
    main()
    fixed = read_json(Path("data/preference/tables.json"))["side_by_side"]
    write_json(Path("data/pairwise/.summary.json"), {"status": "ok", "stop": {"asked": 4, "pairs": [STOP]}})
    main()
    stopped = read_json(Path("data/preference/tables.json"))["side_by_side"]
    before, after = fixed["pairs"]["dgm tuned"], stopped["pairs"]["dgm tuned"]
    assert {name for name in after if after[name] != before.get(name)} == {
        "ci95", "ci95_other", "net", "net_ci95", "p", "q", "stop",
    }  # fmt: skip
    assert (after["ci95"], after["ci95_other"]) == ([0.5, 0.875], [0.0, 0.25])  # of DGM, which stands first here
    assert (after["net"], after["net_ci95"]) == (0.6, [0.25, 0.75])
    assert (after["p"], after["q"]) == (0.01, 0.01)
    assert after["equal_length"]["ci95"] == [None, None]
    assert after["stop"] == {
        "asked": 4, "counted": 4, "why": "decided", "verdict": "better", "share": 0.8, "interval": [0.55, 0.9],
    }  # fmt: skip
    assert stopped["stop"] == {"asked": 4} and "stop" not in fixed


def test_a_stopped_pair_without_a_choice_has_no_numbers(project):
    write_json(Path("data/pairwise/.summary.json"), {"status": "failed", "stop": {"pairs": [STOP | {"share": None}]}})
    main()
    pair = read_json(Path("data/preference/tables.json"))["side_by_side"]["pairs"]["dgm tuned"]
    assert (pair["turns"], pair["rate"], pair["net"], pair["p"]) == (0, None, None, 1)
