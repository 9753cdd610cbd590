"""The rows of benchmarks as the browser reads them: what every model was given, its reply and its score."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.core.types import Json, Row
from stages.lib.evaluation.results import main_metric
from stages.lib.records.chats import Message
from stages.lib.records.hashing import keyed_hash
from stages.lib.report.conversations import Collection, Conversation, Turn

MOST_ROWS = 2000  # of one benchmark on the page: more make the largest benchmarks slow to load
SEED = 0  # decides which, where a benchmark has more
SHARE = "fraction"  # the unit of scores of 1, right, and 0, wrong
CORRECT, WRONG, PARTLY = "correct", "wrong", "partly correct"
NO_ANSWER, NO_SCORE, NO_TEXT = "no answer found", "no score", "no text"

RowKey = tuple[str, int]  # the task, or that of a group, and the number of the row in it


def collect_samples(folders: Mapping[str, Path], results: Mapping[str, Json]) -> list[Collection]:
    """Return one collection for each task that a model has samples of.

    `folders` are data/evaluations/<model> by model, `results` their results.json. Of a task with more than MOST_ROWS
    rows a seeded choice is taken, the same rows of every model.
    """
    tasks = dict.fromkeys(task for content in results.values() for task in content["tasks"])
    return [
        collection
        for task in tasks
        if (collection := collect_task(task, {model: folder / "samples" for model, folder in folders.items()}, results))
    ]


def collect_task(task: str, folders: Mapping[str, Path], results: Mapping[str, Json]) -> Collection | None:
    """Return the rows of a task, read when they are written on; None where no model has samples of it."""
    files = {model: folder / f"{task}.parquet" for model, folder in folders.items()}
    files = {model: file for model, file in files.items() if file.exists()}
    if not files:
        return None
    known = list(dict.fromkeys(key for file in files.values() for key in read_keys(file)))
    chosen = frozenset(choose_rows(known))
    entries = {model: results[model]["tasks"].get(task, {}) for model in files}
    is_share = all(main_metric(entry).get("unit", SHARE) == SHARE for entry in entries.values() if entry)
    return Collection(
        name=task,
        title=task,
        group="Part",
        models={model: read_conversations(file, task, chosen, is_share) for model, file in files.items()},
        is_rows=True,
        note=describe_choice(len(chosen), len(known)),
    )


def read_keys(file: Path) -> list[RowKey]:
    """Read the keys of the rows of a file of samples, in its order."""
    table = pq.read_table(file, columns=["task", "id"])
    return list(zip(table["task"].to_pylist(), table["id"].to_pylist(), strict=True))


def choose_rows(keys: Sequence[RowKey]) -> list[RowKey]:
    """Return all rows, or where there are more than MOST_ROWS those with the smallest hashes."""
    if len(keys) <= MOST_ROWS:
        return list(keys)
    return sorted(keys, key=lambda key: keyed_hash(SEED, key[0], str(key[1])))[:MOST_ROWS]


def describe_choice(num_chosen: int, num_rows: int) -> str:
    """Say how many rows the page has, where these are not all."""
    if num_chosen == num_rows:
        return ""
    return (
        f"{num_chosen:,} of the {num_rows:,} rows, chosen at random, the same ones of every model; scores are of all."
    )


def read_conversations(file: Path, task: str, chosen: frozenset[RowKey], is_share: bool) -> Iterator[Conversation]:
    """Yield the chosen rows of one model, the turns of a row together."""
    table = pq.read_table(file)
    turns: dict[RowKey, list[Row]] = {}
    for row in read_in_batches(table):
        if (key := (row["task"], row["id"])) in chosen:
            turns.setdefault(key, []).append(row)
    for (part, number), rows in turns.items():
        yield to_conversation(task, part, number, sorted(rows, key=lambda row: row["turn"] or 0), is_share)


def read_in_batches(table: pa.Table) -> Iterator[Row]:
    """Yield the rows of a table, with a thousand in memory at a time."""
    for batch in table.to_batches(1000):
        yield from batch.to_pylist()


def to_conversation(task: str, part: str, number: int, rows: Sequence[Row], is_share: bool) -> Conversation:
    """Convert the turns of one row of a benchmark."""
    messages = rows[0].get("messages") or []
    targets = [row["target"] for row in rows if row.get("target")]
    return Conversation(
        key=str(number) if part == task else f"{shorten(part, task)} {number}",
        group="" if part == task else shorten(part, task),
        turns=[to_turn(row) for row in rows],
        status="ok",
        system="\n\n".join(message["content"] for message in messages if message["role"] == "system"),
        labels=list_labels(rows, is_share),
        target="\n".join(targets),
    )


def shorten(part: str, task: str) -> str:
    """Return the name of a part of a group without that of the group."""
    return part.removeprefix(f"{task}_")


def to_turn(row: Row) -> Turn:
    """Convert a turn of a row."""
    return Turn(
        user=prompt_of(row),
        assistant=row["response"] or "",
        finish_reason="",
        score=row["score"],
        judgment=row["judge_text"] or "",
        unscored="" if row["score"] is not None else NO_SCORE,
        answer=row.get("answer"),
    )


def prompt_of(row: Row) -> str:
    """Return what was asked, without the tokens of a chat template where the messages are known."""
    return join_messages(row.get("messages") or []) or row["prompt"] or ""


def join_messages(messages: Iterable[Message]) -> str:
    """Join the messages of a chat but the system's: a single one is its text, of several each has its role."""
    others = [message for message in messages if message["role"] != "system"]
    if len(others) == 1:
        return others[0]["content"]
    return "\n\n".join(f"[{message['role']}]\n{message['content']}" for message in others)


def list_labels(rows: Sequence[Row], is_share: bool) -> list[str]:
    """Return the labels of one model's row, by which the page filters; `is_share`: a score is from 0, wrong, to 1."""
    labels = []
    scores = [row["score"] for row in rows if row["score"] is not None]
    if is_share and scores:
        labels.append(WRONG if not any(scores) else CORRECT if min(scores) == 1 else PARTLY)
    if len(scores) < len(rows):
        labels.append(NO_SCORE)
    if any(row.get("answer") == "" for row in rows):
        labels.append(NO_ANSWER)
    if any(not (row["response"] or "").strip() for row in rows):
        labels.append(NO_TEXT)
    return labels or ["answered"]
