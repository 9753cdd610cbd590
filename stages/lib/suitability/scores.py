"""The scores of chats under a base model: taken from the store, where they are by identity, or computed now."""

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.console.interrupts import check_signals, hold_signals
from stages.lib.console.shell import log_line, progress
from stages.lib.core.types import Floats, Row
from stages.lib.generation.place import current_folder
from stages.lib.models.catalogue import Model
from stages.lib.records.chats import Message
from stages.lib.records.shards import chunks
from stages.lib.suitability.encoding import Encoder
from stages.lib.suitability.student import Student

MAX_RANK = 100  # r_max of arXiv 2601.14249: higher ranks count as this one
CHATS_PER_SEGMENT = 50
FOLDER = ".suitability"  # in the store, apart from conversations
SCORE = pa.schema([
    ("identity", pa.string()),  # hash of all that decides the scores of a chat
    ("status", pa.string()),  # ok; or why there is none: control_string, begins_with_space, beyond_window, refused
    ("tokens", pa.int64()),  # of its replies, in tokens of the base model, without the ends of turns
    ("rank", pa.float64()),  # their mean rank, of which each is at most MAX_RANK
    ("surprisal", pa.float64()),  # their mean negative log-likelihood, in nats
])


class Scorer:
    """Scores chats under one base model, whose weights are loaded once some chat needs them."""

    def __init__(self, base: Model, max_tokens: int, device: str) -> None:
        """`max_tokens` is the longest chat that is trained; `device` is cpu or gpu."""
        self._base, self._max_tokens, self._device = base, max_tokens, device
        self._folder = current_folder() / FOLDER / base.id
        self._encoder: Encoder | None = None
        self._student: Student | None = None

    def score(self, chats: Sequence[list[Message]], of: str) -> list[Row]:
        """Return a row of SCORE for each chat, in their order; `of` names them on the screen."""
        names = [identity(chat, self._base, self._max_tokens) for chat in chats]
        known = read_scores(self._folder)
        missing = {name: chat for name, chat in zip(names, chats, strict=True) if name not in known}
        log_line(f"{self._base.id}: scores of {len(chats) - len(missing)} conversations of {of} are in the store")
        with hold_signals():
            shown = progress(missing.items(), desc=f"{self._base.id} reads {of}", unit="conversations")
            for batch in chunks(self._compute(shown), CHATS_PER_SEGMENT):
                write_scores(self._folder, batch)
                known |= {row["identity"]: row for row in batch}
                check_signals()
        return [known[name] for name in names]

    def _compute(self, chats: Iterable[tuple[str, list[Message]]]) -> Iterator[Row]:
        """Yield a row of SCORE for each chat, given with its identity."""
        for name, chat in chats:
            yield {"identity": name, **self._score_chat(chat)}

    def _score_chat(self, chat: list[Message]) -> Row:
        """Score one chat: all of SCORE but its identity."""
        self._encoder = self._encoder or Encoder(self._base, self._max_tokens)
        encoding = self._encoder.encode(chat)
        if isinstance(encoding, str):
            return {"status": encoding, "tokens": None, "rank": None, "surprisal": None}
        self._student = self._student or Student(self._base, self._device)
        surprisals, ranks = self._student.read(encoding)
        return {"status": "ok", "tokens": len(ranks), "rank": mean_rank(ranks), "surprisal": float(surprisals.mean())}


def mean_rank(ranks: Floats) -> float:
    """Average the ranks of a chat's reply tokens, each of at most MAX_RANK (arXiv 2601.14249, eq. 7)."""
    return float(ranks.clip(max=MAX_RANK).mean())


def identity(chat: list[Message], base: Model, max_tokens: int) -> str:
    """Return the hash of all that decides the scores of a chat but the device: 32 hex digits."""
    decides = [
        base.commit,
        base.chat_template,
        max_tokens,
        MAX_RANK,
        [[each["role"], each["content"]] for each in chat],
    ]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:32]


def read_scores(folder: Path) -> dict[str, Row]:
    """Read all scores of a base model, by identity; a torn file is passed over with a line."""
    known: dict[str, Row] = {}
    for file in sorted(folder.glob("*.parquet")):
        try:
            known |= {row["identity"]: row for row in pq.read_table(file, schema=SCORE).to_pylist()}
        except (pa.ArrowException, OSError) as error:
            log_line(f"store: {file} is skipped: {str(error).splitlines()[0]}")
    return known


def write_scores(folder: Path, rows: list[Row]) -> None:
    """Add rows of SCORE as one file, under another name first, so that it is whole or not there."""
    folder.mkdir(parents=True, exist_ok=True)
    name = uuid.uuid4().hex
    pq.write_table(pa.Table.from_pylist(rows, schema=SCORE), folder / f".{name}", compression="zstd")
    (folder / f".{name}").rename(folder / f"{name}.parquet")
