"""A renamed model takes its conversations along; another model's stay where they are."""

from pathlib import Path

import numpy as np
import pytest

from stages.generate import write_responses
from stages.lib.core.files import read_json
from stages.lib.engines.request import dgm_config, identity
from stages.lib.generation.same_model import RECORD, describe_source, take_over
from stages.lib.generation.store import ANSWERS, Store
from stages.lib.models.catalogue import Model
from stages.lib.records.shards import read_rows
from stages.lib.validation.check_input import CheckInput
from stages.lib.validation.requests import is_not_as_asked, is_of_other_dgm
from tests.support.conversations import CONFIG, MODEL, GenerationOn, SampledEcho, answered_row
from tests.support.generation import GENERATE, RUNTIME, make_prompt
from tests.support.validation import SETTINGS

PROMPTS = [make_prompt(name, "Hi?") for name in "abc"]
SERVED = MODEL.model_copy(
    update={"kind": "server", "location": "http://one/v1", "served_name": "x", "commit": "unverified"}
)


def renamed(model: Model = MODEL, **changes: object) -> Model:
    """The model after its catalogue file was renamed, and what else was changed."""
    return model.model_copy(update={"id": "new", "name": "New"} | changes)


def answer(model: Model, prompts=PROMPTS, suffix: str = "") -> list[str]:
    """Let a model answer the prompts through the store; which conversations its engine was asked."""
    engine = SampledEcho(CONFIG)
    store = Store(Path("store"), model.id + suffix)
    write_responses(GenerationOn(model, CONFIG, "echo", store, RUNTIME, running=engine), prompts)
    return sorted(engine.sampled)


def test_the_identity_does_not_depend_on_what_a_file_is_called_or_where_weights_lie() -> None:
    elsewhere = renamed(location="/elsewhere", parameters_billions=9.0)
    assert identity(PROMPTS[0], elsewhere, CONFIG, "echo") == identity(PROMPTS[0], MODEL, CONFIG, "echo")
    assert dgm_config(elsewhere, GENERATE) == dgm_config(MODEL, GENERATE)
    asked = identity(PROMPTS[0], MODEL, CONFIG, "echo")
    for change in ({"commit": "d"}, {"dtype": "float16"}, {"chat_template": "x"}):
        assert identity(PROMPTS[0], renamed(MODEL, **change), CONFIG, "echo") != asked


def test_a_renamed_model_is_asked_nothing_again_and_its_responses_are_as_asked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer(MODEL) == ["a", "b", "c"]
    assert answer(renamed(), [*PROMPTS, make_prompt("d", "Hi?")]) == ["d"]
    assert "new: 3 are taken over from m, the same model under another id" in capsys.readouterr().err
    for row, prompt in zip(read_rows(Path("data/responses/new")), PROMPTS, strict=False):
        given = CheckInput(row, prompt, SETTINGS, renamed(), CONFIG)
        assert not is_of_other_dgm(given) and not is_not_as_asked(given)
    assert answer(renamed()) == [] and "taken over" not in capsys.readouterr().err


def test_rows_that_were_copied_by_hand_are_rows_of_the_new_id(folder: Path) -> None:
    answer(MODEL)
    Path("store/m").rename("store/new")
    assert answer(renamed()) == []
    assert {row["dgm"] for row in read_rows(Path("data/responses/new"))} == {"new"}


def test_another_model_takes_nothing_and_no_segment_of_others_is_opened(folder: Path) -> None:
    answer(MODEL)
    for segment in Store(Path("store"), "m").segments():
        segment.unlink()
        segment.mkdir()  # to open it is an error
    assert answer(renamed(commit="other")) == ["a", "b", "c"]
    with pytest.raises(IsADirectoryError):
        Store(Path("store"), "m").segments()[0].read_bytes()


def test_conversations_of_before_there_were_records_are_found_by_a_sample_of_segments(folder: Path) -> None:
    for prompt in PROMPTS:
        answer(MODEL, [prompt])
    Path("store/m", RECORD).unlink()
    assert answer(renamed(commit="other")) == ["a", "b", "c"]
    assert answer(renamed(id="newer")) == []


def test_a_server_of_the_same_name_elsewhere_is_another_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer(SERVED)
    assert answer(renamed(SERVED, location="http://two/v1")) == ["a", "b", "c"]
    assert answer(renamed(SERVED, id="newer")) == []
    for record in Path("store").glob(f"*/{RECORD}"):
        record.unlink()
    capsys.readouterr()
    assert answer(renamed(SERVED, id="newest")) == ["a", "b", "c"]
    line = "store/m holds such conversations, but not on which server they were answered: if it was http://one/v1, copy"
    assert f"{line} its segments to newest" in capsys.readouterr().err


def test_answers_are_not_sought_among_responses_and_what_failed_is_asked_again(folder: Path) -> None:
    answer(MODEL)
    assert answer(renamed(), suffix=ANSWERS) == ["a", "b", "c"]
    failed = answered_row(PROMPTS[0]) | {"status": "failed", "reason": "the engine died"}
    Store(Path("other"), "m").append([failed, answered_row(PROMPTS[1])])
    assert take_over(Store(Path("other"), "new"), renamed(), np.array([failed["identity"]], "S"), 100, 400) == 0


def test_a_torn_segment_costs_its_own_rows(folder: Path) -> None:
    for prompt in PROMPTS:
        answer(MODEL, [prompt])
    torn = Store(Path("store"), "m").segments()[0]
    torn.write_bytes(torn.read_bytes()[:-9])
    assert answer(renamed()) == ["a"]


def test_the_store_notes_each_model_once(folder: Path) -> None:
    for model in (MODEL, MODEL, MODEL.model_copy(update={"commit": "d"})):
        answer(model)
    assert read_json(Path("store/m", RECORD)) == [{"commit": "c"}, {"commit": "d"}]
    assert describe_source(SERVED) == {"commit": "unverified", "server": "http://one/v1", "served_name": "x"}
