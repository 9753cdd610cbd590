"""One auxiliary SFT set as chat rows (paper, Tab. 1).

In:  the parquet or JSON-lines file or folder that auxiliary.<set>.source names, or data/hub/<set>
Out: data/auxiliary/<set>/ (rows in the order of their hashes, not of the source; .summary.json counts the rest)
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from string import ascii_uppercase
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line, progress
from stages.lib.core.files import ROWS_SUMMARY, new_folder, read_json, write_json  # fmt: skip
from stages.lib.core.types import Row
from stages.lib.generation.reply_formats import invalid_reason, parse_messages
from stages.lib.records.auxiliary_formats import FORMAT_COLUMNS, MESSAGE_KEYS
from stages.lib.records.chats import CHAT, Message, count_turns
from stages.lib.records.external_sort import RANK, RowSelection, read_by_rank
from stages.lib.records.hashing import content_hash
from stages.lib.records.readers import list_data_files, read_columns
from stages.lib.records.shards import ROWS_PER_SHARD, chunks, read_table, write_rows, write_shard
from stages.lib.settings.reading import load_entry, run
from stages.lib.settings.sections import Auxiliary

ROLES = {"human": "user", "gpt": "assistant"}  # ShareGPT's words for them


def pick(choices: object, answer: object) -> int | str:
    """Which of the choices an answer names: an index from 0, or a letter; or why it names none."""
    if not isinstance(choices, list) or not choices:
        return "no_choices"
    if len(choices) > len(ascii_uppercase):
        return "too_many_choices"
    if problem := next(filter(None, map(invalid_reason, choices)), ""):
        return problem
    if isinstance(answer, str) and len(answer) == 1:
        answer = ascii_uppercase.find(answer.upper())
    if not isinstance(answer, int) or isinstance(answer, bool) or not 0 <= answer < len(choices):
        return "answer_is_no_choice"
    return answer


def one_turn(user: object, assistant: object) -> list[Message] | str:
    """A chat of one turn."""
    return render_messages({
        "messages": [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
    })


def render_multiple_choice(row: Row) -> list[Message] | str:
    """Ask a question with lettered choices; answer with the letter and the choice."""
    place = pick(row["choices"], row["answer"])
    if isinstance(place, str):
        return place
    if problem := invalid_reason(row["question"]):
        return problem
    if not row["question"].strip() or not row["choices"][place].strip():
        return "empty_message"
    lettered = [f"{letter}. {choice}" for letter, choice in zip(ascii_uppercase, row["choices"], strict=False)]
    return one_turn("\n".join([row["question"], *lettered]), lettered[place])


def render_jeopardy(row: Row) -> list[Message] | str:
    """Give a clue with its category as an instruction with its input; answer in the quiz's words, without the letter.

    As a chat, what the type `jeopardy` of Axolotl makes of the same columns. A set without choices answers in words.
    """
    question, category, answer = row["question"], row["category"] or "", row["answer"]
    if "choices" in row:
        place = pick(row["choices"], answer)
        if isinstance(place, str):
            return place
        answer = row["choices"][place]
    if problem := invalid_reason(question) or invalid_reason(category) or invalid_reason(answer):
        return problem
    if not question.strip() or not answer.strip():
        return "empty_message"
    told = "This is a quiz clue{}. Say briefly what it asks for.\n\n### Instruction:\n{}".format(
        ", and its category is the input" if category else "", question
    )
    return one_turn(f"{told}\n\n### Input:\n{category}" if category else told, f"what is {answer}")


def render_question_answer(row: Row) -> list[Message] | str:
    """Take two texts as one turn."""
    return one_turn(row["question"], row["answer"])


def render_messages(row: Row) -> list[Message] | str:
    """Take a chat as it is: perhaps a system prompt, then user and assistant in turn, a reply last."""
    messages = row["messages"]
    system = messages[:1] if isinstance(messages, list) and messages and has_role(messages[0], "system") else []
    if problem := next((invalid_reason(message["content"]) for message in system), ""):
        return problem
    said = parse_messages(messages[len(system) :] if system else messages)
    if isinstance(said, str):
        return said
    if not all(message["content"].strip() for message in messages):
        return "empty_message"
    return [{"role": message["role"], "content": message["content"]} for message in messages]


def has_role(message: object, role: str) -> bool:
    """Whether something is a message of a role."""
    return isinstance(message, dict) and message.get("role") == role


class Form(NamedTuple):
    """How a set's rows become chats."""

    render: Callable[[Row], list[Message] | str]  # a row under these names -> its chat, or why it has none
    columns: tuple[str, ...]
    optional: tuple[str, ...] = ()


FORMS = {
    "multiple_choice": Form(render_multiple_choice, *FORMAT_COLUMNS["multiple_choice"]),
    "messages": Form(render_messages, *FORMAT_COLUMNS["messages"]),
    "question_answer": Form(render_question_answer, *FORMAT_COLUMNS["question_answer"]),
    "jeopardy": Form(render_jeopardy, *FORMAT_COLUMNS["jeopardy"]),
}


