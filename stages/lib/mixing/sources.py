"""Open the sources of a recipe: check their folders by digest, and find out which rows can be taken."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.lib.core.artifacts import require_folder
from stages.lib.mixing.selection import Filters, Source, read_auxiliary_candidates, read_dgm_candidates, systems_of
from stages.lib.records.external_sort import WORKERS
from stages.lib.records.shards import parquet_files, read_table

ALL = Filters(min_turns=1, languages=[], exclude_toxic=False)


def open_sources(recipe: dict[str, Any]) -> tuple[dict[str, Source], Source | None]:
    """Open the sources of a recipe by name, and the DGM to whose replies the others are truncated, if there is one."""
    filters = Filters(**recipe["filters"]) if "filters" in recipe else None
    with ThreadPoolExecutor(WORKERS) as pool:
        tasks = [pool.submit(open_source, name, entry, filters) for name, entry in sorted(recipe["sources"].items())]
        sources = {source.name: source for source in (task.result() for task in tasks)}
    if "reference" not in recipe:
        return sources, None
    entry = recipe["reference"]
    reference = open_source(entry["dgm"], {**entry, "kind": "dgm", "take": {}}, ALL)
    leave_out_without_reference(sources, reference)
    return sources, reference


def open_source(name: str, entry: dict[str, Any], filters: Filters | None) -> Source:
    """Open one source by its entry in the recipe; raise UserError if a folder does not have the entry's digest."""
    if filters and entry["kind"] == "dgm":
        verdicts = require_folder(Path("data/verdicts") / name, entry["verdicts"], f"validate@{name}")
        folder = require_folder(Path("data/responses") / name, entry["responses"], f"generate@{name}")
        return Source(read_dgm_candidates(name, verdicts, filters), folder, entry["take"], is_dgm=True)
    folder = require_folder(Path("data/auxiliary") / name, entry["rows"], f"auxiliary@{name}")
    return Source(read_auxiliary_candidates(name, folder), folder, entry["take"], is_dgm=False)


def leave_out_systems(source: Source) -> None:
    """Leave out the rows of a source that have a system message, for a base model whose template has no role for it."""
    find = find_systems if source.is_dgm else find_system_messages
    source.candidates.leave_out("no_system_role", np.concatenate([find(file) for file in parquet_files(source.folder)]))


def find_systems(file: Path) -> np.ndarray:
    """Return which responses of a file are to a prompt with a system message."""
    with pq.ParquetFile(file) as shard:
        systems = systems_of(shard.read(["conversation_hash", "system"]))
    mask: np.ndarray = pc.not_equal(systems, "").to_numpy(zero_copy_only=False)
    return mask


def find_system_messages(file: Path) -> np.ndarray:
    """Return which chats of a file begin with a system message."""
    messages = read_table(file, ["messages"])["messages"].combine_chunks()
    first = pc.list_element(messages, 0).field("role")
    mask: np.ndarray = pc.equal(first, "system").to_numpy(zero_copy_only=False)
    return mask


def leave_out_without_reference(sources: dict[str, Source], reference: Source) -> None:
    """Leave out the DGM conversations that the reference has not answered validly."""
    candidates = reference.candidates
    names = candidates.names.take(candidates.row_indices).combine_chunks()
    for source in sources.values():
        if source.is_dgm:
            has_reference = pc.is_in(source.candidates.names, value_set=names).to_numpy()
            source.candidates.leave_out("not_in_reference", ~has_reference)
