"""Models and sets of the hub that $REWILD_MODELS holds: where they are looked for, and what identifies them."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages import fetch, resolve
from stages.lib.console.errors import UserError
from stages.lib.core.files import sha256_folder
from stages.lib.generation.imports import find_data_files
from stages.lib.models.catalogue import Model, load_model
from stages.lib.models.chat_template import load_tokenizer
from stages.lib.models.hub import find_copy
from stages.lib.settings.sections import Hub
from tests.support.hub import COMMIT
from tests.support.project import write_model


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the hub's model `a/B` as `b` in its catalogue, and REWILD_MODELS with its files under its id."""
    write_model(tmp_path, "copy")
    (tmp_path / "shelf").mkdir()
    (tmp_path / "demo/models/copy").rename(tmp_path / "shelf/b")
    (tmp_path / "dgms/b.yaml").write_text("name: B\nrepository: a/B\nrevision: main\ncontext_window: 9\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REWILD_MODELS", "shelf")
    return tmp_path


def move(root: Path, folder: str) -> None:
    (root / "shelf" / folder).parent.mkdir(parents=True)
    (root / "shelf/b").rename(root / "shelf" / folder)


def cache(root: Path, kind: str = "models") -> None:
    """Move the files to where the hub's client keeps them."""
    move(root, f"{kind}--a--B/snapshots/{COMMIT}")
    (root / f"shelf/{kind}--a--B/refs").mkdir()
    (root / f"shelf/{kind}--a--B/refs/main").write_text(COMMIT)


def test_a_copy_is_identified_by_its_content_and_model_json_names_no_folder_of_the_machine(root: Path) -> None:
    resolve.main("b")
    text = (root / "models/b/model.json").read_text()
    assert json.loads(text)["commit"] == sha256_folder(root / "shelf/b")
    assert json.loads(text)["location"] == "a/B" and str(root) not in text and "shelf" not in text
    move(root, "a/B")  # as the hub names it
    resolve.main("b")
    assert (root / "models/b/model.json").read_text() == text


def test_what_loads_a_model_gets_the_copy_as_a_local_model(root: Path) -> None:
    resolve.main("b")
    model = load_model("b")
    assert (model.kind, model.location) == ("local", str(root / "shelf/b"))
    assert load_tokenizer(model).eos_token


def test_a_cache_of_the_hub_gives_the_commit_of_the_hub(root: Path) -> None:
    cache(root)
    resolve.main("b")
    assert json.loads((root / "models/b/model.json").read_text())["commit"] == COMMIT
    assert load_model("b").location == str(root / f"shelf/models--a--B/snapshots/{COMMIT}")
    pinned = find_copy("a/B", COMMIT, "other")
    assert pinned and pinned.commit == COMMIT
    with pytest.raises(UserError, match="no cache of a/B at v2"):
        find_copy("a/B", "v2", "other")


def test_what_is_missing_is_one_line(root: Path) -> None:
    (root / "shelf/b").rename(root / "shelf/elsewhere")
    with pytest.raises(UserError, match=r"^shelf, which REWILD_MODELS names, has no folder a/B or b and no cache of"):
        resolve.main("b")


def test_other_files_than_those_that_were_resolved_are_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve.main("b")
    (root / "shelf/b/model.safetensors").write_bytes(b"other weights")
    with pytest.raises(UserError, match=r"does not name the files in .*shelf/b; `dvc repro --force --single-item reso"):
        load_model("b")
    monkeypatch.delenv("REWILD_MODELS")
    with pytest.raises(UserError, match="names files that REWILD_MODELS held, and it is not set"):
        load_model("b")


def test_without_the_variable_the_hub_is_asked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REWILD_MODELS")
    (root / "dgms/b.yaml").write_text(f"name: B\nrepository: a/B\nrevision: {COMMIT}\ncontext_window: 9\n")
    resolve.main("b")
    assert (load_model("b").kind, load_model("b").location) == ("hub", "a/B")


def test_a_set_is_fetched_from_its_copy(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(root / "cache"))
    (root / "shelf/wildchat").mkdir()
    pq.write_table(pa.table({"a": [1, 2], "b": ["x", "y"]}), root / "shelf/wildchat/train.parquet")
    (root / "params.yaml").write_text("hub: {wildchat: {repository: a/W, revision: main, columns: [b]}}\n")
    fetch.main("wildchat")
    assert pq.read_table(root / "data/hub/wildchat").to_pydict() == {"b": ["x", "y"]}
    summary = json.loads((root / "data/hub/wildchat/.summary.json").read_text())
    assert (summary["repository"], summary["commit"]) == ("a/W", sha256_folder(root / "shelf/wildchat"))
    assert Hub(repository="a/W", revision="main", columns=["b"]).model_dump().items() <= summary.items()


def test_imported_replies_of_the_hub_are_read_from_their_copy(root: Path) -> None:
    (root / "shelf/b/replies.jsonl").write_text("")
    (root / "dgms/b.yaml").write_text("name: B\nimport: hub:a/B\n")
    resolve.main("b")
    model = Model.model_validate_json((root / "models/b/model.json").read_text())
    assert (model.location, model.commit) == ("hub:a/B", sha256_folder(root / "shelf/b"))
    assert root / "shelf/b/replies.jsonl" in find_data_files(model.model_copy(update={"files": "replies.jsonl"}))
