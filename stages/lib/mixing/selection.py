"""Select the rows that a mix takes from a source, and shuffle them, by keyed hashes alone."""

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.records.chats import CHAT
from stages.lib.records.external_sort import RowSelection, run_bounds
from stages.lib.records.hashing import keyed_hash
from stages.lib.records.shards import read_table

TURNS = ["conversation_hash", "turns.list.element.user", "turns.list.element.assistant", "system"]
ROLES = ("user", "assistant", "system")
NAMES_AT_ONCE = 10_000  # that are in memory as Python's strings


@dataclass(frozen=True, slots=True)
class Filters:
    """The conversations of a DGM that a mix may take."""

    min_turns: int
    languages: list[str]  # as the prompts name them; empty: all
    exclude_toxic: bool


@dataclass(slots=True)
class Candidates:
    """All rows of a source in the order of its files, and the reasons why some of them are left out."""

    source: str
    names: pa.ChunkedArray  # conversation_hash
    left_out: dict[str, np.ndarray]  # reason -> mask over the rows; a row has at most one reason
    languages: pa.ChunkedArray  # of the prompts; empty where unknown

    @property
    def eligible(self) -> np.ndarray:
        """The mask of the rows that can be taken."""
        mask: np.ndarray = np.ones(len(self.names), dtype=bool)
        for left_out in self.left_out.values():
            mask &= ~left_out
        return mask

    @property
    def row_indices(self) -> np.ndarray:
        """The indices of the rows that can be taken."""
        return np.flatnonzero(self.eligible)

    def leave_out(self, reason: str, mask: np.ndarray) -> None:
        """Leave out the rows of a mask for a reason, except those that are left out already."""
        self.left_out[reason] = self.left_out.get(reason, False) | (mask & self.eligible)

    def leave_out_rows(self, reason: str, row_indices: np.ndarray) -> None:
        """Leave out rows by index for a reason."""
        mask = np.zeros(len(self.names), dtype=bool)
        mask[row_indices] = True
        self.leave_out(reason, mask)

    def counts(self) -> dict[str, int]:
        """Count the rows left out by reason."""
        return {reason: int(mask.sum()) for reason, mask in self.left_out.items() if mask.any()}


def read_auxiliary_candidates(key: str, folder: Path) -> Candidates:
    """Read the hashes of an auxiliary set's rows; all of them can be taken."""
    names = read_table(folder, ["conversation_hash"])["conversation_hash"]
    return Candidates(key, names, {}, pa.chunked_array([pa.repeat("", len(names))]))


def read_dgm_candidates(dgm: str, verdicts: Path, filters: Filters) -> Candidates:
    """Read a DGM's conversations; those that validation keeps and the filters admit can be taken.

    There is one verdict for each response, in the same order, so only the verdicts are read.
    """
    table = read_table(verdicts, ["conversation_hash", "keep", "language", "toxic", "turns"])
    candidates = Candidates(dgm, table["conversation_hash"], {}, table["language"])
    candidates.leave_out("not_kept", ~table["keep"].to_numpy())
    candidates.leave_out("few_turns", table["turns"].to_numpy() < filters.min_turns)
    if filters.languages:
        admitted = pc.is_in(table["language"], value_set=pa.array(filters.languages)).to_numpy()
        candidates.leave_out("language", ~admitted)
    if filters.exclude_toxic:
        candidates.leave_out("toxic", table["toxic"].to_numpy())
    return candidates


@dataclass(frozen=True, slots=True)
class Source:
    """A DGM or an auxiliary set: its candidates, its folder and how much of it the mix takes."""

    candidates: Candidates
    folder: Path
    take: dict[str, int]  # {"rows": n} or {"tokens": n}
    is_dgm: bool

    @property
    def name(self) -> str:
        """The id of the DGM or auxiliary set."""
        return self.candidates.source

    def select(self, row_indices: np.ndarray, ranks: np.ndarray) -> RowSelection:
        """Select rows of the source, to be read as rows of CHAT."""
        convert = partial(turns_to_chats, source=self.name) if self.is_dgm else pa.Table.take
        return RowSelection(self.folder, TURNS if self.is_dgm else CHAT.names, convert, row_indices, ranks)


