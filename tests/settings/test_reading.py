"""Reading params.yaml: a stage gets what it declares, and nothing else."""

from typing import Any

import pytest
from ruamel.yaml import YAML

from stages.check import declared_reads
from stages.lib.console.errors import UserError
from stages.lib.core.code import stage_names
from stages.lib.core.sections import PARAMS
from stages.lib.core.seeds import Training
from stages.lib.settings.reading import (
    declared,
    load,
    load_entries,
    load_entry,
    load_training,
    load_value,
    tracked_values,
)
from stages.lib.settings.sections import ENTRIES, LISTS, SECTIONS, Auxiliary, Gate, Mix, Train
from tests.support.project import ROOT

DEMO = ROOT / PARAMS


def test_a_stage_gets_the_sections_entries_and_lists_that_it_declares() -> None:
    with declared(("gate", "auxiliary.*", "mix.runs.*", "compare")):
        assert load(Gate, DEMO).max_dropped_share == 0.15
        assert load_entry(Auxiliary, "knowledge", DEMO).format == "multiple_choice"
        assert load_training("rewild", DEMO).base == "demo-base"
        assert load_value("compare", DEMO)[0] == "demo-base"


def test_a_stage_that_declares_keys_of_a_section_gets_these_alone() -> None:
    with declared(("mix.runs", "mix.seed")):
        mix = load(Mix, DEMO)
    assert (mix.seed, list(mix.runs)) == (
        13,
        ["rewild", "only-rich", "only-plain", "only-rules", "rich-plain", "rich-half"],
    )
    with pytest.raises(AttributeError, match="size"):
        _ = mix.size


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (lambda: load(Gate, DEMO), "gate"),
        (lambda: load_entry(Auxiliary, "knowledge", DEMO), "auxiliary.*"),
        (lambda: load_training("rewild", DEMO), "mix.runs.*"),
        (lambda: load_entries(Auxiliary, DEMO), "auxiliary"),
        (lambda: load_value("compare", DEMO), "compare"),
    ],
    ids=["section", "entry", "training", "entries", "list"],
)
def test_what_a_stage_does_not_declare_is_refused(read: Any, name: str) -> None:
    with declared(("prompts",)), pytest.raises(LookupError) as error:
        read()
    assert str(error.value) == f"the stage reads `{name}` of params.yaml, but its READS does not declare it"


def test_a_command_reads_everything() -> None:
    assert load(Gate, DEMO).max_share == {}


def test_a_missing_entry_is_named_with_those_that_there_are() -> None:
    with pytest.raises(UserError, match="`auxiliary` has no 'algebr'; it has: knowledge, algebra"):
        load_entry(Auxiliary, "algebr", DEMO)


def test_the_first_seed_has_the_id_of_its_run_and_a_run_without_seeds_the_seed_of_the_section() -> None:
    assert load_training("only-rich", DEMO) == Training("only-rich", "demo-base", 42)
    assert load_training("only-plain", DEMO) == Training("only-plain", "demo-base", 42)
    assert load_training("only-plain-seed44", DEMO) == Training("only-plain", "demo-base", 44)
    known = "rewild, only-rich, only-plain, only-plain-seed43, only-plain-seed44, only-rules, rich-plain, rich-half"
    with pytest.raises(UserError, match=f"`mix.runs` trains no 'only-plain-seed42'; it trains: {known}$"):
        load_training("only-plain-seed42", DEMO)


def test_the_seed_of_training_is_tracked_by_model_and_not_with_its_section() -> None:
    params = YAML(typ="safe").load(DEMO.read_text())
    tracked = tracked_values(params, ("train",))["train"]
    assert {*Train.model_fields} - {*tracked} == {"seed"}


def test_the_tracked_values_are_typed_and_leave_out_entries_and_the_runtime() -> None:
    params = YAML(typ="safe").load(DEMO.read_text())
    tracked = tracked_values(params, ("gate", "mix.runs", "hub.*", "runtime", "dgms"))
    assert list(tracked) == ["gate", "mix.runs", "dgms"]
    assert tracked["gate"] == {"max_dropped_share": 0.15, "max_share": {}}
    assert tracked["mix.runs"]["only-rich"]["rows"] is None


@pytest.mark.parametrize("stage", list(stage_names(ROOT)))
def test_every_stage_declares_names_that_params_has(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for name in declared_reads(stage):
        section, _, key = name.partition(".")
        assert section in {*SECTIONS, *ENTRIES, *LISTS, "profile"}
        if section in SECTIONS and key.removesuffix(".*"):
            assert key.removesuffix(".*") in SECTIONS[section].model_fields
