"""Exactly the rows that the run's recipe names, shuffled (paper, Tab. 1, sec. 3.1).

In:  metrics/recipes.json (the key of this run alone) and the sources that it names, checked by digest; models/<base>/
Out: data/mixes/<run>/ (conversation_hash, source, messages), data/manifests/<run>/: what they are
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line, progress
from stages.lib.core.artifacts import require
from stages.lib.core.files import SUMMARY, new_folder, read_json, write_json  # fmt: skip
from stages.lib.mixing.manifest import Manifest
from stages.lib.mixing.screening import Screening
from stages.lib.mixing.selection import (
    Candidates,
    Filters,
    Source,
    in_key_order,
    order_ranks,
    read_auxiliary_candidates,
    read_dgm_candidates,
    repeated,
    repeats,
)  # fmt: skip
from stages.lib.mixing.token_lengths import Lengths, cut_to_reference
from stages.lib.models.catalogue import load_model
from stages.lib.records.chats import CHAT
from stages.lib.records.external_sort import (
    RANK,
    ROWS_PER_PARTITION,
    WORKERS,
    Partition,
    RowSelection,
    partitioned,
    prefetch,
    read_by_rank,
)
from stages.lib.records.shards import ROWS_PER_GROUP, ROWS_PER_SHARD, chunks, shard_path
from stages.lib.settings.reading import run

Finish = Callable[[pa.Table], tuple[pa.Table, int]]  # rows as they were chosen -> as they are written, replies cut
HINT = "ask for fewer, make more, or set mix.on_shortage to cap or upsample"
MIXES, MANIFESTS = Path("data/mixes"), Path("data/manifests")


def open_source(name: str, found: dict[str, Any], filters: Filters | None) -> Source:
    """Find a source's folders by digest, and read what its rows are called and which of them may be taken."""
    if filters and found["kind"] == "dgm":
        verdicts = require(Path("data/verdicts") / name, found["verdicts"], f"validate@{name}")
        folder = require(Path("data/responses") / name, found["responses"], f"generate@{name}")
        return Source(read_dgm_candidates(name, verdicts, filters), folder, found["take"], is_dgm=True)
    folder = require(Path("data/auxiliary") / name, found["rows"], f"auxiliary@{name}")
    return Source(read_auxiliary_candidates(name, folder), folder, found["take"], is_dgm=False)


def open_sources(recipe: dict[str, Any]) -> tuple[dict[str, Source], Source | None]:
    """The sources of a recipe by name, and the DGM to whose replies the others are cut, if there is one."""
    filters = Filters(**recipe["filters"]) if "filters" in recipe else None
    with ThreadPoolExecutor(WORKERS) as pool:
        opened = [pool.submit(open_source, name, found, filters) for name, found in sorted(recipe["sources"].items())]
        sources = {source.name: source for source in (task.result() for task in opened)}
    if "reference" not in recipe:
        return sources, None
    all_of_it = {**recipe["reference"], "kind": "dgm", "take": {}}
    reference = open_source(recipe["reference"]["dgm"], all_of_it, Filters(1, [], exclude_toxic=False))
    known = reference.candidates.names.take(reference.candidates.places).combine_chunks()
    for source in sources.values():
        if source.is_dgm:
            known_here = pc.is_in(source.candidates.names, value_set=known).to_numpy()
            source.candidates.leave_out("not_in_reference", ~known_here)
    return sources, reference


def choose(source: Source, recipe: dict[str, Any], screening: Screening, lengths: Lengths) -> np.ndarray:
    """The places of the rows that a mix takes of a source, in key order."""
    order = in_key_order(source.candidates, recipe["seed"])
    tried = screening.passed(source, order, source.take.get("rows", len(order)))
    if "tokens" in source.take:
        places = up_to_tokens(source, tried, recipe["on_shortage"], lengths)
        screening.forget_all_but(source.name, source.candidates.names.take(places))
        return places
    return enough(source.candidates, tried, source.take["rows"], recipe["on_shortage"])


def enough(candidates: Candidates, places: np.ndarray, rows: int, on_shortage: str) -> np.ndarray:
    """So many rows of these places, or what `on_shortage` says when there are fewer."""
    if len(places) >= rows or on_shortage == "cap":
        return places[:rows]
    if on_shortage == "upsample":
        return repeated(places, rows)
    left_out = ", ".join(f"{reason} {count}" for reason, count in candidates.counts().items())
    raise UserError(
        f"{candidates.source}: {rows} rows were asked for and {len(places)} can be taken (left out: {left_out}); {HINT}"
    )


def up_to_tokens(source: Source, places: np.ndarray, on_shortage: str, lengths: Lengths) -> np.ndarray:
    """The first rows that together have as many tokens as are asked for, the last one included.

    All if they have fewer, unless that is an error.
    """
    tokens, counted = source.take["tokens"], np.zeros(0, np.int64)
    for table in read_by_rank([source.reading(places, np.arange(len(places)))]):
        counted = np.append(counted, lengths.of_chats(table["messages"]))
        if counted.sum() >= tokens:
            break
    if counted.sum() < tokens and on_shortage == "error":
        raise UserError(f"{source.name}: {tokens} tokens were asked for and {counted.sum()} can be taken; {HINT}")
    return places[: int(np.searchsorted(np.cumsum(counted), tokens)) + 1]


