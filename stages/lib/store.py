"""Finished conversations, found by identity: append-only parquet segments outside DVC's outs.

A kill loses only what was in flight, and more prompts, other filters or an experiment pay only for what is new.
"""

import os
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.conversation import RESPONSE
from stages.lib.shell import say

# A response, the limits that it was made under, what it took, and its share of the engine's time.
COST = [("prompt_tokens", pa.int64()), ("completion_tokens", pa.int64()), ("seconds", pa.float64())]
SEGMENT = pa.schema([*RESPONSE, ("max_tokens", pa.int64()), ("window", pa.int64()), *COST])


def store_folder() -> Path:
    """Where the store is: $REWILD_STORE, else `store` beside DVC's cache, which experiments share."""
    if "REWILD_STORE" in os.environ:
        return Path(os.environ["REWILD_STORE"])
    found = subprocess.run(["dvc", "cache", "dir"], capture_output=True, text=True, check=True)  # noqa: S607
    return Path(found.stdout.strip()).parent / "store"


def still_holds(row: dict[str, Any], max_tokens: int, window: int) -> bool:
    """Whether a stored conversation is what these limits would give: they can alter only replies that met one."""
    for turn in row["turns"]:
        total = turn["prompt_tokens"] + turn["completion_tokens"]
        if turn["finish_reason"] == "context_overflow":
            if turn["prompt_tokens"] < window:
                return False
        elif turn["completion_tokens"] > max_tokens or total > window:
            return False
        elif turn["finish_reason"] == "length" and (max_tokens, window) != (row["max_tokens"], row["window"]):
            return False
    return True


class Store:
    """The segments of one DGM."""

    def __init__(self, folder: Path, dgm: str) -> None:
        self.folder = folder / dgm

    def append(self, rows: list[dict[str, Any]]) -> None:
        """Add rows as one segment: written beside its place, then renamed, so several writers need no lock."""
        if not rows:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / f".{uuid.uuid4().hex}"
        pq.write_table(pa.Table.from_pylist(rows, schema=SEGMENT), draft, compression="zstd")
        draft.rename(self.folder / f"{draft.name[1:]}.parquet")

    def find(self, identities: set[str], max_tokens: int, window: int) -> dict[str, dict[str, Any]]:
        """The stored rows of these identities that the limits leave as they are."""
        found = {}
        for segment in sorted(self.folder.glob("*.parquet")):
            for row in self._read(segment, identities):
                if still_holds(row, max_tokens, window):
                    found[row["identity"]] = row
        return found

    def _read(self, segment: Path, identities: set[str]) -> list[dict[str, Any]]:
        try:
            table = pq.read_table(segment, schema=SEGMENT)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OSError) as error:
            say(f"store: {segment} is not a segment and is left aside ({str(error).splitlines()[0]})")
            return []
        return [row for row in table.to_pylist() if row["identity"] in identities]
