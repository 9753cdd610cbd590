"""Select the user turns that every DGM answers from conversations in WildChat's schema or another (paper, sec. 2.1).

In:  the parquet or JSON file or folder that prompts.source names
Out: data/prompts/ (rows in keyed-hash order, so that fewer prompts are a prefix of more; .summary.json counts the rest)
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line, progress
from stages.lib.core.files import ROWS_SUMMARY, new_folder, write_json
from stages.lib.core.text import is_blank
from stages.lib.core.types import Row
from stages.lib.readers.chats import Chat, hash_prompt, parse_chat, parse_exchange, to_content
from stages.lib.readers.columns import PROMPT_SCALARS, prompt_columns
from stages.lib.readers.drafts import draft_of, read_in_order
from stages.lib.readers.files import list_data_files
from stages.lib.readers.keys import KeyedRows
from stages.lib.readers.reasons import Reason, UnreadableRows
from stages.lib.readers.rows import read_rows
from stages.lib.readers.values import is_missing, to_bool, to_id
from stages.lib.records.hashing import keyed_hash
from stages.lib.records.prompts import PROMPT
from stages.lib.records.shards import write_tables
from stages.lib.settings.reading import load, run
from stages.lib.settings.sections import Prompts


def read_source(source: Path, unreadable: UnreadableRows) -> Iterator[Row]:
    """Yield the rows of all files of a source by our names; raise UserError for a file that cannot be read."""
    for file in list_data_files(source):
        yield from read_rows(file, partial(prompt_columns, file=file), unreadable)


def to_chat(row: Row) -> Chat | Reason:
    """Return the chat that a row holds, with its system message; or the reason why it holds none."""
    chat = parse_chat(row["chat"], needs_replies=False) if "chat" in row else to_exchange(row)
    if isinstance(chat, Reason) or chat.system or is_missing(row.get("system")):
        return chat
    system = to_content(row["system"])
    return system if isinstance(system, Reason) else replace(chat, system="" if is_blank(system) else system)


def to_exchange(row: Row) -> Chat | Reason:
    """Return the chat of a question and its answer."""
    question, more = row["question"], row.get("input")
    if isinstance(question, str) and isinstance(more, str) and not is_blank(more):
        question = f"{question}\n\n{more}"
    return parse_exchange(question, row.get("reply"), needs_replies=False)


def to_prompt(row: Row, prompts: Prompts) -> Row | Reason:
    """Convert a source row to a prompt row, or return the reason why it is left out."""
    chat = to_chat(row)
    if isinstance(chat, Reason):
        return chat
    if any(is_blank(turn["user"] or "") for turn in chat.turns):
        return Reason("empty_user_turn")
    key = to_id(row["conversation_hash"]) if "conversation_hash" in row else hash_prompt(chat)
    if not isinstance(key, str):
        return key or Reason("null_hash")
    labels = to_labels(row, prompts)
    if isinstance(labels, Reason):
        return labels
    if len(chat.turns) > prompts.max_turns:
        return Reason("too_many_turns")
    turns = [{"user": turn["user"], "reference": turn["reply"] or ""} for turn in chat.turns]
    return {"conversation_hash": key, **labels, "system": chat.system, "turns": turns}


def to_labels(row: Row, prompts: Prompts) -> Row | Reason:
    """Return what a source says of a row, or the reason why the row is left out by it; None is unknown."""
    language, toxic, source = to_id(row.get("language")), to_bool(row.get("toxic")), to_id(row.get("source"))
    for name, value in (("language", language), ("toxic", toxic), ("source", source)):
        if isinstance(value, Reason):
            return Reason(f"unclear_{name}")
    if prompts.languages and language not in prompts.languages:
        return Reason("other_language")
    if prompts.exclude_toxic and toxic:
        return Reason("toxic")
    return {"source": source or Path(prompts.source).stem, "language": language, "toxic": toxic}


def select_prompts(rows: Iterable[Row], prompts: Prompts, keyed: KeyedRows, left_out: Counter[str]) -> Iterator[Row]:
    """Yield the rows that can be asked, and note in `keyed` what decides which are; count the others by reason."""
    for row in rows:
        prompt = to_prompt(row, prompts)
        if isinstance(prompt, Reason):
            left_out[prompt.name] += 1
            continue
        key, turns = prompt["conversation_hash"], prompt["turns"]
        content = "\x1e".join([prompt["system"], *(f"{turn['user']}\x1f{turn['reference']}" for turn in turns)])
        labels = "\x1f".join(str(prompt[name]) for name in PROMPT_SCALARS[1:])
        missing = sum(is_blank(turn["reference"]) for turn in turns)
        keyed.add(key, keyed_hash(prompts.seed, key), content, labels, missing)
        yield prompt


def write_prompts(rows: Iterable[Row], prompts: Prompts, folder: Path, left_out: Counter[str]) -> Counter[str]:
    """Write the first max_prompts rows that can be asked in keyed-hash order; return how many have how many turns."""
    keyed, by_turns = KeyedRows(), Counter[str]()
    with draft_of(select_prompts(rows, prompts, keyed, left_out), PROMPT, folder) as draft:
        choice = keyed.choose()
        chosen = choice.rows[: prompts.max_prompts]
        left_out["duplicate_hash"] += choice.duplicates
        left_out["conflict_hash"] += choice.conflicts
        left_out["over_max_prompts"] += len(choice.rows) - len(chosen)
        write_tables(folder, count_turns(read_in_order(draft, PROMPT, chosen), by_turns), PROMPT)
    return by_turns


def count_turns(tables: Iterable[pa.Table], by_turns: Counter[str]) -> Iterator[pa.Table]:
    """Yield tables of PROMPT as they are; count their rows by number of turns."""
    for table in tables:
        by_turns.update(map(str, pc.list_value_length(table["turns"]).to_pylist()))
        yield table


def summarize(prompts: Prompts, by_turns: Counter[str], left_out: Counter[str]) -> dict[str, Any]:
    """Return the summary; raise UserError if no row can be asked."""
    reasons = {reason: count for reason, count in sorted(left_out.items()) if count}
    num_rows, num_prompts = by_turns.total() + left_out.total(), by_turns.total()
    if not num_prompts:
        raise UserError(f"{prompts.source}: none of {num_rows} rows can be asked: {reasons}")
    return {"rows": num_rows, "prompts": num_prompts, "left_out": reasons, "by_turns": by_turns}


READS = ("prompts",)


def main() -> None:
    """Select the prompts and count what was left out."""
    prompts = load(Prompts)
    unreadable, left_out = UnreadableRows(), Counter[str]()
    rows = progress(read_source(Path(prompts.source), unreadable), desc="prompts", unit="rows")
    with new_folder(Path("data/prompts")) as folder:
        by_turns = write_prompts(rows, prompts, folder, left_out)
        unreadable.log()
        summary = summarize(prompts, by_turns, left_out + unreadable.counts)
        write_json(folder / ROWS_SUMMARY, summary)
    log_line(f"{summary['prompts']} prompts of {summary['rows']} rows; left out: {summary['left_out'] or 'none'}")


if __name__ == "__main__":
    run(main)