def turns_to_chats(table: pa.Table, order: np.ndarray, source: str) -> pa.Table:
    """Convert rows with `turns`, in the given order, to chats: a system message if any, then two messages per turn."""
    turns = table["turns"].combine_chunks()
    users = turns.flatten().field("user")
    assistants = turns.flatten().field("assistant")
    starts = turns.offsets.to_numpy() - turns.offsets[0].as_py()
    counts = np.diff(starts)[order]
    stops = np.cumsum(counts)
    turn = np.arange(stops[-1]) + np.repeat(starts[:-1][order] - (stops - counts), counts)
    systems = systems_of(table)
    with_system = pc.not_equal(systems, "").to_numpy(zero_copy_only=False)[order]
    before = 2 * (stops - counts)[with_system]  # the places of the first messages after a system message
    texts = pa.concat_arrays([users, assistants, systems])
    text = np.stack([turn, turn + len(users)], axis=1).ravel()
    contents = texts.take(pa.array(np.insert(text, before, 2 * len(users) + order[with_system])))
    roles = pa.array(ROLES).take(pa.array(np.insert(np.tile([0, 1], len(turn)), before, 2)))
    offsets = pa.array(np.concatenate([[0], 2 * stops + np.cumsum(with_system)]).astype(np.int32))
    messages = pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays([roles, contents], ["role", "content"]))
    sources = pa.repeat(source, len(order))
    return pa.table([table["conversation_hash"].take(order), sources, messages], schema=CHAT)


def systems_of(table: pa.Table) -> pa.Array:
    """Return the system message of each response; empty where it has none."""
    if "system" not in table.column_names:
        return pa.repeat("", table.num_rows)
    return pc.fill_null(table["system"].combine_chunks(), "")


def order_by_key(candidates: Candidates, seed: int) -> np.ndarray:
    """Sort the indices of the rows that can be taken by the keyed hashes of (seed, source, conversation_hash).

    A mix takes the first n of them. The choice depends on nothing else, so a smaller n takes a subset of a larger one.
    """
    row_indices = candidates.row_indices
    keys = keyed_hashes(seed, candidates.source, names=candidates.names.take(row_indices))
    return row_indices[np.argsort(keys, kind="stable")]


def keyed_hashes(seed: int, *parts: str, names: pa.ChunkedArray) -> np.ndarray:
    """Compute keyed_hash(seed, *parts, name) for each name, all at once."""
    prefix = "\x1f".join([str(seed), *parts, ""]).encode()
    digests = bytearray()
    for start in range(0, len(names), NAMES_AT_ONCE):
        for name in names.slice(start, NAMES_AT_ONCE).cast(pa.binary()).to_pylist():
            digests += hashlib.blake2b(prefix + name, digest_size=8).digest()
    return (np.frombuffer(digests, dtype=">u8") >> np.uint64(1)).astype(np.int64)


def repeat_rows(row_indices: np.ndarray, rows: int) -> np.ndarray:
    """Repeat row indices up to `rows`: whole repeats of all of them, then the first ones."""
    return np.resize(row_indices, rows) if rows and len(row_indices) else row_indices[:0]


def number_repeats(row_indices: np.ndarray) -> np.ndarray:
    """Count for each row index how often it occurs before."""
    order = np.argsort(row_indices, kind="stable")
    starts, stops = run_bounds(row_indices[order])
    repeats = np.empty(len(row_indices), np.int64)
    repeats[order] = np.arange(len(row_indices)) - np.repeat(starts, stops - starts)
    return repeats


def shuffle_ranks(seed: int, rows: dict[str, tuple[pa.ChunkedArray, np.ndarray]]) -> dict[str, np.ndarray]:
    """Shuffle the selected rows of all sources: (conversation hashes, repeats) by source -> ranks in the mix by source.

    The order is that of the keyed hashes of (seed, "order", source, conversation_hash, repeat).
    """
    sources = sorted(rows)
    keys = np.concatenate([shuffle_keys(seed, source, *rows[source]) for source in sources])
    ranks = np.empty(len(keys), np.int64)
    ranks[np.argsort(keys, kind="stable")] = np.arange(len(keys))
    ends = np.cumsum([len(rows[source][1]) for source in sources])
    return dict(zip(sources, np.split(ranks, ends[:-1]), strict=True))


def shuffle_keys(seed: int, source: str, names: pa.ChunkedArray, repeats: np.ndarray) -> np.ndarray:
    """Compute the keys by which the rows of one source are shuffled; each repeat of a row has its own."""
    keys = keyed_hashes(seed, "order", source, names=names)
    for index in np.flatnonzero(repeats):
        keys[index] = keyed_hash(seed, "order", source, names[int(index)].as_py(), str(repeats[index]))
    return keys
