"""The page of a run: each conversation counted once, shares beside the pilot's, a page in any state."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from commands.pilot.job import Settings
from commands.pilot.note import PilotNote, digest_asked, read_note, write_note
from commands.watch.generation import Dgm, measure
from commands.watch.page import build_page, describe_compared
from commands.watch.pipeline import Pipeline
from commands.watch.trainings import Training, read_trainings
from stages.lib.core.sections import parse, read_yaml
from stages.lib.generation.store import Store
from stages.lib.records.prompts import PROMPT
from stages.lib.records.shards import write_rows
from stages.lib.settings.runtime import RayCluster, Runtime
from stages.lib.settings.sections import Gate, Validate
from stages.train import WORK
from tests.support.chromium import visit
from tests.support.conversations import CONFIG, MODEL, answered_row
from tests.support.generation import GENERATE
from tests.support.project import ROOT
from tests.support.training import log_entry, write_log

PARAMS = read_yaml(ROOT / "params.yaml")
SETTINGS = Settings(
    generate=GENERATE,
    validate=parse(Validate, PARAMS["validate"], "validate"),
    gate=parse(Gate, PARAMS["gate"], "gate"),
    runtime=Runtime(),
    price_per_gpu_hour=2.0,
)
PROMPTS = [
    {"conversation_hash": name, "source": "s", "language": "English", "toxic": False, "system": "",
     "turns": [{"user": f"What is {name}?", "reference": ""}]}
    for name in "abcd"
]  # fmt: skip


@pytest.fixture
def dgm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dgm:
    """A DGM with four prompts and no conversation yet."""
    monkeypatch.chdir(tmp_path)
    Path("data/prompts").mkdir(parents=True)
    write_rows(Path("data/prompts"), 0, PROMPTS, PROMPT)
    return Dgm(MODEL, CONFIG, SETTINGS, Store(tmp_path / "store", "m"), len(PROMPTS), None)


def flush(dgm: Dgm, *prompts: dict[str, Any], **changes: Any) -> None:
    """Append the conversations of these prompts to the store, as a stage does."""
    took = {"seconds": 1800.0, "hardware": "H100 x1", **changes}
    dgm.store.append([answered_row(prompt) | took for prompt in prompts])
    dgm.update()


def test_each_conversation_counts_once_as_it_is_flushed(dgm: Dgm) -> None:
    dgm.update()
    assert (dgm.done, dgm.seconds_to_go, dgm.tokens_per_second) == (0, None, None)
    flush(dgm, PROMPTS[0])
    flush(dgm, *PROMPTS[:3])
    assert (dgm.done, dgm.seconds, dgm.seconds_to_go) == (3, 5400.0, 1800.0)
    assert (dgm.cost(dgm.seconds), dgm.cost(dgm.seconds_to_go)) == (3.0, 1.0)


def test_replicas_divide_the_time_and_not_its_price(dgm: Dgm) -> None:
    ray = RayCluster(address="auto", replicas=2)
    dgm.settings = replace(SETTINGS, runtime=SETTINGS.runtime.model_copy(update={"ray": ray}))
    flush(dgm, *PROMPTS[:3])
    assert (dgm.seconds, dgm.seconds_to_go) == (2700.0, 900.0)
    assert (dgm.cost(dgm.seconds), dgm.cost(dgm.seconds_to_go)) == (3.0, 1.0)


def test_conversations_of_other_params_and_other_prompts_do_not_count(dgm: Dgm) -> None:
    flush(dgm, PROMPTS[0], identity="of another sampling")
    flush(dgm, PROMPTS[1] | {"conversation_hash": "unknown"})
    assert dgm.done == 0


def test_replies_are_checked_as_validate_does(dgm: Dgm) -> None:
    long = answered_row(PROMPTS[0])
    long["turns"][0] |= {"finish_reason": "length", "completion_tokens": CONFIG.max_tokens}
    dgm.store.append([long])
    dgm.update()
    assert {share.name: share.count for share in dgm.shares} == {"cut": 1, "refused": 0, "looping": 0, "dropped": 1}


@pytest.mark.parametrize(
    ("count", "total", "has_left"),
    [(5, 100, False), (1, 3, False), (30, 100, True), (0, 400, True)],
)
def test_a_share_warns_outside_the_pilots_interval_unless_it_may_be_chance(
    count: int, total: int, has_left: bool
) -> None:
    note = PilotNote("", 200, {"loop": 10}, 0)  # 5 %, from 2.4 to 9.0 %
    assert measure("looping", count, total, note).has_left == has_left
    assert not measure("looping", count, total, None).has_left


def test_a_pilot_of_other_params_is_not_compared_with(tmp_path: Path) -> None:
    asked = digest_asked(MODEL, CONFIG, SETTINGS.validate)
    note = PilotNote(asked, 200, {"loop": 10}, 3)
    write_note(tmp_path, note)
    assert read_note(tmp_path, asked) == note
    assert (
        read_note(tmp_path, digest_asked(MODEL, CONFIG, SETTINGS.validate.model_copy(update={"min_chars": 9}))) is None
    )


def test_a_running_training_shows_its_curve_and_the_time_to_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (WORK / "tuned").mkdir(parents=True)
    assert [training.step for training in read_trainings(["tuned", "absent"])] == [0]
    (WORK / "tuned/facts.json").write_text(json.dumps({"max_steps": 12}))
    write_log(WORK / "tuned", [log_entry(1), log_entry(2), log_entry(3)])
    [training] = read_trainings(["tuned"])
    assert (training.step, training.max_steps, training.loss) == (3, 12, 2.7)
    assert training.seconds is not None and training.seconds_to_go == pytest.approx(3 * training.seconds)


STAGES = {"generate": {"matrix": {"dgm": "${dgms}"}, "outs": ["data/responses/${item.dgm}"]}, "report": {"outs": ["r"]}}


def page(dgms: dict[str, Dgm], *trainings: Training, running: str = "", **values: Any) -> str:
    """The page of a small pipeline."""
    content = {"profile": "<b>demo</b>", "dgms": ["m"], **values}
    return build_page(Pipeline({"stages": STAGES}, {}, content, frozenset({running})), dgms, trainings, {"m": 1}, 5.0)


def test_a_checkout_in_which_nothing_ran_has_a_page() -> None:
    html = page({})
    assert "<h1>Nothing runs</h1>" in html and "0 of 2 stages are done" in html
    assert "<section" in html and "How far are the conversations" not in html


def test_the_judge_of_all_models_runs_in_the_row_of_each() -> None:
    stages = {"answers": {"matrix": {"model": "${compare}"}}, "judge": {"outs": ["data/judgments"]}}
    pipeline = Pipeline({"stages": stages}, {}, {"compare": ["a", "b"]}, frozenset({"data/judgments"}))
    states = [[state for state, _ in describe_compared(model, pipeline, {})["cells"]] for model in ("a", "b")]
    assert states == [["waiting", "waiting", "running"]] * 2


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_of_a_run_opens_from_the_disk_and_loads_itself_again(
    dgm: Dgm, chromium: Browser, theme: Any, tmp_path: Path
) -> None:
    dgm.note = PilotNote("", 200, {"finish_length": 0}, 0)
    rows = [answered_row(prompt) for prompt in PROMPTS[:3]]
    for row in rows:
        row["turns"][0] |= {"finish_reason": "length", "completion_tokens": CONFIG.max_tokens}
    dgm.store.append(rows)
    dgm.update()
    training = Training("tuned", [(1.0, 2.0), (2.0, 1.5)], 9, False, 60.0, 210.0)
    file = tmp_path / "watch.html"
    file.write_text(
        page({"m": dgm}, training, running="data/responses/m", compare=["m"], evaluate={"tasks": {"a": "b"}})
    )
    for width in (1280, 380):
        with visit(chromium, file, width=width, theme=theme, scripts=False) as seen:
            assert seen.text("h1") == "generate@m runs" and "<b>demo</b>" in seen.text(".eyebrow")
            assert "3 of 4" in seen.text("#generation td.bar")
            assert "m: cut 100 % of 3 conversations so far" in seen.text(".notice")
            assert "1 of 1 tasks" in seen.text("#compared") and "3.50 min" in seen.text("#trainings")
            size = seen.page.locator("html").bounding_box()
            assert size and size["width"] <= width
    assert re.search(r'<meta http-equiv="refresh" content="5">', file.read_text())
