"""The stage judge asks about the answers of all models with one start of its engine, and only what the store lacks."""

from pathlib import Path

import pyarrow as pa
import pytest
from ruamel.yaml import YAML

from stages.judge import main
from stages.lib.core.files import read_json, sha256_folder, write_json
from stages.lib.core.types import Row
from stages.lib.engines.echo import EchoEngine
from stages.lib.engines.request import RequestConfig
from stages.lib.generation.costs import charge
from stages.lib.models.catalogue import Model, save_model
from stages.lib.records.answers import ANSWER
from stages.lib.records.shards import read_table, write_table
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import EngineName
from tests.support.project import small_params, write_judge

ANSWERS = {"one": ["Blue.", "Grey."], "two": ["Green.", "Grey."], "three": ["Red.", "Pink."]}  # to Q0 and Q1
JUDGE = Model(id="base", name="Judge", location="http://localhost", kind="server", commit="c", parameters_billions=1.0,
              context_window=2000, served_name="wise")  # fmt: skip


class Asked:
    """What the stage asked: the prompts of each start of the engine."""

    def __init__(self) -> None:
        self.starts: list[list[str]] = []

    def make_engine(self, _name: EngineName, model: Model, config: RequestConfig, _runtime: Runtime) -> EchoEngine:
        assert model.id == "base"
        prompts: list[str] = []
        self.starts.append(prompts)

        class Recorded(EchoEngine):
            def submit(self, key, request):
                prompts.append(request.messages[-1]["content"])
                super().submit(key, request)

        return Recorded(config)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """A folder with the answers of three models to two questions of one turn, and what is asked there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REWILD_STORE", "store")
    write_judge(tmp_path)
    lines = [f'{{"question_id": {number}, "category": "c", "turns": ["Q{number}?"]}}\n' for number in range(2)]
    Path("demo/questions.jsonl").write_text("".join(lines))
    save_model(Path("models/base"), JUDGE)
    for model, replies in ANSWERS.items():
        write_answers(model, replies)
    recorded = Asked()
    monkeypatch.setattr("stages.lib.generation.cached.make_engine", recorded.make_engine)
    return recorded


def write_answers(model: str, replies: list[str]) -> None:
    """Write the answers of a model, and their digest."""
    turn = {"finish_reason": "stop", "prompt_tokens": 1, "completion_tokens": 1}
    rows = [
        {
            "question_id": number,
            "category": "c",
            "turns": [turn | {"user": f"Q{number}?", "assistant": reply}],
            "status": "ok",
        }
        for number, reply in enumerate(replies)
    ]
    folder = Path("data/answers") / model
    folder.mkdir(parents=True)
    write_table(folder, pa.Table.from_pylist(rows, schema=ANSWER))
    write_json(Path(f"metrics/digests/answers/{model}.json"), {"answers": sha256_folder(folder)})


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
