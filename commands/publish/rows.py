"""The rows of a published set: a DGM's responses with the verdicts on them, a thousand in memory at a time."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.lib.console.errors import UserError
from stages.lib.mixing.selection import systems_of, turns_to_chats
from stages.lib.records.chats import CHAT
from stages.lib.records.responses import RESPONSE, SYSTEM
from stages.lib.records.shards import READ_BUFFER, ROWS_PER_GROUP, parquet_files, read_table
from stages.lib.records.verdicts import VERDICT

FROM_VERDICT = ("keep", "reasons", "language", "toxic")
# The columns in their order, and what they mean to a reader who does not know the pipeline.
MEANINGS = {
    "conversation_hash": "the prompt, as its source names it; equal in all configs",
    "dgm": "the model that wrote the replies; the name of the config",
    "messages": "the conversation as `role` and `content`: what chat templates and trainers read",
    "turns": "the same by turn, with the finish reason and the tokens of every reply",
    "system": "the prompt's system message; mostly empty",
    "language": "of the prompt, as its source names it",
    "toxic": "whether the source marks the prompt's conversation as toxic; says nothing of the replies here",
    "keep": "whether validation keeps the conversation",
    "reasons": "every reason that validation found; some are reported only, and drop nothing",
    "status": "`ok`; `not_imported`, if there was no reply; or why the last turn has none",
    "reason": "the engine's message, if `status` is `failed`",
    "history": "which replies later turns saw: the model's `own`, or those of the `reference`",
    "seed": "of sampling",
    "engine": "what generated the replies, with its version",
    "identity": "hash of everything that decides the conversation",
}
_FIELDS = {
    field_.name: field_ for field_ in (*RESPONSE, SYSTEM, *map(VERDICT.field, FROM_VERDICT), CHAT.field("messages"))
}
PUBLISHED = pa.schema([_FIELDS[name] for name in MEANINGS])


@dataclass
class Choice:
    """Which rows are published, and how many others were left out by reason."""

    kept: bool = False  # only those that validation keeps
    toxic: bool = True  # also those of toxic prompts
    left_out: Counter[str] = field(default_factory=Counter)

    def apply(self, rows: pa.Table) -> pa.Table:
        """Return the rows of PUBLISHED that are published; each other one is counted under one reason."""
        wanted = np.ones(rows.num_rows, bool)
        for reason, is_on, mask in (
            ("not_kept", self.kept, pc.invert(rows["keep"])),
            ("toxic_prompt", not self.toxic, rows["toxic"]),
        ):
            left_out = wanted & mask.to_numpy() if is_on else np.zeros(rows.num_rows, bool)
            self.left_out[reason] += int(left_out.sum())
            wanted &= ~left_out
        return rows.filter(pa.array(wanted))


def read_published(responses: Path, verdicts: Path, choice: Choice) -> Iterator[pa.Table]:
    """Yield the published rows of a DGM, in the order of its responses.

    Raises UserError when there is not one verdict for each response, in the same order.
    """
    shards, verdict_shards = parquet_files(responses), parquet_files(verdicts)
    if len(shards) != len(verdict_shards):
        raise mismatch(responses)
    for shard, verdict_shard in zip(shards, verdict_shards, strict=True):
        known = read_table(verdict_shard, ["conversation_hash", "identity", *FROM_VERDICT])
        first = 0
        with pq.ParquetFile(shard, buffer_size=READ_BUFFER) as file:
            for batch in file.iter_batches(ROWS_PER_GROUP):
                rows = pa.Table.from_batches([batch])
                yield choice.apply(join_verdicts(rows, known.slice(first, rows.num_rows), responses))
                first += rows.num_rows
        if first != known.num_rows:
            raise mismatch(responses)


def join_verdicts(rows: pa.Table, verdicts: pa.Table, folder: Path) -> pa.Table:
    """Return responses as rows of PUBLISHED; raise UserError unless the verdicts are those on them."""
    for name in ("conversation_hash", "identity"):
        if not rows[name].combine_chunks().equals(verdicts[name].combine_chunks()):
            raise mismatch(folder)
    chats = turns_to_chats(rows, np.arange(rows.num_rows), "")
    own = {name: rows[name] for name in RESPONSE.names}
    columns = own | {name: verdicts[name] for name in FROM_VERDICT}
    columns |= {"messages": chats["messages"], "system": systems_of(rows)}
    return pa.table({name: columns[name] for name in PUBLISHED.names}).cast(PUBLISHED)


def mismatch(responses: Path) -> UserError:
    """Return the error of verdicts that are not those on the responses of a folder."""
    dgm = responses.name
    return UserError(
        f"data/verdicts/{dgm} is not on the rows of {responses}: `dvc repro validate@{dgm}` makes it again"
    )
