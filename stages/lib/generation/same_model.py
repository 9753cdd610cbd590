"""Conversations of the same model under another id: renaming a catalogue file loses nothing that was paid for.

The identity of a conversation has no id in it, so a renamed model asks for the same identities. Each folder of the
store names the models that answered in it, so of many folders only those of the same model are read.
"""

from collections.abc import Collection, Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.console.shell import log_line
from stages.lib.core.files import read_json, write_json
from stages.lib.core.types import Json
from stages.lib.generation.store import Store
from stages.lib.models.catalogue import Model
from stages.lib.records.shards import chunks

RECORD = "models.json"  # of a folder of the store: the models that answered in it
NUM_SAMPLED = 16  # segments of a folder without a record, as before there were any, that are looked at


def describe_source(model: Model) -> Json:
    """Return what tells a model from all others whatever its id: what pins its weights and, on a server, where it is.

    A commit or hash pins weights wherever they lie. A server proves nothing: the same name elsewhere is another model.
    """
    server = {"server": model.location, "served_name": model.served_name} if model.kind == "server" else {}
    return {"commit": model.commit, **server}


def read_record(folder: Path) -> list[Json]:
    """Return the models that answered in a folder of the store; none where there is no record."""
    path = folder / RECORD
    known: list[Json] = read_json(path) if path.exists() else []
    return known


def record_sources(folder: Path, sources: Collection[Json]) -> None:
    """Note in a folder of the store which models answered in it; call it while no other run writes there."""
    known = read_record(folder)
    if new := [source for source in sources if source not in known]:
        write_json(folder / RECORD, [*known, *new])


def take_over(store: Store, model: Model, identities: Collection[str], max_tokens: int, window: int) -> int:
    """Copy conversations of these identities that other folders hold of the same model; return how many.

    Only such of the same kind (responses, answers, judge replies) that were answered and match the limits are taken.
    The copies name the model by its id of now.
    """
    missing = set(identities)
    for other in other_folders(store):
        if not missing:
            break
        if not may_hold(other, model, missing):
            continue
        found = other.find(missing, max_tokens, window, failed=False)
        for locations in chunks(found.values()):
            store.write(store.named(other.read(locations)))
        if found:
            log_line(f"{store.dgm}: {len(found)} are taken over from {other.dgm}, the same model under another id")
        missing -= found.keys()
    return len(set(identities)) - len(missing)


def other_folders(store: Store) -> Iterator[Store]:
    """Yield the other stores in a store's folder that hold the same kind, by name."""
    for folder in sorted(store.folder.parent.glob("[!.]*")):
        other = Store(folder.parent, folder.name)
        if folder.is_dir() and other.kind == store.kind and other.dgm != store.dgm:
            yield other


def may_hold(other: Store, model: Model, identities: AbstractSet[str]) -> bool:
    """Tell whether a folder may hold conversations of a model: by its record, else by some of its segments.

    Without a record nobody knows on which server a conversation was answered: then none is taken, and a line says so.
    """
    if known := read_record(other.folder):
        return describe_source(model) in known
    if not holds_any(other, identities):
        return False
    if model.kind == "server":
        log_line(
            f"{other.folder} holds such conversations, but not on which server they were answered: "
            f"if it was {model.location}, copy its segments to {model.id}"
        )
    return model.kind != "server"


def holds_any(store: Store, identities: AbstractSet[str]) -> bool:
    """Tell whether some segments of a store, spread over all, hold one of these identities."""
    segments = store.segments()
    for number in np.unique(np.linspace(0, len(segments) - 1, min(NUM_SAMPLED, len(segments)), dtype=int)):
        try:
            column = pq.read_table(segments[number], columns=["identity"])["identity"]
        except (pa.ArrowException, OSError, KeyError):
            continue  # a torn one, which no look-up uses
        if not identities.isdisjoint(column.to_pylist()):
            return True
    return False
