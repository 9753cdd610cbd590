"""The rows of benchmarks on which two models differ most, to read."""

from collections.abc import Iterable, Mapping
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from stages.lib.comparison.score_rows import Key, by_key, read_samples
from stages.lib.core.types import Json, Row
from stages.lib.evaluation.results import SCALES, main_metric
from stages.lib.records.hashing import keyed_hash
from stages.lib.report.samples import prompt_of

MOST_ROWS = 10
TEXTS = ["task", "id", "turn", "prompt", "messages", "response"]  # the columns of SAMPLE that are shown


class Place(NamedTuple):
    """A row of a benchmark, and both scores."""

    task: str
    key: Key
    one: float
    other: float
    share: float  # by which they differ, of the benchmark's scale


def find_rows(folders: tuple[Path, Path], results: tuple[Json, Json], tasks: Iterable[str], seed: int) -> list[Row]:
    """Return the rows on which two models differ most, from each of `tasks` in turn, with both replies.

    `folders` are data/evaluations/<model>, `results` their results.json. Equal differences are in the order of a hash
    of the row with `seed`, so that the choice does not depend on the order of rows.
    """
    places = [rank(task, folders, results, seed) for task in tasks]
    in_turn = chain.from_iterable(zip_longest(*places))
    chosen = list(islice((place for place in in_turn if place), MOST_ROWS))
    one, other = (read_texts(folder, chosen) for folder in folders)
    return [
        {
            "task": place.task,
            "part": place.key[0],
            "id": place.key[1],
            "turn": place.key[2],
            "prompt": prompt_of(one[place.task, place.key]),
            "replies": [texts[place.task, place.key]["response"] or "" for texts in (one, other)],
            "scores": [place.one, place.other],
        }
        for place in chosen
    ]


def rank(task: str, folders: tuple[Path, Path], results: tuple[Json, Json], seed: int) -> list[Place]:
    """Return the rows of a task that differ, the most different first."""
    tables = [read_samples(folder, [task]) for folder in folders]
    metrics = [main_metric(content["tasks"][task]) for content in results if task in content["tasks"]]
    if not all(task in table for table in tables) or not all(metrics):
        return []
    scale = SCALES[metrics[0]["unit"]]
    one, other = (by_key(table[task]) for table in tables)
    places = [
        Place(task, key, one[key][0], other[key][0], abs(one[key][0] - other[key][0]) / scale)
        for key in one.keys() & other.keys()
        if one[key][0] != other[key][0]
    ]
    return sorted(places, key=lambda place: (-place.share, keyed_hash(seed, task, *map(str, place.key))))


def read_texts(folder: Path, places: Iterable[Place]) -> Mapping[tuple[str, Key], Row]:
    """Read the prompts and replies of some rows."""
    by_task: dict[str, set[int]] = {}
    for place in places:
        by_task.setdefault(place.task, set()).add(place.key[1])
    return {
        (task, (row["task"], row["id"], row["turn"] or 0)): row
        for task, ids in by_task.items()
        for row in read_texts_of(folder / "samples" / f"{task}.parquet", ids)
    }


def read_texts_of(file: Path, ids: set[int]) -> list[Row]:
    """Read the texts of some rows of a file of samples; those of older code have no `messages`."""
    columns = [name for name in TEXTS if name in pq.read_schema(file).names]
    rows: list[Row] = pq.read_table(file, columns=columns, filters=[("id", "in", ids)]).to_pylist()
    return rows
