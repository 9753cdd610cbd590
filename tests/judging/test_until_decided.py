"""The stage pairwise asks in rounds until pairs are decided: with one start of its engine, and only for what is new."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages.lib.core.files import read_json, sha256_folder
from stages.lib.core.pairs import Pair
from stages.lib.core.types import Json
from stages.lib.judging.stopped import read_stops
from stages.lib.records.shards import read_table
from stages.pairwise import main
from tests.support.asked import Asked, record_asked
from tests.support.project import small_params

NUM = 40  # questions
# The judge prefers the larger of two numbers: good wins all, and level wins against fair as often as it loses.
REPLIES = {
    "good": ["9"] * NUM,
    "fair": ["5"] * NUM,
    "level": [str(4 + 2 * (number % 2)) for number in range(NUM)],
}
PROMPT = (
    "{% set one, other = first[-1] | int, second[-1] | int %}"
    "{{ users[-1] }} {{ one }} {{ other }} [[{{ 'A' if one > other else 'B' if one < other else 'C' }}]]"
)
STOP = {"alpha": 0.05, "margin": 0.05, "round": 5}
PAIRS = [("good", "fair"), ("good", "level"), ("fair", "level")]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """A folder with the answers of three models, and what is asked there."""
    recorded = record_asked(tmp_path, monkeypatch, REPLIES)
    Path("demo/judge/pair.txt").write_text(PROMPT)
    return recorded


def judge(stop: Any, models: tuple[str, ...] = tuple(REPLIES)) -> dict[Pair, Json]:
    """Run the stage; return what it says of each pair."""
    params = small_params() | {"compare": [*models], "pairwise": {"stop": stop, "pairs": "all"}}
    with Path("params.yaml").open("w") as file:
        YAML().dump(params, file)
    main()
    stops = read_stops(Path("data/pairwise"))
    return {(pair["one"], pair["other"]): pair for pair in stops["pairs"]} if stops else {}


def test_a_pair_is_asked_about_until_it_is_decided_and_the_others_on(asked: Asked) -> None:
    pairs = judge(STOP)
    assert {pair: (stop["asked"], stop["why"], stop["verdict"]) for pair, stop in pairs.items()} == {
        PAIRS[0]: (15, "decided", "better"),  # after 12: 1.5^12 is 130, 1.5^11 is 86, and 2 * 3 / 0.05 is 120
        PAIRS[1]: (15, "decided", "better"),
        PAIRS[2]: (40, "all questions asked", "not decided"),
    }
    rows = read_table(Path("data/pairwise")).to_pylist()
    assert len(rows) == 2 * (15 + 15 + 40)
    stops = read_json(Path("data/pairwise/.summary.json"))["stop"]
    assert (stops["asked"], stops["questions"], stops["saved"]) == (70, 40, 0.4167)


def test_the_engine_starts_once_for_all_rounds(asked: Asked) -> None:
    judge(STOP)
    assert len(asked.starts) == 1
    assert len(asked.starts[0]) == len(set(asked.starts[0])) == 2 * (15 + 15 + 40)  # nothing is asked twice


def test_a_second_run_asks_nothing_and_writes_the_same_bytes(asked: Asked) -> None:
    judge(STOP)
    before = sha256_folder(Path("data/pairwise")), Path("data/pairwise/.summary.json").read_bytes()
    judge(STOP)
    assert len(asked.starts) == 1
    assert (sha256_folder(Path("data/pairwise")), Path("data/pairwise/.summary.json").read_bytes()) == before


def test_a_run_that_is_interrupted_goes_on(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(self: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as interrupted, pytest.raises(KeyboardInterrupt):
        interrupted.setattr("stages.lib.judging.race.Rounds.describe", end)  # after the first round
        judge(STOP)
    assert [len(prompts) for prompts in asked.starts] == [2 * 3 * 5]
    judge(STOP)
    assert [len(prompts) for prompts in asked.starts] == [2 * 3 * 5, 2 * (10 + 10 + 35)]


def test_a_larger_budget_pays_only_for_more(asked: Asked) -> None:
    pairs = judge(STOP | {"max_questions": 20})
    assert {(stop["asked"], stop["why"]) for stop in pairs.values()} == {(6, "budget spent")}  # 20 is not 3 * 7
    pairs = judge(STOP | {"max_questions": 50})
    assert [stop["asked"] for stop in pairs.values()] == [15, 15, 20]  # what two pairs no longer need goes to the third
    assert pairs[PAIRS[2]]["why"] == "budget spent"
    assert [len(prompts) for prompts in asked.starts] == [2 * 18, 2 * (50 - 18)]


def test_the_best_are_known_before_every_pair_is_decided(asked: Asked) -> None:
    pairs = judge(STOP | {"top": 1})
    assert {pair: (stop["asked"], stop["why"]) for pair, stop in pairs.items()} == {
        PAIRS[0]: (15, "decided"),
        PAIRS[1]: (15, "decided"),
        PAIRS[2]: (15, "not needed for the best"),
    }
    stops = read_json(Path("data/pairwise/.summary.json"))["stop"]
    assert stops["best"] == {"inside": ["good"], "outside": ["fair", "level"], "unknown": []}


def test_questions_without_a_reply_are_asked_of_nobody_and_decide_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = {"good": ["9"] * NUM, "silent": [""] * NUM, "fair": ["5"] * NUM}
    asked = record_asked(tmp_path, monkeypatch, replies)
    Path("demo/judge/pair.txt").write_text(PROMPT)
    pairs = judge(STOP, ("good", "silent", "fair"))
    silent = pairs["good", "silent"]
    assert (silent["counted"], silent["why"], silent["share"], silent["interval"]) == (
        0, "all questions asked", None, [0.0, 1.0],
    )  # fmt: skip
    assert pairs["good", "fair"]["why"] == "decided"
    assert len(asked.starts[0]) == 2 * 15


def test_without_a_rule_every_question_is_asked_and_nothing_is_said_of_stopping(asked: Asked) -> None:
    assert judge("none") == {}
    assert read_json(Path("data/pairwise/.summary.json")) == {
        "pairs": 3, "status": "ok", "reason": None, "ok": 240, "failed": 0, "unanswered": 0,
    }  # fmt: skip
    rows = read_table(Path("data/pairwise")).to_pylist()
    keys = [(row["one"], row["other"], row["question_id"], row["first"]) for row in rows]
    assert keys == [(*pair, number, first) for pair in PAIRS for number in range(NUM) for first in pair]


def test_nobody_judges_in_rounds_either(asked: Asked) -> None:
    params = small_params() | {"compare": [*REPLIES], "pairwise": {"stop": STOP, "pairs": "all"}}
    params["judge"]["model"] = "none"
    with Path("params.yaml").open("w") as file:
        YAML().dump(params, file)
    main()
    assert asked.starts == []
    assert read_json(Path("data/pairwise/.summary.json"))["status"] == "skipped"