@dataclass(frozen=True, slots=True)
class Chosen:
    """Rows of one source, and where each stands in the mix."""

    source: Source
    places: np.ndarray
    ranks: np.ndarray

    @property
    def names(self) -> pa.ChunkedArray:
        """Their conversation hashes."""
        return self.source.candidates.names.take(self.places)

    @property
    def languages(self) -> pa.ChunkedArray:
        """The languages of their prompts."""
        return self.source.candidates.languages.take(self.places)


def arrange(sources: dict[str, Source], places: dict[str, np.ndarray], seed: int) -> list[Chosen]:
    """Shuffle the chosen rows of all sources."""
    named = {key: (sources[key].candidates.names.take(found), repeats(found)) for key, found in places.items()}
    ranks = order_ranks(seed, named)
    return [Chosen(source, places[key], ranks[key]) for key, source in sources.items()]


def readings(chosen: list[Chosen], reference: Source | None) -> list[RowSelection]:
    """The chosen rows; with a reference, their ranks doubled, and its own conversations right after them."""
    if not reference:
        return [part.source.reading(part.places, part.ranks) for part in chosen]
    known = reference.candidates.names.combine_chunks()
    beside = [(part, pc.index_in(part.names, value_set=known).to_numpy()) for part in chosen if part.source.is_dgm]
    return [
        *(part.source.reading(part.places, 2 * part.ranks) for part in chosen),
        *(reference.reading(places, 2 * part.ranks + 1) for part, places in beside),
    ]


def write_mix(mix: Path, chosen: list[Chosen], reference: Source | None, lengths: Lengths) -> Manifest:
    """Write the shards of a mix, and count what they hold."""
    manifest = Manifest(by_rank(chosen, "names"), by_rank(chosen, "languages"))
    rows_per_part = (2 if reference else 1) * ROWS_PER_PARTITION
    finish = partial(cut_to_reference, lengths=lengths) if reference else lambda table: (table, 0)
    with (
        new_folder(mix) as folder,
        ThreadPoolExecutor(WORKERS) as pool,
        partitioned(readings(chosen, reference), rows_per_part, pool) as parts,
    ):
        shards = list(enumerate(chunks(parts, ROWS_PER_SHARD // ROWS_PER_PARTITION)))
        tasks = (partial(write_parts, folder, *shard, finish, lengths, manifest) for shard in shards)
        for _ in progress(prefetch(pool, tasks), desc=mix.name, unit="shards", total=len(shards)):
            pass
    return manifest


def write_parts(
    folder: Path, number: int, parts: list[Partition], finish: Finish, lengths: Lengths, manifest: Manifest
) -> None:
    """Write a few parts as one shard."""
    with pq.ParquetWriter(shard_path(folder, number), CHAT, compression="zstd") as writer:
        for place, part in enumerate(parts):
            table, num_cut = finish(part.sorted())
            table = table.drop([RANK])
            first = number * ROWS_PER_SHARD + place * ROWS_PER_PARTITION
            manifest.add(first, table, lengths.of_chats(table["messages"]), num_cut)
            writer.write_table(table, row_group_size=ROWS_PER_GROUP)


def by_rank(chosen: list[Chosen], column: str) -> pa.Array:
    """A column of all chosen rows, in the order of the mix."""
    values = pa.chunked_array([chunk for part in chosen for chunk in getattr(part, column).chunks])
    return values.take(pa.array(np.argsort(np.concatenate([part.ranks for part in chosen])))).combine_chunks()


def of_sources(sources: dict[str, Source]) -> dict[str, Any]:
    """How many rows of each source could not be taken, by reason, and under which licence the sets are."""
    counts = {name: source.candidates.counts() for name, source in sources.items()}
    sets = {name: read_json(source.folder / SUMMARY) for name, source in sources.items() if not source.is_dgm}
    licenses = {name: {key: found[key] for key in ("license", "origin")} for name, found in sets.items()}
    return {"left_out": {name: found for name, found in counts.items() if found}, "licenses": licenses}


READS = ()


def main(key: str) -> None:
    """Make the mix of one run."""
    recipe = read_json(Path("metrics/recipes.json"))["runs"][key]
    lengths, screening = Lengths(load_model(recipe["base"])), Screening(recipe)
    sources, reference = open_sources(recipe)
    places = {name: choose(source, recipe, screening, lengths) for name, source in sources.items()}
    if not any(map(len, places.values())):
        raise UserError(f"mix.runs.{key} takes no rows: name dgms or auxiliary sets in it")
    chosen = arrange(sources, places, recipe["seed"])
    manifest = write_mix(MIXES / key, chosen, reference, lengths)
    with new_folder(MANIFESTS / key) as folder:
        screening.write(folder)
        write_json(folder / SUMMARY, manifest.summary() | screening.summary() | of_sources(sources))
    log_line(f"{key}: {', '.join(f'{part.source.name} {len(part.places)}' for part in chosen)} rows")


if __name__ == "__main__":
    run(main)
