"""Torn files of DVC's cache and of the store, and torn weights, are found; mending deletes nothing."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import save_file

from commands.doctor.data import look_at_models, look_at_store
from commands.doctor.dvc_files import cached_objects, look_at_cache, md5_of_name
from commands.doctor.hashes import check_files
from stages.lib.generation.store import SEGMENT, Store

CACHE = Path(".dvc/cache/files/md5")


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)


def put(content: bytes, suffix: str = "") -> Path:
    """An object of DVC's cache."""
    name = hashlib.md5(content).hexdigest()
    path = CACHE / name[:2] / (name[2:] + suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def check(budget: int | None) -> tuple[int, list[Path]]:
    checked = check_files(cached_objects(CACHE), md5_of_name, "md5", budget)
    return checked.read, checked.torn


def test_whole_objects_pass_and_other_files_of_the_cache_are_left_alone() -> None:
    put(b"x"), put(b"[]", ".dir"), put(b"")
    (CACHE / "ab").mkdir(exist_ok=True)
    (CACHE / "ab/a.tmp").write_bytes(b"half")
    finding = look_at_cache({}, mend=False, everything=False)
    assert (finding.state, finding.text) == ("ok", "3 objects, 0.0 GB, all read: none is torn")


def test_a_torn_object_is_named_and_moved_aside_when_asked() -> None:
    put(b"whole")
    torn = put(b"content of a shard")
    name = torn.parent.name + torn.name
    torn.write_bytes(b"content")
    finding = look_at_cache({}, mend=False, everything=False)
    assert (finding.state, finding.text) == ("broken", f"1 of 2 objects torn ({name})")
    assert finding.mend == "make doctor MEND=yes" and torn.exists()
    finding = look_at_cache({}, mend=True, everything=False)
    assert finding.state == "ok" and finding.text.startswith(f"mended: 1 of 2 objects torn ({name}), moved to")
    assert not torn.exists() and Path(".dvc/tmp/torn", name).read_bytes() == b"content"
    assert look_at_cache({}, mend=False, everything=False).text.startswith("1 object,")


def test_a_cache_in_another_folder_is_looked_at() -> None:
    (torn := put(b"y")).write_bytes(b"")
    Path("elsewhere").mkdir()
    CACHE.rename("elsewhere/md5")
    assert look_at_cache({"cache": "elsewhere/md5"}, mend=False, everything=False).state == "broken"
    assert look_at_cache({}, mend=False, everything=False).text == f"{CACHE} is empty"
    assert torn.name


def test_within_a_budget_the_newest_are_read_and_a_sample_of_the_others_and_every_empty_one() -> None:
    for number in range(20):
        path = put(b"%03d" % number + bytes(97))
        stamp = 1000 + number
        os.utime(path, (stamp, stamp))
    newest = max(cached_objects(CACHE), key=lambda path: path.stat().st_mtime)
    (empty := put(b"content")).write_bytes(b"")
    assert check(None) == (21, [empty])
    assert check(0) == (1, [empty])
    newest.write_bytes(b"torn" + bytes(96))
    read, torn = check(400)
    assert 3 <= read <= 5 and torn == sorted([empty, newest])


def write_store(dgm: str) -> Path:
    row = {name: None for name in SEGMENT.names}
    Store(Path(".dvc/store"), dgm).write(pa.Table.from_pylist([row], schema=SEGMENT))
    return max(Path(".dvc/store", dgm).glob("*.parquet"))


def test_a_torn_segment_of_the_store_is_named_with_the_command_that_removes_it() -> None:
    write_store("plain")
    segment = write_store("rich")
    assert look_at_store(Path(".dvc/store"), everything=False).text == "2 segments, 0.0 GB, all read: none is torn"
    segment.write_bytes(segment.read_bytes()[:-100])
    finding = look_at_store(Path(".dvc/store"), everything=False)
    assert finding.state == "broken" and finding.text.startswith("1 torn of 2 segments")
    assert finding.mend == "python -m commands.store prune rich"


def test_who_generates_into_the_store_is_named() -> None:
    write_store("rich")
    code = (
        "import sys; from pathlib import Path; from stages.lib.generation.store import Store\n"
        "with Store(Path('.dvc/store'), 'rich').exclusive(): print(flush=True); sys.stdin.read()"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as other:
        assert other.stdout and other.stdin
        other.stdout.readline()
        finding = look_at_store(Path(".dvc/store"), everything=False)
        other.stdin.close()
    assert f"at work: rich (PID {other.pid}: python" in finding.text
    assert "at work" not in look_at_store(Path(".dvc/store"), everything=False).text


def model(name: str) -> Path:
    folder = Path("models") / name
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(json.dumps({"id": name}))
    save_file({"a": np.zeros((4, 4)), "b": np.ones(3)}, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda content: content[:-8], "models/one/model.safetensors is torn"),
        (lambda content: content[:40], "models/one/model.safetensors is torn"),
        (lambda content: content[:5], "models/one/model.safetensors is torn"),
        (lambda content: b"", "models/one/model.safetensors is torn"),
        (lambda content: b"\xff" * 8 + content[8:], "models/one/model.safetensors is torn"),
        (lambda content: content[:8] + b"x" + content[9:], "models/one/model.safetensors is torn"),
        (lambda content: content + b"x", "models/one/model.safetensors is torn"),
    ],
)
def test_torn_weights_are_found_by_their_header(spoil, fault) -> None:
    weights = model("one") / "model.safetensors"
    model("two")
    assert look_at_models().text == "2 folders"
    weights.write_bytes(spoil(weights.read_bytes()))
    assert (look_at_models().state, look_at_models().text) == ("broken", fault)


def test_a_folder_without_model_json_or_with_a_torn_one_is_found() -> None:
    (model("one") / "model.json").write_text('{"id": ')
    (model("two") / "model.json").unlink()
    assert look_at_models().text == "models/one/model.json is torn (and 1 more)"
