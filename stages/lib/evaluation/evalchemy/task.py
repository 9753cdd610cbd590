"""A task of Evalchemy: what it needs, and how the files of a run are read; with the readers that tasks share."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from math import fsum, isclose
from pathlib import Path
from typing import Any

from stages.lib.core.files import write_text
from stages.lib.core.types import Json
from stages.lib.evaluation.results import Unit, measure
from stages.lib.settings.evaluate import Evaluate

BENCHMARKS = Path("eval/chat_benchmarks")  # in the clone: a folder per task


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a run left: samples, one for each verdict that there should be, and metrics."""

    samples: list[Json]  # a sample's score is None when the judge gave no verdict
    metrics: dict[str, Json]
    data_sha256: str
    task_version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One of Evalchemy's tasks."""

    name: str
    files: tuple[str, ...]  # that it needs of its folder in the clone
    import_folder: str = ""  # in its folder: where its modules are imported from
    data_folder: Path | None = None  # in the copy of the clone: data that the child hands to it instead of the hub's
    num_questions: int
    verdicts_per_question: int
    metrics: tuple[str, ...] = ()  # that can be the main one; empty: known only after a run
    max_tokens: int | None = None  # of a reply; None: those of the settings
    prepare: Callable[[Path, Evaluate], None]  # write its data into a copy of the clone: `limit` questions, 0 for all
    read: Callable[[Path, Json], Verdicts]  # of a copy of the clone and Evalchemy's own result; ValueError if not whole

    @property
    def folder(self) -> Path:
        """Its folder in the clone."""
        return BENCHMARKS / self.name

    def num_verdicts(self, limit: int) -> int:
        """Return the number of verdicts of a run over the first `limit` questions; 0: over all."""
        return (min(limit, self.num_questions) if limit else self.num_questions) * self.verdicts_per_question


def keep_first(files: Iterable[Path], limit: int) -> None:
    """Leave only the first `limit` entries of JSON files, each a list or an object."""
    for file in files:
        rows = json.loads(file.read_text(encoding="utf-8"))
        first = rows[:limit] if isinstance(rows, list) else dict(list(rows.items())[:limit])
        write_text(file, json.dumps(first))


def read_lines(file: Path) -> list[Json]:
    """Read the objects of a JSON-lines file; raise ValueError when it is absent."""
    if not file.exists():
        raise ValueError(f"Evalchemy wrote no {file.name}")
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def only_file(folder: Path, pattern: str) -> Path:
    """Return the one file that matches a pattern; raise ValueError when there are none, or several of other runs."""
    files = sorted(folder.glob(pattern))
    if len(files) != 1:
        raise ValueError(f"Evalchemy left {len(files)} files {Path(pattern).name} where one belongs")
    return files[0]


def digest(files: Iterable[Path]) -> str:
    """Compute the sha256 over the contents of files."""
    total = hashlib.sha256()
    for file in files:
        total.update(file.read_bytes())
    return total.hexdigest()


def index_once(rows: Iterable[Json], key: Callable[[Json], Any]) -> dict[Any, Json]:
    """Index rows by key; raise ValueError when two have the same, as after a second run in the same folder."""
    index: dict[Any, Json] = {}
    for row in rows:
        if key(row) in index:
            raise ValueError(f"two verdicts on {key(row)}: files of another run lie in the clone")
        index[key(row)] = row
    return index


def check_known(keys: Iterable[Any], questions: Iterable[Any]) -> None:
    """Raise ValueError for a verdict on a question that was not asked."""
    if unknown := sorted(map(str, set(keys) - set(questions))):
        raise ValueError(f"a verdict on {unknown[0]}, which was not asked: files of another run lie in the clone")


def check_mean(name: str, value: object, scores: list[float], tolerance: float) -> None:
    """Raise ValueError unless Evalchemy's number is the mean of the verdicts in this run's files."""
    mean = fsum(scores) / len(scores) if scores else None
    if not isinstance(value, int | float) or mean is None or not isclose(value, mean, abs_tol=tolerance):
        raise ValueError(f"Evalchemy's {name} is {value}, but the mean of its {len(scores)} verdicts is {mean}")


def scores_of(samples: Iterable[Json]) -> list[float]:
    """Return the scores of the samples that have one."""
    return [sample["score"] for sample in samples if sample["score"] is not None]


def mean_score(clusters: Iterable[list[Json]], unit: Unit) -> Json:
    """Measure the mean score of clusters of samples; raise ValueError when no sample has a score."""
    return measure([scores_of(cluster) for cluster in clusters], unit=unit)


def group_by(samples: list[Json], key: str) -> dict[Any, list[Json]]:
    """Group samples by one of their values, in its order."""
    return {value: list(group) for value, group in groupby(sorted(samples, key=lambda row: row[key]), lambda r: r[key])}
