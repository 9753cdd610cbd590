"""Which objects of dvc.lock DVC's remote lacks or holds torn; needs the environment's DVC, so `facts` asks it.

DVC looks no more for the files of a folder whose listing the remote has: `dvc push` says that everything is up to date
when the remote has lost one. It pushes the listing last. Here every object is looked for.
"""

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from dvc_objects.db import ObjectDB

from commands.doctor.objects.hashes import CHUNK, digest
from commands.doctor.objects.locked import (
    LISTING,
    Object,
    Out,
    locked_outs,
    md5_in,
    object_path,
    objects_of,
    read_cached,
)

TORN = ".torn"  # what is moved aside in the remote ends so


def md5_of(remote: Any, md5: str) -> str:
    """Return the md5 of what the remote holds as an object, in hex."""
    total = hashlib.md5(usedforsecurity=False)
    with remote.fs.open(remote.oid_to_path(md5), "rb") as file:
        while chunk := file.read(CHUNK):
            total.update(chunk)
    return total.hexdigest()


def read_object(cache: Path, remote: Any, md5: str) -> bytes | None:
    """Return the bytes of a listing: the cache's where it is whole, else the remote's; None where neither has it."""
    if (content := read_cached(cache, md5)) is not None:
        return content
    content = read_remote(remote, md5)
    is_whole = content is not None and hashlib.md5(content, usedforsecurity=False).hexdigest() == md5_in(md5)
    return content if is_whole else None


def read_remote(remote: Any, md5: str) -> bytes | None:
    """Return the bytes of an object of the remote, None where it is not there."""
    try:
        content: bytes = remote.fs.cat_file(remote.oid_to_path(md5))
    except OSError:
        return None
    return content


def examine(cache: Path, remote: Any, *, everything: bool, mend: bool) -> dict[str, Any]:
    """Return the objects that the remote has lost or holds torn, and the outs that were never pushed.

    All are looked for; with `everything` the bytes of all are read, else of listings only. `mend` moves torn ones aside
    and uploads these and lost ones, where the cache has them whole; what is still at fault is returned.
    """
    objects = {out: objects_of(out, partial(read_object, cache, remote)) for out in locked_outs()}
    wanted = {each.md5 for found in objects.values() for each in found}
    list_there: Any = ObjectDB.oids_exist  # a folder's own would delete what is torn
    there = set(list_there(remote, sorted(wanted)))
    read = sorted(md5 for md5 in there if everything or md5.endswith(LISTING))
    torn = {md5 for md5 in read if md5_of(remote, md5) != md5_in(md5)}
    unpushed = [out for out in objects if out.md5 not in there]
    lost = {each.md5 for out, found in objects.items() if out not in unpushed for each in found} - there
    mended = set[str]()
    if mend:
        mended = set(mend_objects(cache, remote, lost, torn))
        lost, torn, there = (lost | torn) - mended, set(), there - torn | mended
    return {
        "objects": len(wanted),
        "read": len(read),
        "missing": sorted(wanted - there),
        "torn": sorted(torn),
        "faults": [*describe(objects, torn, "is torn"), *describe(objects, lost, "is missing")],
        "whole_here": sorted(md5 for md5 in lost | torn if is_whole(cache, md5)),
        "mended": [fault["file"] for fault in describe(objects, mended, "")],
        "unpushed": sorted(out.path for out in unpushed),
    }


def describe(objects: dict[Out, list[Object]], md5s: set[str], state: str) -> list[dict[str, str]]:
    """Return for each of these objects the words for its file, the stage of its out, its md5 and its state."""
    return [
        {"file": str(each), "stage": out.stage, "md5": each.md5, "state": state}
        for out, found in objects.items()
        for each in found
        if each.md5 in md5s
    ]


def mend_objects(cache: Path, remote: Any, lost: set[str], torn: set[str]) -> Iterator[str]:
    """Move torn objects of the remote aside, upload what the cache has whole, and yield what was uploaded."""
    for md5 in sorted(torn):
        path = remote.oid_to_path(md5)
        remote.fs.mv(path, f"{path}{TORN}")
    for md5 in sorted(lost | torn):
        if is_whole(cache, md5):
            remote.fs.makedirs(remote.fs.parent(remote.oid_to_path(md5)), exist_ok=True)
            remote.fs.put_file(str(object_path(cache, md5)), remote.oid_to_path(md5))
            yield md5


def is_whole(cache: Path, md5: str) -> bool:
    """Tell whether the cache has an object whole."""
    path = object_path(cache, md5)
    return path.is_file() and digest(path, "md5") == md5_in(md5)
