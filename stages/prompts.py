"""Select the user turns that every DGM answers from conversations in WildChat's schema (paper, sec. 2.1).

In:  the parquet file or folder that prompts.source names
Out: data/prompts/ (rows in keyed-hash order, so that fewer prompts are a prefix of more; .summary.json counts the rest)
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line, progress
from stages.lib.core.files import ROWS_SUMMARY, new_folder, write_json
from stages.lib.core.types import Row
from stages.lib.records.hashing import keyed_hash
from stages.lib.records.prompts import PROMPT
from stages.lib.records.shards import read_table, write_table
from stages.lib.settings.reading import load, run
from stages.lib.settings.sections import Prompts

COLUMNS = ["conversation_hash", "conversation", "language", "toxic"]


def to_turns(conversation: list[dict[str, Any]] | None) -> list[dict[str, str]] | str:
    """Pair each user message with the reply to it, byte for byte; or return the reason why that is impossible."""
    if not conversation:
        return "no_messages"
    turns: list[dict[str, str]] = []
    expected = "user"
    for message in conversation:
        if message["role"] != expected:
            return "roles_do_not_alternate"
        content = message["content"]
        if content is None:
            return "null_content"
        if expected == "user":
            if not content.strip():
                return "empty_user_turn"
            turns.append({"user": content, "reference": ""})
        else:
            turns[-1]["reference"] = content
        expected = "assistant" if expected == "user" else "user"
    return turns


def to_prompt(row: Row, seen: set[str], prompts: Prompts) -> Row | str:
    """Convert a source row to a prompt row, or return the reason why it is left out."""
    turns = to_turns(row["conversation"])
    if isinstance(turns, str):
        return turns
    if row["conversation_hash"] is None:
        return "null_hash"
    if row["conversation_hash"] in seen:
        return "duplicate_hash"
    if prompts.languages and row["language"] not in prompts.languages:
        return "other_language"
    if prompts.exclude_toxic and row["toxic"]:
        return "toxic"
    if len(turns) > prompts.max_turns:
        return "too_many_turns"
    return {
        "conversation_hash": row["conversation_hash"],
        "source": row.get("source") or Path(prompts.source).stem,
        "language": row["language"],
        "toxic": bool(row["toxic"]),
        "system": "",
        "turns": turns,
    }


def select_prompts(rows: Iterable[Row], prompts: Prompts) -> tuple[list[Row], dict[str, int]]:
    """Select the first max_prompts rows that can be asked, in keyed-hash order.

    Returns the prompt rows and the number of rows left out by reason.
    """
    kept: list[Row] = []
    left_out = Counter[str]()
    seen: set[str] = set()
    for row in rows:
        prompt = to_prompt(row, seen, prompts)
        if isinstance(prompt, str):
            left_out[prompt] += 1
        else:
            seen.add(prompt["conversation_hash"])
            kept.append(prompt)
    kept.sort(key=lambda prompt: keyed_hash(prompts.seed, prompt["conversation_hash"]))
    left_out["over_max_prompts"] = max(0, len(kept) - prompts.max_prompts)
    return kept[: prompts.max_prompts], {reason: count for reason, count in sorted(left_out.items()) if count}


def read_source(path: Path) -> pa.Table:
    """Read conversations in WildChat's schema; raise UserError when it is not parquet or lacks a column."""
    table = read_table(path)
    for column in COLUMNS:
        if column not in table.column_names:
            raise UserError(
                f"{path}: no column {column!r}; WildChat's schema has {', '.join(COLUMNS)}, "
                f"this file has {', '.join(table.column_names)}"
            )
    return table.select([name for name in (*COLUMNS, "source") if name in table.column_names])


READS = ("prompts",)


def main() -> None:
    """Select the prompts and count what was left out."""
    prompts = load(Prompts)
    table = read_source(Path(prompts.source))
    rows = (row for batch in table.to_batches(max_chunksize=1000) for row in batch.to_pylist())
    kept, left_out = select_prompts(progress(rows, desc="prompts", unit="rows", total=table.num_rows), prompts)
    if not kept:
        raise UserError(f"{prompts.source}: none of {table.num_rows} rows can be asked: {left_out}")
    with new_folder(Path("data/prompts")) as folder:
        write_table(folder, pa.Table.from_pylist(kept, schema=PROMPT))
        turns = Counter(str(len(prompt["turns"])) for prompt in kept)
        write_json(
            folder / ROWS_SUMMARY,
            {"rows": table.num_rows, "prompts": len(kept), "left_out": left_out, "by_turns": turns},
        )
    log_line(f"{len(kept)} prompts of {table.num_rows} rows; left out: {left_out or 'none'}")


if __name__ == "__main__":
    run(main)
