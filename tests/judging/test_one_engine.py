"""The stage judge asks about the answers of all models with one start of its engine, and only what the store lacks."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages.judge import main
from stages.lib.core.files import read_json, sha256_folder
from stages.lib.core.types import Row
from stages.lib.generation.costs import charge
from stages.lib.records.shards import read_table
from tests.support.asked import Asked, record_asked
from tests.support.project import small_params

ANSWERS = {"one": ["Blue.", "Grey."], "two": ["Green.", "Grey."], "three": ["Red.", "Pink."]}  # to Q0 and Q1


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """A folder with the answers of three models to two questions of one turn, and what is asked there."""
    return record_asked(tmp_path, monkeypatch, ANSWERS)


def judge(*models: str) -> None:
    """Run the stage with these models in `compare`."""
    with Path("params.yaml").open("w") as file:
        YAML().dump(small_params() | {"compare": [*models]}, file)
    main()


def test_all_models_are_judged_by_one_engine_and_equal_replies_once(asked: Asked) -> None:
    judge("one", "two")
    assert asked.starts == [["Q0? Green. [[7]]", "Q0? Blue. [[7]]", "Q1? Grey. [[7]]"]]  # the longest first
    assert [path.name for path in sorted(Path("data/judgments").iterdir())] == ["one", "two"]
    assert read_table(Path("data/judgments/two"))["score"].to_pylist() == [7.0, 7.0]
    assert read_json(Path("data/judgments/two/.results.json"))["model"] == "two"


def test_no_engine_starts_when_the_store_has_all_replies(asked: Asked) -> None:
    judge("one", "two")
    before = sha256_folder(Path("data/judgments"))
    judge("one", "two")
    assert len(asked.starts) == 1
    assert sha256_folder(Path("data/judgments")) == before


def test_one_model_more_asks_about_its_own_replies_alone(asked: Asked) -> None:
    judge("one", "two")
    before = sha256_folder(Path("data/judgments/one"))
    judge("three", "one", "two")
    assert asked.starts[1:] == [["Q1? Pink. [[7]]", "Q0? Red. [[7]]"]]
    assert sha256_folder(Path("data/judgments/one")) == before


def test_of_a_model_that_is_no_longer_compared_nothing_remains(asked: Asked) -> None:
    judge("one", "two")
    judge("two")
    assert [path.name for path in Path("data/judgments").iterdir()] == ["two"]
    assert [path.name for path in Path("data/costs/judge").iterdir()] == ["two.json"]


def test_the_time_of_judging_is_shared_among_the_models_by_tokens_also_when_it_comes_from_the_store(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take_a_minute(rows: list[Row], unpaid: dict[str, float], *, is_last: bool = False) -> None:
        unpaid.clear()
        charge(rows, {"": 60.0}, is_last=is_last)

    monkeypatch.setattr("stages.lib.generation.cached.charge", take_a_minute)
    judge("one", "three")
    one, three = (read_json(Path(f"data/costs/judge/{model}.json"))["seconds"] for model in ("one", "three"))
    assert one + three == 60.0 and one > three > 25
    judge("three")
    assert read_json(Path("data/costs/judge/three.json"))["seconds"] == three
