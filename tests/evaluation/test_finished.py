"""Which finished tasks of an evaluation that was interrupted another run takes up."""

import json
from pathlib import Path

import pytest

from stages.lib.core.sections import parse
from stages.lib.evaluation.finished import FinishedTasks, task_digests
from stages.lib.evaluation.protocol import FACTS, result_path, samples_path
from stages.lib.evaluation.samples import write_samples
from stages.lib.models.catalogue import Model
from stages.lib.settings.evaluate import Evaluate
from tests.support.evaluation import FAILED, SETTINGS, scored

MODEL = Model(
    id="m", name="M", location="models/m", kind="local", commit="c", parameters_billions=1.0, context_window=256
)


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tasks").mkdir()
    Path("tasks/quiz.jsonl").write_text("rows")


def digests(model: Model = MODEL, code: str = "code", **changes: object) -> dict[str, str]:
    return task_digests(model, parse(Evaluate, SETTINGS | changes, "evaluate"), code)


def test_a_task_counts_for_the_same_model_settings_rows_and_code_alone() -> None:
    before = digests()
    assert set(before) == {"quiz", "sums"}
    others = [
        digests(MODEL.model_copy(update={"commit": "d"})),
        digests(MODEL.model_copy(update={"system_prompt": "Be brief."})),
        digests(code="other"),
        digests(max_tokens=9),
        digests(limit=3),
        digests(apply_chat_template=False),
    ]
    Path("tasks/quiz.jsonl").write_text("other rows")
    for other in [*others, digests()]:
        assert not set(before.values()) & set(other.values())


def test_what_python_compiles_beside_the_tasks_decides_nothing() -> None:
    Path("tasks/utils.py").write_text("def score(): ...")
    before = digests()
    Path("tasks/__pycache__").mkdir()
    Path("tasks/__pycache__/utils.cpython-311.pyc").write_bytes(b"compiled")
    assert digests() == before
    Path("tasks/utils.py").write_text("def score(): return 1")
    assert digests() != before


def test_other_tasks_and_averages_may_change_in_between() -> None:
    changed = digests(
        tasks={"sums": "exact_match", "quiz": "acc", "more": "acc"},
        evalchemy={"MTBench": "Average"},
        evalchemy_judge="another",
        averages={"mine": ["sums"]},
    )
    assert changed["sums"] == digests()["sums"]
    assert changed["quiz"] != digests()["quiz"], "its main metric decides the samples' scores"


def test_only_tasks_with_a_score_are_kept_and_they_come_back_with_samples_and_facts() -> None:
    first, second = (
        FinishedTasks("m", Path(work), Path("kept"), {"a": "1", "b": "2", "c": "3"}) for work in ("one", "two")
    )
    for tasks in (first, second):
        tasks.work.mkdir()
    first.keep()
    assert (first.count(), Path("kept").exists()) == (0, False)
    row = {"task": "a", "id": 0, "turn": None, "prompt": "p", "response": "r", "score": 1.0, "judge_text": None}
    write_samples(samples_path(first.work, "a"), [row])
    (first.work / FACTS).write_text(json.dumps({"chat_template_sha256": "t"}))
    for task, entry in (("a", scored(0.5)), ("b", FAILED)):
        result_path(first.work, task).write_text(json.dumps(entry))
    first.keep()
    assert second.restore() == ({"a": scored(0.5)}, {"chat_template_sha256": "t"})
    assert samples_path(second.work, "a").read_bytes() == samples_path(first.work, "a").read_bytes()
    second.clear()
    assert (second.restore(), list(Path("kept").iterdir())) == (({}, {}), [])