@dataclass
class Tally:
    """What became of a source's rows."""

    rows: int = 0
    chats: int = 0  # that they became, equal ones too
    left_out: Counter[str] = field(default_factory=Counter)
    turns: Counter[str] = field(default_factory=Counter)  # chats by number of turns


def name_columns(there: list[str], auxiliary: Auxiliary, file: Path) -> dict[str, str]:
    """Which column of a file is which of ours; raise UserError for one that it lacks."""
    form = FORMS[auxiliary.format]
    wanted = [name for name in (*form.columns, *auxiliary.columns) if name not in MESSAGE_KEYS]
    names = {name: auxiliary.columns.get(name, name) for name in wanted}
    for name, theirs in names.items():
        if theirs not in there:
            raise UserError(
                f"{file} has no column {theirs!r}, which the format {auxiliary.format!r} needs; it has: "
                f"{', '.join(there)}. Under another name: `columns: {{{name}: <its name>}}`"
            )
    return names | {name: name for name in form.optional if name in there and name not in (*names, *MESSAGE_KEYS)}


def plain_messages(messages: object, columns: dict[str, str]) -> object:
    """Messages under the keys `role` and `content` and with our words for the roles; anything else as it is."""
    if not isinstance(messages, list):
        return messages
    role, content = (columns.get(key, key) for key in MESSAGE_KEYS)
    return [
        {"role": ROLES.get(str(message.get(role)), message.get(role)), "content": message.get(content)}
        if isinstance(message, dict)
        else message
        for message in messages
    ]


def read(auxiliary: Auxiliary) -> Iterator[Row]:
    """The rows of a set under our names, one after the other; raise UserError for a file that will not do."""
    for file in list_data_files(Path(auxiliary.source), auxiliary.files):
        for row in read_columns(file, partial(name_columns, auxiliary=auxiliary, file=file)):
            if "messages" in row:
                row["messages"] = plain_messages(row["messages"], auxiliary.columns)
            yield row


def to_chats(rows: Iterable[Row], key: str, form: Form, tally: Tally) -> Iterator[Row]:
    """Make chat rows of a set's rows; count those left out under a reason."""
    for row in rows:
        tally.rows += 1
        messages = form.render(row)
        if isinstance(messages, str):
            tally.left_out[messages] += 1
        else:
            tally.chats += 1
            yield {"conversation_hash": content_hash(messages), "source": key, "messages": messages}


def distinct(names: pa.ChunkedArray) -> np.ndarray:
    """The places of some names in the order of the names, without those that repeat another."""
    order = pc.sort_indices(names)
    ordered = names.take(order)
    is_new = pc.not_equal(ordered[1:], ordered[:-1]).to_numpy()
    places: np.ndarray = order.to_numpy()[np.append(True, is_new)]
    return places


def write_sorted(chats: Iterable[Row], folder: Path, tally: Tally) -> None:
    """Write chats by hash, whatever order they come in, equal ones once: they are written as they come, then sorted."""
    with TemporaryDirectory(dir=folder) as draft:
        for number, shard in enumerate(chunks(chats)):
            write_rows(Path(draft), number, shard, CHAT)
        if not tally.chats:
            return
        places = distinct(read_table(Path(draft), ["conversation_hash"])["conversation_hash"])
        reading = RowSelection(Path(draft), CHAT.names, pa.Table.take, places, np.arange(len(places)))
        for number, table in enumerate(read_by_rank([reading], ROWS_PER_SHARD)):
            tally.turns.update(map(str, count_turns(table["messages"]).to_pylist()))
            write_shard(folder, number, table.drop([RANK]))


def origin(source: Path) -> dict[str, str]:
    """The repository and commit of a hub set that `fetch` made; empty when not known."""
    made = source / ROWS_SUMMARY
    summary = read_json(made) if made.exists() else {}
    return {name: summary[name] for name in ("repository", "commit") if name in summary}


READS = ("auxiliary.*",)


def main(key: str) -> None:
    """Render the set that `auxiliary.<key>` names."""
    auxiliary = load_entry(Auxiliary, key)
    tally = Tally()
    rows = progress(read(auxiliary), desc=key, unit="rows")
    with new_folder(Path("data/auxiliary") / key) as folder:
        write_sorted(to_chats(rows, key, FORMS[auxiliary.format], tally), folder, tally)
        kept = tally.turns.total()
        left_out = dict(sorted((tally.left_out + Counter(duplicate=tally.chats - kept)).items()))
        if not kept:
            raise UserError(f"{auxiliary.source}: none of its {tally.rows} rows becomes a chat: {left_out}")
        summary = {"rows": kept, "left_out": left_out, "turns": tally.turns, "license": auxiliary.license}
        write_json(
            folder / ROWS_SUMMARY, {**summary, "source": auxiliary.source, "origin": origin(Path(auxiliary.source))}
        )
    log_line(f"{key}: {kept} of {tally.rows} rows; left out: {left_out or 'none'}")


if __name__ == "__main__":
    run(main)
