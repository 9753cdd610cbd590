"""A store that DVC's cache has moved away from is named, and one command takes it along."""

import shutil
from pathlib import Path

import pytest

from commands.store.command import main
from stages.lib.console.errors import UserError
from stages.lib.generation.place import current_folder, open_store
from stages.lib.generation.same_model import read_record, record_sources
from stages.lib.generation.store import Store
from stages.lib.suitability.scores import read_scores, write_scores
from tests.support.conversations import stored_row


@pytest.fixture
def moving(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose DVC says that its cache is where the file `cache` says."""
    monkeypatch.delenv("REWILD_STORE", raising=False)
    monkeypatch.setenv("PATH", f"{folder}/bin:/usr/bin:/bin")
    (folder / "bin").mkdir()
    (folder / "bin/dvc").write_text("#!/bin/sh\ncat cache\n")
    (folder / "bin/dvc").chmod(0o755)
    point(folder / ".dvc/cache")
    return folder


def point(cache: Path) -> None:
    """Move DVC's cache."""
    Path("cache").write_text(f"{cache}\n")


def fill(*names: str) -> None:
    store = open_store("m")
    for name in names:
        store.append([stored_row(name, "Hi?")])
    record_sources(store.folder, [{"commit": "c"}])


def test_a_store_that_would_begin_empty_although_another_exists_is_an_error_that_names_both(moving: Path) -> None:
    fill("a", "b")
    point(moving / "big/cache")
    line = f"{moving}/.dvc/store holds finished conversations, and the store is now {moving}/big/store: "
    with pytest.raises(UserError) as error:
        open_store("m")
    mends = f"`python -m commands.store move` takes them along, REWILD_STORE={moving}/big/store begins anew"
    assert str(error.value) == line + mends
    assert not Path("big").exists()


def test_move_takes_all_along_and_the_next_move_is_noticed_too(
    moving: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill("a", "b")
    for place in ("big", "other"):
        point(moving / place / "cache")
        with pytest.raises(UserError, match="takes them along"):
            current_folder()
        capsys.readouterr()
        main(["move"])
        assert f"2 segments are moved from {moving}/" in capsys.readouterr().err
        store = open_store("m")
        assert store.folder == moving / place / "store/m" and set(store.find({"a", "b"}, 100, 400)) == {"a", "b"}
        assert read_record(store.folder) == [{"commit": "c"}] and capsys.readouterr().err == ""
    assert not Path(".dvc/store/m").exists() and not Path("big/store/m").exists()
    with pytest.raises(UserError, match="no other store is known: `move <folder>` names one"):
        main(["move"])


def test_move_takes_the_scores_of_suitability_along(moving: Path) -> None:
    scored = {"identity": "a", "status": "ok", "tokens": 3, "rank": 2.0, "surprisal": 1.0}
    fill("a")
    write_scores(current_folder() / ".suitability/base", [scored])
    point(moving / "big/cache")
    main(["move"])
    assert read_scores(moving / "big/store/.suitability/base") == {"a": scored}
    assert not Path(".dvc/store/.suitability").exists()


def test_a_store_that_others_fill_already_is_used_and_a_line_says_what_stays_behind(
    moving: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill("a")
    Store(moving / "lab/store", "m").append([stored_row("b", "Hi?")])
    point(moving / "lab/cache")
    assert set(open_store("m").find({"a", "b"}, 100, 400)) == {"b"}
    assert f"the store is now {moving}/lab/store: `python -m commands.store move` takes" in capsys.readouterr().err
    main(["move"])
    assert set(open_store("m").find({"a", "b"}, 100, 400)) == {"a", "b"}


def test_a_move_that_was_killed_goes_on_and_what_both_have_is_there_once(moving: Path) -> None:
    fill("a", "b")
    copied = open_store("m").segments()[0]
    point(moving / "big/cache")
    (moving / "big/store/m").mkdir(parents=True)
    shutil.copy(copied, moving / "big/store/m")
    (moving / "big/store/m/.half.parquet.moved").write_bytes(b"half")
    main(["move"])
    assert [row.row for row in open_store("m").find({"a", "b"}, 100, 400).values()] == [0, 0]
    assert len(open_store("m").segments()) == 2 and not Path(".dvc/store/m").exists()


def test_a_copy_of_a_checkout_has_a_store_of_its_own(
    moving: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fill("a")
    shutil.copytree(moving, moving.parent / "copy")
    monkeypatch.chdir(moving.parent / "copy")
    point(moving.parent / "copy/.dvc/cache")
    assert len(open_store("m").segments()) == 1 and capsys.readouterr().err == ""


def test_who_says_where_the_store_is_is_not_warned(moving: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill("a")
    monkeypatch.setenv("REWILD_STORE", str(moving / "new"))
    assert current_folder() == moving / "new"
    monkeypatch.delenv("REWILD_STORE")
    assert set(open_store("m").find({"a"}, 100, 400)) == {"a"}


def test_a_fresh_checkout_begins_empty_without_a_word(moving: Path, capsys: pytest.CaptureFixture[str]) -> None:
    point(moving / "lab/cache")
    assert open_store("m").segments() == [] and capsys.readouterr().err == ""
