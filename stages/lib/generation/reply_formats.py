"""The formats in which replies come, distinguished by the columns of a parquet or JSON-lines file.

`conversation_hash` and `conversation`, as in WildChat (messages of role and content) and in the published WildChat-50m
sets (which add a finish_reason); or one reply per row, `conversation_hash` and `response`.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.console.errors import UserError
from stages.lib.core.types import Row
from stages.lib.models.catalogue import Model
from stages.lib.records.messages import ParsedTurn, invalid_reason, parse_messages
from stages.lib.records.readers import leaf_columns, parquet_errors, read_json_lines
from stages.lib.records.responses import IMPORTED

ROWS_PER_BATCH = 1000
MESSAGE_FIELDS = ("role", "content", "finish_reason")  # of a message, the fields that are read


def key_column(model: Model) -> str:
    """Return the name of the column that holds the conversation's hash."""
    return model.columns.get("conversation_hash", "conversation_hash")


def parse_single_reply(row: Row, columns: dict[Any, str]) -> list[ParsedTurn] | str:
    """Return the one turn of a row with one reply, or the reason why its texts cannot be used."""
    reply = row.get(columns.get("response", "response"))
    user = row.get(columns["user"]) if "user" in columns else None
    if reason := invalid_reason(reply) or ("user" in columns and invalid_reason(user)):
        return reason
    finish = row.get(columns.get("finish_reason", "finish_reason"))
    return [{"user": user, "reply": reply, "finish": str(finish or IMPORTED)}]


def text_columns(names: Iterable[str], model: Model, file: Path) -> list[str]:
    """Return the columns of a file that hold texts; raise UserError when the file has none of the known formats."""
    available, renamed = dict.fromkeys(names), model.columns
    for needed in (*renamed.values(), *model.where, key_column(model)):
        if needed not in available:
            raise UserError(f"{file} has no column {needed!r}; it has: {', '.join(available)}")
    conversation, response = (renamed.get(name, name) for name in ("conversation", "response"))
    if conversation in available and "response" not in renamed:
        return [conversation]
    if response in available:
        optional = {renamed.get("user"), renamed.get("finish_reason", "finish_reason")} & available.keys()
        return [response, *sorted(filter(None, optional))]
    raise UserError(
        f"{file} has the columns {', '.join(available)}; an import needs `conversation_hash` with `conversation` or "
        f"`response`: say `columns: {{response: <its name>}}` in dgms/{model.id}.yaml"
    )


def parse_reply(row: Row, columns: list[str], model: Model) -> list[ParsedTurn] | str:
    """Return the turns of a row of either format, or the reason why it has none that can be used."""
    if columns == [model.columns.get("conversation", "conversation")]:
        return parse_messages(row.get(columns[0]))
    return parse_single_reply(row, model.columns)


def parquet_rows(file: Path, model: Model, is_wanted: Callable[[Row], bool]) -> Iterator[tuple[Row, list[str]]]:
    """Yield the wanted rows of a parquet file with its text columns; of other rows only the key is read into Python."""
    with parquet_errors(file), pq.ParquetFile(file, pre_buffer=False) as source:  # a buffer would hold the whole file
        texts = text_columns(source.schema_arrow.names, model, file)
        keys = list(dict.fromkeys([key_column(model), *model.where]))
        columns = leaf_columns(source.schema, [*keys, *texts], MESSAGE_FIELDS)
        for batch in source.iter_batches(ROWS_PER_BATCH, columns=columns):
            wanted = [number for number, row in enumerate(batch.select(keys).to_pylist()) if is_wanted(row)]
            yield from ((row, texts) for row in batch.take(pa.array(wanted, pa.int64())).to_pylist())


def jsonl_rows(file: Path, model: Model, is_wanted: Callable[[Row], bool]) -> Iterator[tuple[Row, list[str]]]:
    """Yield the wanted rows of a file of JSON lines with its text columns."""
    texts: list[str] = []
    for row in read_json_lines(file):
        texts = texts or text_columns(row, model, file)
        if is_wanted(row):
            yield row, texts


READERS = {".parquet": parquet_rows, ".jsonl": jsonl_rows}
