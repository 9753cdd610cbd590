"""Files of replies that exist already, of several models."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, Any]
CAT, DOG = "The cat sat on the mat.", "A dog ran over the green hill."
# Two models on two prompts.
FLAT: list[Row] = [
    {"dgm": "a", "session_id": "1", "response": CAT},
    {"dgm": "a", "session_id": "2", "response": DOG},
    {"dgm": "b", "session_id": "1", "response": CAT},
    {"dgm": "b", "session_id": "2", "response": "A dog slept."},
]


def write_rows(file: Path, rows: list[Row]) -> Path:
    """Write rows as JSON lines or parquet, by the file's suffix."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), file)
    return file


def many_rows() -> list[Row]:
    """So many replies that an analysis of them takes a while."""
    return [{"dgm": dgm, "id": n, "response": f"{DOG} {n}" * 30} for dgm in "abcdef" for n in range(400)]


def chat(*contents: str | None) -> list[Row]:
    """Messages of role and content, the user's first."""
    return [{"role": ("user", "assistant")[at % 2], "content": content} for at, content in enumerate(contents)]


def response_turn(user: str, reply: str, finish: str = "stop") -> Row:
    """A turn of RESPONSE."""
    numbers = {"prompt_tokens": 1, "completion_tokens": 1, "trimmed_turns": 0}
    return {"user": user, "assistant": reply, "raw": "", "finish_reason": finish, "prompt_sha": "", **numbers}


def response(dgm: str, key: str, turns: list[Row], status: str = "ok") -> Row:
    """A row of RESPONSE."""
    more = {"identity": key, "reason": "", "history": "own", "seed": 1, "engine": "e"}
    return {"conversation_hash": key, "dgm": dgm, "turns": turns, "status": status, **more}
