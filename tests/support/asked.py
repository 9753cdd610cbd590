"""A folder with answers to judge, and a record of what is asked there and how often the judge's engine starts."""

from pathlib import Path

import pyarrow as pa
import pytest

from stages.lib.core.files import sha256_folder, write_json
from stages.lib.engines.echo import EchoEngine
from stages.lib.engines.request import RequestConfig
from stages.lib.models.catalogue import Model, save_model
from stages.lib.records.answers import ANSWER
from stages.lib.records.shards import write_table
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import EngineName
from tests.support.project import write_judge

JUDGE = Model(id="base", name="Judge", location="http://localhost", kind="server", commit="c", parameters_billions=1.0,
              context_window=2000, served_name="wise")  # fmt: skip


class Asked:
    """What a stage asked: the prompts of each start of the engine."""

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


def record_asked(folder: Path, monkeypatch: pytest.MonkeyPatch, answers: dict[str, list[str]]) -> Asked:
    """Work in a folder with each model's answers to as many questions of one turn, and record what is asked there."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("REWILD_STORE", "store")
    write_judge(folder)
    num = len(next(iter(answers.values())))
    lines = [f'{{"question_id": {number}, "category": "c", "turns": ["Q{number}?"]}}\n' for number in range(num)]
    Path("demo/questions.jsonl").write_text("".join(lines))
    save_model(Path("models/base"), JUDGE)
    for model, replies in answers.items():
        write_answers(model, replies)
    recorded = Asked()
    monkeypatch.setattr("stages.lib.generation.cached.make_engine", recorded.make_engine)
    return recorded


def write_answers(model: str, replies: list[str]) -> None:
    """Write the answers of a model, and their digest; an empty reply is none."""
    turn = {"finish_reason": "stop", "prompt_tokens": 1, "completion_tokens": 1}
    rows = [
        {
            "question_id": number,
            "category": "c",
            "turns": [turn | {"user": f"Q{number}?", "assistant": reply}] if reply else [],
            "status": "ok",
        }
        for number, reply in enumerate(replies)
    ]
    folder = Path("data/answers") / model
    folder.mkdir(parents=True)
    write_table(folder, pa.Table.from_pylist(rows, schema=ANSWER))
    write_json(Path(f"metrics/digests/answers/{model}.json"), {"answers": sha256_folder(folder)})
