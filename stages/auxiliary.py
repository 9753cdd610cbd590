"""One auxiliary SFT set as chat rows (paper, Tab. 1).

In:  the parquet file or folder that auxiliary.<set>.source names
Out: data/auxiliary/<set>/
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from stages.lib.conversation import CHAT, Message, content_hash
from stages.lib.params import Section, UserError, load_entry
from stages.lib.shards import new_folder, read_table, write_json, write_table
from stages.lib.shell import run, say

LETTERS = "ABCDEFGHIJ"
COLUMNS = {"multiple_choice": ["question", "choices", "answer"], "messages": ["messages"]}


class Auxiliary(Section):
    """An entry of `auxiliary`."""

    source: str
    format: Literal["multiple_choice", "messages"]  # MMLU's columns, or Tulu 3's
    license: str


def render_multiple_choice(row: dict[str, Any]) -> list[Message] | str:
    """Ask a question with lettered choices; answer with the letter and the choice."""
    choices, answer = row["choices"], row["answer"]
    if not 0 <= answer < len(choices) <= len(LETTERS):
        return "answer_is_no_choice"
    lettered = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False)]
    return [
        {"role": "user", "content": "\n".join([row["question"], *lettered])},
        {"role": "assistant", "content": lettered[answer]},
    ]


def render_messages(row: dict[str, Any]) -> list[Message] | str:
    """Take a chat as it is when it ends with a reply."""
    messages: list[Message] = [{"role": m["role"], "content": m["content"]} for m in row["messages"] or []]
    if not messages or messages[-1]["role"] != "assistant":
        return "no_reply"
    if not all(message["content"] for message in messages):
        return "empty_message"
    return messages


def render(rows: Iterable[dict[str, Any]], key: str, auxiliary: Auxiliary) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Make chat rows of a set's rows; count those left out under a reason. Equal chats are one row."""
    to_messages = render_multiple_choice if auxiliary.format == "multiple_choice" else render_messages
    chats: dict[str, dict[str, Any]] = {}
    left_out = Counter[str]()
    for row in rows:
        messages = to_messages(row)
        if isinstance(messages, str):
            left_out[messages] += 1
            continue
        name = content_hash(messages)
        left_out["duplicate"] += name in chats
        chats[name] = {"conversation_hash": name, "source": key, "messages": messages}
    return [chats[name] for name in sorted(chats)], +left_out


def main(key: str) -> None:
    """Render the set that `auxiliary.<key>` names."""
    auxiliary = load_entry("auxiliary", key, Auxiliary)
    table = read_table(Path(auxiliary.source))
    for column in COLUMNS[auxiliary.format]:
        if column not in table.column_names:
            raise UserError(f"{auxiliary.source}: no column {column!r}, which format {auxiliary.format!r} needs")
    rows, left_out = render(table.select(COLUMNS[auxiliary.format]).to_pylist(), key, auxiliary)
    with new_folder(Path("data/auxiliary") / key) as folder:
        write_table(folder, pa.Table.from_pylist(rows, schema=CHAT))
        summary = {"rows": len(rows), "left_out": left_out, "license": auxiliary.license}
        write_json(folder / "summary.json", summary)
    say(f"{key}: {len(rows)} of {table.num_rows} rows; left out: {dict(left_out) or 'none'}")


if __name__ == "__main__":
    run(main)
