"""The models of several training seeds, and the list of them that dvc.yaml reads."""

from pathlib import Path
from typing import Any

import pytest

from stages.lib.core.files import read_json
from stages.lib.core.seeds import SEEDS, Training, list_trainings, other_seeds, seed_models, write_seeds

PARAMS: dict[str, Any] = {
    "train": {"seed": 7},
    "mix": {"runs": {"a": {"base": "x"}, "b": {"base": "y", "seeds": [42, 5]}, "c": {"base": "x", "seeds": [9]}}},
}


def test_the_first_seed_has_the_id_of_its_run() -> None:
    assert seed_models("b", [42, 5, 44]) == ["b", "b-seed5", "b-seed44"]
    assert seed_models("b", []) == ["b"]


def test_a_model_is_trained_with_its_own_seed_and_without_one_with_that_of_the_section() -> None:
    trainings = list_trainings(PARAMS)
    assert {model: training.seed for model, training in trainings.items()} == {"a": 7, "b": 42, "b-seed5": 5, "c": 9}
    assert other_seeds(PARAMS) == {"b-seed5": Training("b", "y", 5)}


def test_the_list_of_the_other_seeds_is_written_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert write_seeds(PARAMS) and not write_seeds(PARAMS)
    assert read_json(SEEDS) == {"seeds": {"b-seed5": {"run": "b", "base": "y", "seed": 5}}}
    SEEDS.write_text("<<<<<<< of a merge")
    assert write_seeds(PARAMS) and not write_seeds(PARAMS)
