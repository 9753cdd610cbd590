"""The command `add`: a new model gets its catalogue file, answers the pilot's prompts, and is placed among the DGMs."""

import json
import re
import shutil
from pathlib import Path

import pytest

from commands.add.command import main
from stages.lib.console.errors import UserError
from tests.support.project import Project, make_project, write_model

CARD = "---\nlicense: apache-2.0\nlanguage: [en]\n---\n# A model\n"
CONFIG = {"model_type": "qwen2", "max_position_embeddings": 32768, "dtype": "float32"}
ENTRY = """\
# By `make add`, from the model's own files.
name: Muse-1.5B_Chat
family: qwen-2                        # its model_type: models of one family count as on-policy
path: {path}
revision: {revision}
context_window: 20000                 # its own maximum is 32,768
dtype: float32                        # config.json
license: Apache-2.0                   # its card (README.md)
"""


def write_folder(project: Project, folder: Path, **files: str) -> Path:
    """A folder as a repository of the hub has it, named as its model."""
    write_model(project.root, folder.name)
    (project.root / "dgms" / f"{folder.name}.yaml").unlink()
    shutil.move(project.root / "demo" / "models" / folder.name, folder)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "README.md").write_text(CARD)
    for name, text in files.items():
        (folder / name.replace("_json", ".json")).write_text(text)
    return folder


def add(project: Project, *words: str, code: int = 0, **env: str) -> str:
    return project.run("python", "-m", "commands.add", *words, code=code, **env)


