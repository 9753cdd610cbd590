"""The forms in which replies come, told apart by the columns of a parquet or JSON-lines file.

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
from stages.lib.records.readers import leaf_columns, parquet_errors, read_json_lines
from stages.lib.records.responses import IMPORTED

ParsedTurn = dict[str, str | None]  # user (None: not known), reply, finish

ROWS_PER_BATCH = 1000
MESSAGE_FIELDS = ("role", "content", "finish_reason")  # what is read of a message


def key_column(model: Model) -> str:
    """The column that holds the conversation's hash."""
    return model.columns.get("conversation_hash", "conversation_hash")


def parse_messages(messages: object) -> list[ParsedTurn] | str:
    """User messages with the replies to them, or why they are none."""
    if not isinstance(messages, list) or not messages:
        return "no_messages"
    said: list[ParsedTurn] = []
    for number, message in enumerate(messages):
        is_user = number % 2 == 0
        if not isinstance(message, dict) or message.get("role") != ("user" if is_user else "assistant"):
            return "roles_do_not_alternate"
        content = message.get("content")
        if problem := invalid_reason(content):
            return problem
        if is_user:
            said.append({"user": content})
        else:
            said[-1] |= {"reply": content, "finish": str(message.get("finish_reason") or IMPORTED)}
    return said if "reply" in said[-1] else "last_reply_missing"


def invalid_reason(text: object) -> str:
    """Why a text cannot be stored; empty when it can."""
    if not isinstance(text, str):
        return "null_content" if text is None else "content_is_no_text"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "content_is_no_text"  # half of a surrogate pair
    return ""


def parse_single_reply(row: Row, columns: dict[Any, str]) -> list[ParsedTurn] | str:
    """The one reply of a row of the flat form, or why it is none."""
    reply = row.get(columns.get("response", "response"))
    user = row.get(columns["user"]) if "user" in columns else None
    if problem := invalid_reason(reply) or ("user" in columns and invalid_reason(user)):
        return problem
    finish = row.get(columns.get("finish_reason", "finish_reason"))
    return [{"user": user, "reply": reply, "finish": str(finish or IMPORTED)}]


def text_columns(names: Iterable[str], model: Model, file: Path) -> list[str]:
    """The columns of a file that hold texts; raise UserError when they are none of the known forms."""
    known, here = dict.fromkeys(names), model.columns
    for needed in (*here.values(), *model.where, key_column(model)):
        if needed not in known:
            raise UserError(f"{file} has no column {needed!r}; it has: {', '.join(known)}")
    found = here.get("conversation", "conversation")
    if found in known and "response" not in here:
        return [found]
    if (found := here.get("response", "response")) in known:
        extra = {here.get("user"), here.get("finish_reason", "finish_reason")} & known.keys()
        return [found, *sorted(filter(None, extra))]
    raise UserError(
        f"{file} has the columns {', '.join(known)}; an import needs `conversation_hash` with `conversation` or "
        f"`response`: say `columns: {{response: <its name>}}` in dgms/{model.id}.yaml"
    )


def parse_reply(row: Row, texts: list[str], model: Model) -> list[ParsedTurn] | str:
    """What a row of either form says."""
    if texts == [model.columns.get("conversation", "conversation")]:
        return parse_messages(row.get(texts[0]))
    return parse_single_reply(row, model.columns)


def parquet_rows(file: Path, model: Model, wanted: Callable[[Row], bool]) -> Iterator[tuple[Row, list[str]]]:
    """The wanted rows of a parquet file; of the others only the key is ever read into Python."""
    with parquet_errors(file), pq.ParquetFile(file, pre_buffer=False) as source:  # a buffer would hold the whole file
        texts = text_columns(source.schema_arrow.names, model, file)
        keys = list(dict.fromkeys([key_column(model), *model.where]))
        for batch in source.iter_batches(
            ROWS_PER_BATCH, columns=leaf_columns(source.schema, [*keys, *texts], MESSAGE_FIELDS)
        ):
            chosen = [at for at, row in enumerate(batch.select(keys).to_pylist()) if wanted(row)]
            yield from ((row, texts) for row in batch.take(pa.array(chosen, pa.int64())).to_pylist())


def jsonl_rows(file: Path, model: Model, wanted: Callable[[Row], bool]) -> Iterator[tuple[Row, list[str]]]:
    """The wanted rows of a file of JSON lines."""
    texts: list[str] = []
    for row in read_json_lines(file):
        texts = texts or text_columns(row, model, file)
        if wanted(row):
            yield row, texts


READERS = {".parquet": parquet_rows, ".jsonl": jsonl_rows}
