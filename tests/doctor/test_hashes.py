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
from commands.doctor.objects.cache import cached_objects, look_at_cache, md5_of_name
from commands.doctor.objects.hashes import check_files
from stages.lib.generation.store import SEGMENT, Store

CACHE = Path(".dvc/cache/files/md5")
DVC = [sys.executable, "-m", "dvc"]


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
    [finding] = look_at_cache({}, {}, mend=False, everything=False)
    assert (finding.state, finding.text) == ("ok", "3 objects, 0.0 GB, all read: none is torn")


def test_a_torn_object_of_no_out_is_named_and_moved_aside_when_asked() -> None:
    put(b"whole")
    torn = put(b"content of a shard")
    name = torn.parent.name + torn.name
    torn.write_bytes(b"content")
    summary, finding = look_at_cache({}, {}, mend=False, everything=False)
    assert (summary.state, summary.text) == ("broken", "2 objects, 0.0 GB, all read: 1 torn")
    assert (finding.state, finding.text) == ("broken", f"{name}: torn, of no out of this commit")
    assert finding.mend == "make doctor MEND=yes" and torn.exists()
    [finding] = look_at_cache({}, {}, mend=True, everything=False)
    assert (finding.state, finding.text) == ("ok", f"mended: moved to .dvc/tmp/torn: {name}")
    assert not torn.exists() and Path(".dvc/tmp/torn", name).read_bytes() == b"content"
    assert look_at_cache({}, {}, mend=False, everything=False)[0].text.startswith("1 object,")


def test_a_cache_in_another_folder_is_looked_at() -> None:
    (torn := put(b"y")).write_bytes(b"")
    Path("elsewhere").mkdir()
    CACHE.rename("elsewhere/md5")
    assert look_at_cache({"cache": "elsewhere/md5"}, {}, mend=False, everything=False)[0].state == "broken"
    assert look_at_cache({}, {}, mend=False, everything=False)[0].text == f"{CACHE} is empty"
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
    """A folder of models/ that dvc.lock names as an out, and that DVC's cache holds."""
    folder = Path("models") / name
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(json.dumps({"id": name}))
    save_file({"a": np.zeros((4, 4)), "b": np.ones(3)}, folder / "model.safetensors", metadata={"format": "pt"})
    files = {path.name: put(path.read_bytes()) for path in sorted(folder.iterdir())}
    entries = [{"md5": md5_of_name(path), "relpath": name} for name, path in files.items()]
    listing = put(json.dumps(entries).encode(), ".dir")
    if not Path("dvc.lock").exists():
        Path("dvc.lock").write_text("schema: '2.0'\nstages:\n")
    with Path("dvc.lock").open("a") as lock:
        lock.write(LOCKED.format(name=name, md5=f"{md5_of_name(listing)}.dir"))
    return folder


LOCKED = """\
  train@{name}:
    cmd: python -m stages.train {name}
    deps:
    - path: models/base-of-{name}
      hash: md5
      md5: 0123.dir
    params:
      data/checked/training_seeds.json:
        outs: 1
    outs:
    - path: models/{name}
      hash: md5
      md5: {md5}
      size: 9
      nfiles: 2
"""


def look(**facts: object) -> tuple[str, str]:
    (finding,) = look_at_models(facts)
    return finding.text, finding.mend


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
    assert look() == ("2 folders", "")
    weights.write_bytes(spoil(weights.read_bytes()))
    assert look() == (fault, "dvc checkout --force models/one")


def test_a_folder_without_model_json_or_with_a_torn_one_is_found() -> None:
    (model("one") / "model.json").write_text('{"id": ')
    (model("two") / "model.json").unlink()
    assert look() == ("models/one/model.json is torn (and 1 more)", "dvc checkout --force models/one models/two")


def test_a_folder_of_models_that_is_no_out_is_left_alone() -> None:
    model("one")
    for name in ("notes", "base-of-one"):
        Path("models", name).mkdir()
    assert look() == ("1 folder", "")


def test_a_torn_model_is_checked_out_only_when_the_cache_is_whole() -> None:
    folder = model("one")
    torn = folder / "model.json"
    cached = put(torn.read_bytes())
    torn.write_bytes(b"{")
    assert look(problem="not looked at without .venv") == ("models/one/model.json is torn", "")
    cached.write_bytes(b"{")
    fault = "models/one/model.json is torn, and in DVC's cache it is"
    assert look() == (f"{fault} torn", "make doctor MEND=yes ALL=yes")
    look_at_cache({}, {}, mend=True, everything=True)
    assert look() == (f"{fault} not whole", "dvc repro")
    text, mend = look(remote="lab")
    assert text.startswith(f"{fault} not whole; after this look again") and mend == "dvc fetch models/one"


def test_the_command_that_mends_a_model_works() -> None:
    subprocess.run(["git", "init", "-q"], check=True)
    Path(".dvc/config").touch()
    Path("dvc.yaml").write_text("stages: {train: {foreach: [one], do: {cmd: 'x', outs: ['models/${item}']}}}\n")
    (model("one") / "model.json").unlink()
    text, mend = look()
    assert text == "models/one has no model.json"
    subprocess.run([*DVC, *mend.split()[1:]], check=True, capture_output=True)
    assert look() == ("1 folder", "") and Path("models/one/model.json").exists()
