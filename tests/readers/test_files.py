"""Which files of a source are read, which are named as passed over, and which are an error."""

import os
from pathlib import Path

import pytest

from stages.lib.console.errors import UserError
from stages.lib.readers.files import list_data_files


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")


def names(folder: Path, pattern: str = "") -> list[str]:
    return [file.relative_to(folder).as_posix() for file in list_data_files(folder, pattern)]


def test_data_files_of_all_folders_are_listed_by_name_whatever_the_case_of_their_ends(tmp_path: Path) -> None:
    data = [
        "a.parquet",
        "b/c/d.PARQUET",
        "b/e.jsonl",
        "f.ndjson",
        "g.json",
        "h.JSONL.GZ",
        "i.json.zst",
        "j.ndjson.zstd",
    ]
    make(tmp_path, *data)
    assert names(tmp_path) == sorted(data)
    assert list_data_files(tmp_path / "h.JSONL.GZ") == [tmp_path / "h.JSONL.GZ"]


def test_what_is_no_data_is_passed_over_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hidden = [".a.parquet", "_metadata", "_SUCCESS", ".ipynb_checkpoints/b.jsonl", "dataset_infos.json"]
    temporary = ["c.parquet.tmp", "d.jsonl.part", "e.parquet.incomplete", "f.jsonl~", "README.md", "z.csv"]
    make(tmp_path, "good.parquet", ".summary.json", *hidden, *temporary)
    assert names(tmp_path) == ["good.parquet"]
    named = capsys.readouterr().err
    assert ".a.parquet, .ipynb_checkpoints, README.md, _SUCCESS, _metadata and 6 more" in named
    assert "summary" not in named


def test_a_pattern_selects_files_by_their_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, "data/train-0.parquet", "data/test-0.parquet", "README.md")
    assert names(tmp_path, "data/train-*") == ["data/train-0.parquet"]
    assert capsys.readouterr().err == ""
    with pytest.raises(UserError, match=r"no file there ends in .* and matches 'dev-\*'"):
        names(tmp_path, "dev-*")


def test_links_to_files_and_folders_are_followed(tmp_path: Path) -> None:
    make(tmp_path, "blobs/1", "other/x.jsonl")
    (tmp_path / "set").mkdir()
    (tmp_path / "set/a.parquet").symlink_to(tmp_path / "blobs/1")
    (tmp_path / "set/b").symlink_to(tmp_path / "other")
    assert names(tmp_path / "set") == ["a.parquet", "b/x.jsonl"]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("dangling", "is a link to nothing or to itself"),
        ("loop", "is a link to nothing or to itself"),
        ("folder_loop", "is a link to a folder that it is in"),
        ("fifo", "is a device or pipe, not a file"),
        ("device", "is a device or pipe, not a file"),
        ("absent", "is not there"),
        ("empty", "no file there ends in"),
    ],
)
def test_what_cannot_be_read_is_an_error_of_one_line(tmp_path: Path, kind: str, message: str) -> None:
    entry = tmp_path / "in" / "x.parquet"
    entry.parent.mkdir()
    if kind == "fifo":
        os.mkfifo(entry)
    targets: dict[str, str | Path] = {"dangling": "nowhere", "loop": entry, "folder_loop": "..", "device": "/dev/null"}
    if kind in targets:
        entry.symlink_to(targets[kind])
    source = tmp_path / "absent" if kind == "absent" else entry.parent
    for given in {source, entry} if kind in {"dangling", "loop", "fifo", "device"} else {source}:
        with pytest.raises(UserError, match=message) as error:
            list_data_files(given)
        assert "\n" not in str(error.value)
