"""`make pin`: catalogue files get the current commit or digest, and nothing else in them changes."""

import difflib
import shutil
from pathlib import Path

import pytest

from commands.pin import replace_revision
from stages.lib.models.catalogue import CATALOGUE, import_digest, read_entry, weights_digest
from tests.support.hub import COMMIT, serve
from tests.support.project import ROOT, write_model

FILES = sorted((ROOT / CATALOGUE).glob("*.yaml"))


@pytest.mark.parametrize("file", [file for file in FILES if "revision: main" in file.read_text()], ids=lambda f: f.stem)
def test_only_the_value_and_the_spaces_before_its_comment_change_in_our_files(file: Path) -> None:
    before = file.read_text()
    after = replace_revision(before, COMMIT)
    old, new = before.splitlines(), after.splitlines()
    changed = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
    assert len(changed) == 1 and after.endswith("\n")
    assert changed[0][1].split() == changed[0][0].replace("main", COMMIT, 1).split()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("revision: main\nname: N\n", "revision: C\nname: N\n"),
        ("revision: 'main'   # why\n", "revision: C        # why\n"),
        ("revision:\nname: N\n", "revision: C\nname: N\n"),
        ("revision:   # fill\n", "revision: C  # fill\n"),
        ("# x\n\nrepository: a/b  # ours\nsampling: {top_p: 1.0}\n", "repository: a/b  # ours\nrevision: C\n"),
        ("name: N\npath: p", "path: p\nrevision: C\n"),
        ("repository: a/b\r\nname: N\r\n", "repository: a/b\r\nrevision: C\r\nname: N\r\n"),
    ],
)
def test_a_revision_is_replaced_or_inserted_after_its_source(before: str, after: str) -> None:
    assert after in replace_revision(before, "C")


def test_one_repository_that_fails_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / CATALOGUE, tmp_path / "dgms")
    names = ["gemma-2-9b-it", "athene-70b", "gpt"]
    with serve({"models/google/gemma-2-9b-it": {}}) as hub:
        output = hub.run(tmp_path, "commands.pin", *names, code=1)
    assert f"gemma-2-9b-it: main -> {COMMIT}" in output
    assert "athene-70b: not pinned: Nexusflow/Athene-70B: the hub did not say which commit 'main' is" in output
    assert "gpt: has nothing to pin" in output
    assert "pin: 1 of 3 could not be pinned" in output
    monkeypatch.chdir(tmp_path)
    assert read_entry("gemma-2-9b-it").revision == COMMIT
    assert (tmp_path / "dgms" / "athene-70b.yaml").read_text() == (ROOT / "dgms" / "athene-70b.yaml").read_text()
    old, new = (root / "dgms" / "gemma-2-9b-it.yaml" for root in (ROOT, tmp_path))
    changes = [*difflib.ndiff(old.read_text().splitlines(), new.read_text().splitlines())]
    assert len([line for line in changes if line.startswith(("+", "-"))]) == 2


def test_the_hub_is_not_asked_for_pinned_models_and_sets_are_datasets(tmp_path: Path) -> None:
    (tmp_path / "dgms").mkdir()
    pinned = f"name: N\nrepository: a/b\nrevision: {'f' * 40}\ncontext_window: 9\n"
    (tmp_path / "dgms" / "pinned.yaml").write_text(pinned)
    (tmp_path / "dgms" / "set.yaml").write_text("name: N\nimport: hub:lab/set\n")
    with serve({"datasets/lab/set": {}}) as hub:
        hub.run(tmp_path, "commands.pin")
        assert [path for path in hub.requests if "a/b" in path] == []
    assert (tmp_path / "dgms" / "pinned.yaml").read_text() == pinned
    assert (tmp_path / "dgms" / "set.yaml").read_text() == f"name: N\nimport: hub:lab/set\nrevision: {COMMIT}\n"


def test_local_weights_and_replies_get_their_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(tmp_path, "rich")
    file = tmp_path / "dgms" / "rich.yaml"
    before = file.read_text()
    file.write_text(before.replace(before.split('revision: "')[1].split('"')[0], "old"))
    (tmp_path / "x.jsonl").write_text("{}\n")
    (tmp_path / "dgms" / "replies.yaml").write_text("name: N\nimport: x.jsonl\n")
    (tmp_path / "dgms" / "gone.yaml").write_text("name: N\nimport: y.jsonl\n")
    with serve({}) as hub:
        output = hub.run(tmp_path, "commands.pin", code=1)
    monkeypatch.chdir(tmp_path)
    assert read_entry("rich").revision == weights_digest(tmp_path / "demo" / "models" / "rich")
    assert read_entry("replies").revision == import_digest(tmp_path / "x.jsonl")
    assert "gone: not pinned: y.jsonl is not there" in output


def test_without_a_network_the_error_is_one_line_and_the_file_stays(tmp_path: Path) -> None:
    (tmp_path / "dgms").mkdir()
    shutil.copy(ROOT / "dgms" / "athene-70b.yaml", tmp_path / "dgms")
    with serve({}) as hub:
        pass
    output = hub.run(tmp_path, "commands.pin", code=1)
    assert "athene-70b: not pinned: Nexusflow/Athene-70B: the hub did not say which commit 'main' is" in output
    assert "a commit as `revision` works offline" in output and "Traceback" not in output
    assert (tmp_path / "dgms" / "athene-70b.yaml").read_text() == (ROOT / "dgms" / "athene-70b.yaml").read_text()