@pytest.fixture(scope="module")
def piloted(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A checkout whose two DGMs have answered eight of twelve prompts."""
    project = make_project(tmp_path_factory.mktemp("add") / "project")
    params = project.params()
    params["suitability"]["bases"] = []  # which have no weights to read with
    project.write_params(params)
    project.commit()
    project.run("python", "-m", "commands.pilot", "--conversations", "8")
    return project


@pytest.fixture(scope="module")
def folder(piloted: Project) -> Path:
    return write_folder(piloted, piloted.root.parent / "Muse-1.5B_Chat")


@pytest.fixture(scope="module")
def placed(piloted: Project, folder: Path) -> str:
    """What the command printed the first time."""
    return add(piloted, str(folder), "--num", "8", "--calls", "24")


def test_the_catalogue_file_says_what_the_files_of_the_model_say(placed: str, piloted: Project, folder: Path) -> None:
    text = (piloted.root / "dgms" / "muse-1-5b_chat.yaml").read_text()
    revision = text.partition("revision: ")[2].partition("\n")[0]
    assert text == ENTRY.format(path=folder, revision=revision)
    assert len(revision) == 64 and f"muse-1-5b_chat: no revision -> {revision}" in placed


SCREEN = """\
muse-1-5b_chat (Muse-1.5B_Chat) on the first 8 prompts of the profile demo
"""
SENTENCE = """\
muse-1-5b_chat replies most like plain (similarity 0.994 [0.622, 1.000], n = 8), its style is
  nearest to that of plain (distance 0.00); the judge: not decided against rich and plain.
"""
LINES = """\
to `dgms` of params.yaml, so that it answers all prompts:
- muse-1-5b_chat
to `compare` of params.yaml, so that it is evaluated and judged; needs weights:
- muse-1-5b_chat
the page: standing/muse-1-5b_chat/index.html; its row: metrics/standing.json
"""


def from_title(output: str) -> str:
    """What is printed from the title on: before it stand the lines about the work."""
    return SCREEN + output.partition(SCREEN)[2]


def test_the_screen_says_where_it_stands_and_what_to_add_to_params_yaml(placed: str) -> None:
    assert SENTENCE in placed and placed.endswith(LINES)
    assert "judged by base      share won [95 %]  prompts      verdict   why no more\n" in placed
    assert "rich            0.500 [0.159, 0.841]        6  not decided  budget spent\n" in placed
    assert max(map(len, from_title(placed).splitlines())) <= 100


def test_git_keeps_a_row_and_the_page_works_offline(placed: str, piloted: Project) -> None:
    row = piloted.json("metrics/standing.json")["muse-1-5b_chat"]
    assert (row["nearest"], row["prompts"], row["judge"], row["profile"]) == ("plain", 8, "base", "demo")
    assert row["kept"] == {"value": 1.0, "ci95": [0.6306, 1.0], "n": 8}
    assert row["choices"]["rich"]["asked"] == 6 and row["choices"]["rich"]["verdict"] == "not decided"
    page = (piloted.root / "standing/muse-1-5b_chat/index.html").read_text()
    assert "Where does <bdi>muse-1-5b_chat</bdi> stand?" in page
    assert "default-src 'none'" in page and "src=" not in page and 'href="http' not in page


def test_a_run_again_asks_nothing_and_prints_the_same(placed: str, piloted: Project, folder: Path) -> None:
    row = (piloted.root / "metrics/standing.json").read_bytes()
    again = add(piloted, str(folder), "--num", "8", "--calls", "24")
    assert "muse-1-5b_chat: 8 conversations are in the store, 0 to generate" in again
    assert "base: 6 judge replies are in the store, 0 to generate" in again
    assert "dgms/muse-1-5b_chat.yaml is there and stays as it is" in again
    assert from_title(again) == from_title(placed)
    assert (piloted.root / "metrics/standing.json").read_bytes() == row


def test_it_leaves_the_catalogue_file_and_the_row_behind_and_nothing_complains(placed: str, piloted: Project) -> None:
    changed = piloted.run("git", "status", "--short", "dgms", "metrics", "models", "standing", "params.yaml")
    assert changed.splitlines() == ["?? dgms/muse-1-5b_chat.yaml", "?? metrics/standing.json"]
    assert not (piloted.root / "models/muse-1-5b_chat").exists()
    assert piloted.run("python", "-m", "commands.leftovers") == "0 files removed\n"
    assert "standing" not in piloted.run("dvc", "repro", "--force", "--single-item", "check")


def test_what_was_paid_for_is_taken_from_the_store_when_it_becomes_a_dgm(
    placed: str, piloted: Project, tmp_path: Path
) -> None:
    project = piloted.copy(tmp_path / "copy")
    params = project.params()
    params["dgms"].append("muse-1-5b_chat")
    project.write_params(params)
    generated = project.run("dvc", "repro", "generate@muse-1-5b_chat")
    assert "muse-1-5b_chat: 8 conversations are in the store, 4 to generate" in generated


def test_an_entry_of_the_catalogue_is_placed_as_it_is_also_without_a_judge(piloted: Project, tmp_path: Path) -> None:
    project = piloted.copy(tmp_path / "copy")
    params = project.params()
    params["judge"]["model"] = "none"
    params["dgms"].append("base")
    params["bases"] = []
    project.write_params(params)
    before = (project.root / "dgms/rich.yaml").read_bytes()
    output = add(project, "rich", "--num", "8")
    assert (project.root / "dgms/rich.yaml").read_bytes() == before
    assert "- base is left out: it has answered nothing yet: `make pilot DGM=base` pays for these prompts" in output
    assert "no verdict of a judge: nobody judged, as judge.model is none.\n" in output
    assert "dgms: it is there\n" in output


WRONG = {
    "nosuch": "MODEL=nosuch: there is no such folder, and no dgms/nosuch.yaml: name a folder of weights, an id of the "
    "catalogue, or <owner>/<name> as on the hub",
    "https://huggingface.co/lab/muse": "MODEL=https://huggingface.co/lab/muse: is an address; write lab/muse",
    "http://host:8000/v1": "MODEL=http://host:8000/v1: a server shows no files to read: write dgms/<id>.yaml with "
    "`server` by hand (docs/models.md), then `make add MODEL=<id>`",
    "gpt": "dgms/gpt.yaml is an import, whose replies exist already: add it to `dgms`, `make compare` compares it",
    "empty": "empty has no config.json, so it is no model that can be loaded",
    "pickled": "pickled has no safetensors file, and no others are loaded; it has model.bin: convert it",
    "demo/models/rich --id base": "dgms/base.yaml is another model (demo/models/base): name a free id, as ID=…",
    "demo/models/rich --id Rich": "ID=Rich: 'Rich' is not an id: use lower-case letters, digits, - and _; write rich",
    "demo/models/rich --id blend": "blend is a run of params.yaml: name a free id, as ID=…",
    "rich --num 0": "NUM=0: name a number from 1 to 20,000",
    "rich --calls many": "CALLS=many: name a number from 0 to 1,000,000",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_input_ends_in_one_line(words: str, piloted: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (piloted.root / "dgms/gpt.yaml").write_text("name: GPT\nimport: reference\n")
    for name, files in {"empty": (), "pickled": ("config.json", "model.bin")}.items():
        (piloted.root / name).mkdir(exist_ok=True)
        for file in files:
            (piloted.root / name / file).write_text("{}")
    monkeypatch.chdir(piloted.root)
    with pytest.raises(UserError, match=f"^{re.escape(WRONG[words])}$"):
        main(words.split())
