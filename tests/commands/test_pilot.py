"""The command `pilot` in a checkout that was never run: nothing is generated twice."""

import pytest

from stages.generate import PromptFolder
from stages.lib.engines.request import dgm_config, identity
from stages.lib.generation.store import Store
from stages.lib.models.catalogue import load_model
from stages.lib.settings.reading import load
from stages.lib.settings.sections import Generate
from tests.support.project import Project, make_project

BROKEN = "name: B\nrepository: nobody/nowhere\ncontext_window: 99\n"  # a repository that no hub has


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A checkout that was never run, with an imported DGM and one that cannot be resolved."""
    project = make_project(tmp_path_factory.mktemp("pilot") / "project")
    (project.root / "dgms" / "gpt.yaml").write_text("name: GPT\nimport: reference\n")
    params = project.params()
    params["dgms"] = ["rich", "broken", "gpt", "plain"]
    params["suitability"]["bases"] = []  # which have no weights to read with
    project.write_params(params)
    (project.root / "dgms" / "broken.yaml").write_text(BROKEN)
    return project


def test_a_fresh_clone_is_piloted_and_nothing_is_generated_twice(fresh: Project) -> None:
    first = fresh.run("python", "-m", "commands.pilot", "--conversations", "5", code=1)
    assert "rich: 0 conversations are in the store, 5 to generate" in first
    assert "to do     7 of 12 conversations; the others are in the store" in first
    assert "gpt: GPT\n  imported: its replies exist already" in first
    assert "broken: no pilot:" in first and first.rstrip().endswith("no pilot of broken; the lines above say why")
    assert not (fresh.root / "data" / "responses").exists() and not (fresh.root / "data" / "pilot").exists()
    again = fresh.run("python", "-m", "commands.pilot", "rich", "--conversations", "5")
    assert "rich: 5 conversations are in the store, 0 to generate" in again
    assert "plain" not in again
    assert "the engine's start took" in again  # as the first time: from a note in the store
    generated = fresh.run("dvc", "repro", "generate@rich")
    assert "rich: 5 conversations are in the store, 7 to generate" in generated
    whole = fresh.run("python", "-m", "commands.pilot", "rich")
    assert "to do     nothing: the store holds all 12 conversations" in whole


def test_the_pilot_answers_as_generate_does(fresh: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh.run("python", "-m", "commands.pilot", "plain", "-n", "5")
    monkeypatch.chdir(fresh.root)
    generate = load(Generate)
    model = load_model("plain")
    config = dgm_config(model, generate)
    names = [identity(prompt, model, config, "echo") for prompt in PromptFolder()]
    stored = Store(fresh.root / ".dvc" / "store", "plain").find(names, config.max_tokens, config.window)
    assert set(stored) == set(names[:5])


def test_an_unknown_dgm_is_one_plain_line(fresh: Project) -> None:
    output = fresh.run("python", "-m", "commands.pilot", "nosuch", code=1)
    assert output == "pilot: 'nosuch' is not in dgms of params.yaml, which has: rich, broken, gpt, plain\n"
