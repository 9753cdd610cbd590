"""params.yaml, the profiles and the catalogue: what is refused, and in which words."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from stages.lib.checking.params import check_params
from stages.lib.console.errors import UserError
from stages.lib.core.sections import parse
from stages.lib.models.catalogue import CATALOGUE, read_entry, read_template
from stages.lib.settings.reading import load
from stages.lib.settings.sections import Gate
from tests.support.project import ROOT, small_params, write_model

PROFILES = sorted((ROOT / "profiles").glob("*.yaml"))


def keys(value: Any, path: str = "") -> set[str]:
    """The keys of a profile's sections; not those that users name themselves."""
    named_by_users = ("hub", "auxiliary", "runs", "tasks", "local_data", "evalchemy", "averages", "axolotl")
    if not isinstance(value, dict) or path.rpartition(".")[2] in named_by_users:
        return {path}
    return {found for key, child in value.items() for found in keys(child, f"{path}.{key}")}


@pytest.mark.parametrize("profile", [ROOT / "params.yaml", *PROFILES], ids=lambda path: path.stem)
def test_every_profile_is_valid(profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    check_params(YAML(typ="safe").load(profile.read_text()), profile.name)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_an_experiment_that_sets_a_value_changes_one_line_of_a_profile(profile: Path, tmp_path: Path) -> None:
    """DVC writes lists in blocks, and loses comments and blank lines in and after them."""
    copy = tmp_path / "params.yaml"
    shutil.copy(profile, copy)
    apply_overrides(copy, ["mix.size=999"])
    before, after = profile.read_text().splitlines(), copy.read_text().splitlines()
    assert len(before) == len(after)
    assert [new.split()[:2] for old, new in zip(before, after, strict=True) if old != new] == [["size:", "999"]]


def test_profiles_have_the_same_keys_and_params_yaml_is_one_of_them() -> None:
    contents = {profile.stem: YAML(typ="safe").load(profile.read_text()) for profile in PROFILES}
    assert {name: keys(content) ^ keys(contents["demo"]) for name, content in contents.items()} == {
        name: set() for name in contents
    }
    assert (ROOT / "params.yaml").read_text() == (ROOT / "profiles" / "demo.yaml").read_text()


def test_every_catalogue_file_is_valid_and_named_by_a_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    contents = [YAML(typ="safe").load(profile.read_text()) for profile in PROFILES]
    named = {model for content in contents for model in (*content["dgms"], *content["bases"])}
    assert {path.stem for path in CATALOGUE.glob("*.yaml")} == named
    for model in named:
        read_template(read_entry(model), model)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("rich", "plain", "base"):
        write_model(tmp_path, name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(section: str, **values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda params: params[section].update(values)


def add_server(params: dict[str, Any]) -> None:
    Path("dgms/far.yaml").write_text("name: F\nserver: {address: http://h/v1, model: f}\ncontext_window: 9000\n")
    params["dgms"].append("far")


def train_a_server(params: dict[str, Any]) -> None:
    add_server(params)
    params["mix"]["runs"]["new"] = {**RUN, "base": "far"}


def compare_a_server(params: dict[str, Any]) -> None:
    add_server(params)
    params["compare"].append("far")


def seeds(**runs: list[int]) -> Callable[[dict[str, Any]], None]:
    return lambda params: params["mix"]["runs"].update({run: RUN | {"seeds": seeds} for run, seeds in runs.items()})


RUN = {"base": "base", "dgms": {"rich": 1.0}, "auxiliary": {}}
MISTAKES: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (put("evaluate", local={}), "p.yaml: evaluate.local: is called local_data now"),
    (put("generate", engine="tgi"), "p.yaml: generate.engine: should be vllm or echo, got the text 'tgi'"),
    (lambda p: p.pop("gate"), "p.yaml: gate: this key is missing: add it"),
    (compare_a_server, "p.yaml: compare: 'far' has no weights here to evaluate: leave it out"),
    (
        lambda p: p["auxiliary"].update(nfiles=p["auxiliary"]["knowledge"]),
        "p.yaml: auxiliary.nfiles: 'nfiles' cannot be an id: DVC's cache takes no notice of keys of that name: "
        "rename it",
    ),
    (
        lambda p: p["hub"].update(size={"repository": "a/b", "revision": "main"}),
        "p.yaml: hub.size: 'size' cannot be an id: DVC's cache takes no notice of keys of that name: rename it",
    ),
    (seeds(only=[1, -2]), "p.yaml: mix.runs.only.seeds: should be 0 or more, got -2"),
    (
        seeds(**{"only": [1, 2], "only-seed2": [3]}),
        "p.yaml: mix.runs.only.seeds: 'only-seed2' is already a run or a model: rename that, or leave out the seed",
    ),
    (
        seeds(new=[1, 2]),
        "p.yaml: mix.runs.new.seeds: the seeds of a run are compared by evaluation: add 'new' to compare, or name one "
        "seed",
    ),
    (
        train_a_server,
        "p.yaml: mix.runs.new.base: 'far' has no weights to train: its file names a server or an import, name another "
        "model",
    ),
    (
        lambda p: p.update(bases=["base", "none"]),
        "p.yaml: bases: 'none' is what judge.model says where nobody judges, and cannot be an id: rename it",
    ),
    (put("pairwise", pairs="some"), "p.yaml: pairwise.pairs: should be all or none or a list, got the text 'some'"),
]


@pytest.mark.parametrize(("mistake", "line"), MISTAKES, ids=[line[:60] for _, line in MISTAKES])
def test_a_mistake_of_params_without_a_file_is_named_without_a_line(
    checkout: Path, mistake: Callable[[dict[str, Any]], Any], line: str
) -> None:
    params = small_params()
    mistake(params)
    with pytest.raises(UserError) as error:
        check_params(params, "p.yaml")
    assert str(error.value) == line


def test_one_seed_needs_no_comparison_and_the_first_of_several_takes_no_id(checkout: Path) -> None:
    params = small_params()
    seeds(**{"only": [1, 2], "only-seed1": [3]})(params)
    check_params(params, "p.yaml")


def test_a_params_file_that_is_not_yaml_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("mix: [1,\n  size: {")
    with pytest.raises(UserError, match=r"params.yaml is not valid YAML: .*"):
        load(Gate, tmp_path / "params.yaml")


def test_an_unknown_model_names_the_known_ones(checkout: Path) -> None:
    with pytest.raises(UserError, match=r"no catalogue file dgms/gpt5.yaml; known models: base, plain, rich"):
        read_entry("gpt5")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "x", "context_window": 10}, "give exactly one of repository, path, import and server"),
        ({"name": "x", "path": "a", "repository": "b", "context_window": 10}, "give exactly one of"),
        ({"name": "x", "path": "a"}, "context_window is missing"),
        ({"name": "x", "path": "a", "context_window": 10, "temperature": 1.0}, "x.temperature: no such key"),
    ],
)
def test_a_wrong_catalogue_entry_is_refused(entry: dict[str, Any], message: str) -> None:
    from stages.lib.models.catalogue import Entry

    with pytest.raises(UserError, match=message):
        parse(Entry, entry, "x")
