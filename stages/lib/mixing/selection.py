"""Which rows of a source go into a mix, and in which order they are tried."""

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

TURNS = ["conversation_hash", "turns.list.element.user", "turns.list.element.assistant"]


@dataclass(slots=True)
class Candidates:
    """All rows of a source by their place in its files, and why some of them cannot be taken."""

    source: str
    names: pa.ChunkedArray  # conversation_hash
    left_out: dict[str, np.ndarray]  # by reason: a mask over the rows; a row has at most one
    languages: pa.ChunkedArray  # of the prompts; empty where none is known

    @property
    def free(self) -> np.ndarray:
        """Of each row, whether it can be taken."""
        found: np.ndarray = np.ones(len(self.names), dtype=bool)
        for mask in self.left_out.values():
            found &= ~mask
        return found

    @property
    def places(self) -> np.ndarray:
        """The places of the rows that can be taken."""
        return np.flatnonzero(self.free)

    def leave_out(self, reason: str, mask: np.ndarray) -> None:
        """Leave out rows for a reason, if they are not left out already."""
        self.left_out[reason] = self.left_out.get(reason, False) | (mask & self.free)

    def leave_out_places(self, reason: str, places: np.ndarray) -> None:
        """The same, for a few rows."""
        mask = np.zeros(len(self.names), dtype=bool)
        mask[places] = True
        self.leave_out(reason, mask)

    def counts(self) -> dict[str, int]:
        """How many rows each reason leaves out."""
        return {reason: int(mask.sum()) for reason, mask in self.left_out.items() if mask.any()}


def read_auxiliary_candidates(key: str, folder: Path) -> Candidates:
    """The rows of an auxiliary set: all can be taken."""
    names = read_table(folder, ["conversation_hash"])["conversation_hash"]
    return Candidates(key, names, {}, pa.chunked_array([pa.repeat("", len(names))]))


def read_dgm_candidates(dgm: str, verdicts: Path, filters: "Filters") -> Candidates:
    """The conversations of a DGM: those that validation keeps and the filters let through can be taken.

    Verdicts stand in the order of the responses, one for each, so they alone are read.
    """
    table = read_table(verdicts, ["conversation_hash", "keep", "language", "toxic", "turns"])
    found = Candidates(dgm, table["conversation_hash"], {}, table["language"])
    found.leave_out("not_kept", ~table["keep"].to_numpy())
    found.leave_out("few_turns", table["turns"].to_numpy() < filters.min_turns)
    if filters.languages:
        found.leave_out("language", ~pc.is_in(table["language"], value_set=pa.array(filters.languages)).to_numpy())
    if filters.exclude_toxic:
        found.leave_out("toxic", table["toxic"].to_numpy())
    return found


@dataclass(frozen=True, slots=True)
class Source:
    """A DGM or an auxiliary set: its candidates, and how its rows are read."""

    candidates: Candidates
    folder: Path
    take: dict[str, int]
    is_dgm: bool

    @property
    def name(self) -> str:
        """Its id."""
        return self.candidates.source

    def reading(self, places: np.ndarray, ranks: np.ndarray) -> RowSelection:
        """Rows of the source as rows of CHAT."""
        convert = partial(to_chats, source=self.name) if self.is_dgm else pa.Table.take
        return RowSelection(self.folder, TURNS if self.is_dgm else CHAT.names, convert, places, ranks)


def to_chats(table: pa.Table, order: np.ndarray, source: str) -> pa.Table:
    """Conversations with `turns`, in this order, as rows of CHAT: each turn is a user's message and an assistant's."""
    turns = table["turns"].combine_chunks()
    users, assistants = (turns.flatten().field(name) for name in ("user", "assistant"))
    starts = turns.offsets.to_numpy() - turns.offsets[0].as_py()
    counts = np.diff(starts)[order]
    stops = np.cumsum(counts)
    turn = np.arange(stops[-1]) + np.repeat(starts[:-1][order] - (stops - counts), counts)
    contents = pa.concat_arrays([users, assistants]).take(pa.array(np.stack([turn, turn + len(users)], axis=1).ravel()))
    roles = pa.array(["user", "assistant"]).take(pa.array(np.tile([0, 1], len(turn))))
    offsets = pa.array(np.concatenate([[0], 2 * stops]).astype(np.int32))
    messages = pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays([roles, contents], ["role", "content"]))
    sources = pa.repeat(source, len(order))
    return pa.table([table["conversation_hash"].take(order), sources, messages], schema=CHAT)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which conversations of a DGM a mix may take."""

    min_turns: int
    languages: list[str]  # as the prompts name them; empty: all
    exclude_toxic: bool


def in_key_order(candidates: Candidates, seed: int) -> np.ndarray:
    """The places of the rows that can be taken, by the keyed hashes of (seed, source, conversation_hash).

    The first n of them are the choice of n: it depends on nothing else, so fewer rows are a part of more.
    """
    places = candidates.places
    keys = hashes(seed, candidates.source, names=candidates.names.take(places))
    return places[np.argsort(keys, kind="stable")]


def hashes(seed: int, *parts: str, names: pa.ChunkedArray) -> np.ndarray:
    """The keyed_hash of (seed, parts, name) for each name, all at once."""
    prefix = "\x1f".join([str(seed), *parts, ""]).encode()
    digests = [
        hashlib.blake2b(prefix + name, digest_size=8).digest()
        for chunk in names.chunks
        for name in chunk.cast(pa.binary()).to_pylist()
    ]
    return (np.frombuffer(b"".join(digests), dtype=">u8") >> np.uint64(1)).astype(np.int64)


def repeated(places: np.ndarray, rows: int) -> np.ndarray:
    """So many rows of these places in key order: whole repeats of all, then the first of them."""
    return np.resize(places, rows) if rows and len(places) else places[:0]


def repeats(places: np.ndarray) -> np.ndarray:
    """Of each place, how often it came before."""
    order = np.argsort(places, kind="stable")
    starts, stops = run_bounds(places[order])
    found = np.empty(len(places), np.int64)
    found[order] = np.arange(len(places)) - np.repeat(starts, stops - starts)
    return found


def order_ranks(seed: int, chosen: dict[str, tuple[pa.ChunkedArray, np.ndarray]]) -> dict[str, np.ndarray]:
    """The place of every chosen row in the shuffled mix: names and repeats by source -> ranks by source.

    The order is that of the keyed hashes of (seed, "order", source, conversation_hash, repeat).
    """
    sources = sorted(chosen)
    keys = np.concatenate([order_keys(seed, source, *chosen[source]) for source in sources])
    ranks = np.empty(len(keys), np.int64)
    ranks[np.argsort(keys, kind="stable")] = np.arange(len(keys))
    ends = np.cumsum([len(chosen[source][1]) for source in sources])
    return dict(zip(sources, np.split(ranks, ends[:-1]), strict=True))


def order_keys(seed: int, source: str, names: pa.ChunkedArray, again: np.ndarray) -> np.ndarray:
    """The keys of one source's rows; a repeat has one of its own."""
    keys = hashes(seed, "order", source, names=names)
    for place in np.flatnonzero(again):
        keys[place] = keyed_hash(seed, "order", source, names[int(place)].as_py(), str(again[place]))
    return keys
