"""Objects of the cache that are torn or missing are named by file and out, with the command that mends them."""

import json
from pathlib import Path

import pytest

from commands.doctor.data import look_at_store
from commands.doctor.objects.cache import look_at_cache
from commands.doctor.objects.locked import locked_outs, md5_in
from commands.doctor.objects.remote import look_at_remote
from tests.doctor.test_hashes import CACHE, put

LOCKED = """\
schema: '2.0'
stages:
  generate@rich:
    cmd: python -m stages.generate rich
    deps:
    - path: data/prompts
      hash: md5
      md5: 0123.dir
    outs:
    - path: data/responses/rich
      hash: md5
      md5: {listing}
    - path: metrics/digests/rich.json
      hash: md5
      md5: 4567
  judge@rich:
    cmd: python -m stages.judge rich
    outs:
    - path: data/costs/judge/rich.json
      hash: md5
      md5: {cost}
"""
SHARDS = {"shard-00000.parquet": b"first", "shard-00001.parquet": b"second"}
OUT = "data/responses/rich"
REMOTE = {"name": "lab", "is_there": True, "missing": [], "torn": []}


@pytest.fixture(autouse=True)
def objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A checkout with two outs, of which the workspace has nothing; their objects by file."""
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    paths = {name: put(content) for name, content in SHARDS.items()}
    entries = [{"md5": md5_of(path), "relpath": name} for name, path in paths.items()]
    paths |= {"listing": put(json.dumps(entries).encode(), ".dir"), "cost": put(b"{}")}
    names = {name: md5_of(path) for name, path in paths.items()}
    Path("dvc.lock").write_text(LOCKED.format(listing=names["listing"], cost=names["cost"]))
    return paths


def md5_of(path: Path) -> str:
    return path.parent.name + path.name


def look(remote: dict[str, object] | None = None, *, mend: bool = False) -> list[tuple[str, str, str]]:
    return [
        (finding.state, finding.text, finding.mend)
        for finding in look_at_cache({}, remote or {}, mend=mend, everything=False)
    ]


def test_outs_of_dvc_lock_are_those_that_dvc_keeps_with_their_stage() -> None:
    assert [(out.stage, out.path) for out in locked_outs()] == [
        ("generate@rich", OUT),
        ("judge@rich", "data/costs/judge/rich.json"),
    ]
    assert md5_in("ab/cdef.dir") == "abcdef"
    assert look() == [("ok", "4 objects, 0.0 GB, all read: none is torn", "")]


def test_a_torn_object_is_named_by_stage_and_file_and_pulled_again_where_the_remote_has_it(objects) -> None:
    objects["shard-00001.parquet"].write_bytes(b"sec")
    text = f"generate@rich: {OUT}/shard-00001.parquet is torn"
    assert look()[1] == ("broken", text, "make doctor MEND=yes; dvc repro generate@rich")
    pull = f"make doctor MEND=yes; dvc pull --force {OUT}/shard-00001.parquet"
    assert look(REMOTE)[1] == ("broken", text, pull)
    assert look(REMOTE | {"torn": [md5_of(objects["shard-00001.parquet"])]})[1][2].endswith("; dvc repro generate@rich")
    mended, missing = look(REMOTE, mend=True)
    assert mended[1].startswith("mended: moved to .dvc/tmp/torn: ")
    text = f"generate@rich: {OUT}/shard-00001.parquet is missing"
    assert missing == ("broken", text, f"dvc pull --force {OUT}/shard-00001.parquet")


def test_what_the_workspace_has_as_a_file_of_its_own_is_put_back(objects) -> None:
    Path(OUT).mkdir(parents=True)
    Path(OUT, "shard-00001.parquet").write_bytes(b"second")
    objects["shard-00001.parquet"].write_bytes(b"sec")
    assert look()[1][2] == "make doctor MEND=yes"
    (mended, whole) = look(mend=True)[0], look()
    assert mended[1].endswith(f"put back from the workspace: {OUT}/shard-00001.parquet")
    assert whole == [("ok", "4 objects, 0.0 GB, all read: none is torn", "")]
    assert objects["shard-00001.parquet"].read_bytes() == b"second"


def test_a_torn_listing_is_named_and_nothing_is_read_from_it(objects) -> None:
    objects["listing"].write_bytes(objects["listing"].read_bytes().replace(b"00001", b"00002"))
    text = f"generate@rich: {OUT} (its list of files) is torn"
    assert look(REMOTE)[1:] == [("broken", text, f"make doctor MEND=yes; dvc pull --force {OUT}")]


def test_an_out_of_which_the_cache_has_nothing_is_not_needed(objects) -> None:
    objects["cost"].unlink()
    line = "1 out of dvc.lock not here: data/costs/judge/rich.json"
    assert look(REMOTE)[1:] == [("missing", line, "dvc pull")]
    assert look()[1:] == [("missing", line, "")]


ANSWER = {
    "name": "lab",
    "address": "ssh://me:secret@host/data",
    "is_there": True,
    "objects": 4,
    "read": 1,
    "missing": [],
    "torn": [],
    "faults": [],
    "whole_here": [],
    "mended": [],
    "unpushed": [],
}


def look_there(**changes: object) -> list[str]:
    found = look_at_remote(ANSWER | changes, everything=False)
    return [f"{finding.state}: {finding.text} [{finding.mend}]" for finding in found]


def test_a_remote_is_shown_without_the_password_in_its_address() -> None:
    line = "ok: lab, ssh://host/data: answers, 4 objects of dvc.lock, `make doctor ALL=yes` reads them []"
    assert look_there() == [line]
    assert look_there(problem="no ssh://me:secret@host here") == [
        "missing: lab, ssh://host/data: no ssh://host here []"
    ]
    assert look_there(is_there=False) == ["ok: lab, ssh://host/data: nothing there yet; dvc push []"]
    states = [look_at_remote(answer, everything=False)[0].state for answer in ({"name": ""}, {"problem": "x"})]
    assert states == ["missing", "missing"]


def test_what_the_remote_has_lost_is_named_with_what_mends_it_and_what_was_never_pushed_is_not_needed() -> None:
    fault = {"file": f"{OUT}/shard-00000.parquet", "stage": "generate@rich", "md5": "ab", "state": "is missing"}
    lost = f"broken: generate@rich: {OUT}/shard-00000.parquet is missing"
    assert look_there(faults=[fault], whole_here=["ab"])[1:] == [f"{lost} [make doctor MEND=yes]"]
    assert look_there(faults=[fault])[1:] == [f"{lost} [dvc repro generate@rich; make doctor MEND=yes]"]
    assert look_there(unpushed=["a", "b"])[1:] == ["missing: 2 outs of dvc.lock not there: a, b [dvc push]"]


def test_a_store_that_stayed_behind_is_named() -> None:
    finding = look_at_store(Path("big/store"), everything=False, left=".dvc/store")
    assert finding.text == ".dvc/store holds finished conversations, and the store is now big/store"
    assert (finding.state, finding.mend) == ("broken", "python -m commands.store move") and CACHE.exists()


def test_a_link_of_the_workspace_to_a_torn_object_goes_with_it_and_a_file_of_its_own_stays(objects) -> None:
    Path(OUT).mkdir(parents=True)
    for name in SHARDS:
        objects[name].write_bytes(b"torn")
    Path(OUT, "shard-00000.parquet").hardlink_to(objects["shard-00000.parquet"])
    Path(OUT, "shard-00001.parquet").write_bytes(b"edited")
    look(mend=True)
    assert [path.name for path in Path(OUT).iterdir()] == ["shard-00001.parquet"]
    assert len(list(Path(".dvc/tmp/torn").iterdir())) == 2
