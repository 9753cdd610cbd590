"""The scores of several models on the same rows of a benchmark, by which differences between models are paired."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.lib.core.types import Bools, Floats, Ints, Json
from stages.lib.evaluation.results import SCALES, main_metric
from stages.lib.statistics.intervals import SHARE, Bounds

EXACT = 1e-6  # by which the mean of the rows may differ from the harness's value
COLUMNS = ["task", "id", "turn", "score", "num_scores"]  # of SAMPLE
Key = tuple[str, int, int]  # part, id and turn of a row


@dataclass(frozen=True)
class ScoreRows:
    """The rows of one benchmark or average. A model's score is the weighted sum of its rows."""

    models: tuple[str, ...]
    scores: Floats  # [row, model]; NaN: this model has no score
    weights: Floats  # [row]; their sum is 1
    clusters: Ints  # [row]; rows of one cluster are adjacent, and in one stratum
    strata: Ints  # [row]; benchmarks of an average, or parts of a benchmark that count alike
    bounds: Bounds  # of a score
    scale: float = 1.0  # of its unit: divided by it, a score is a share

    def column(self, model: str) -> int:
        """Return the column of a model."""
        return self.models.index(model)

    def is_binary(self, stratum: int) -> bool:
        """Tell whether the rows of a stratum are right or wrong, with nothing between."""
        scores = self.scores[self.strata == stratum]
        return bool(np.isin(scores[np.isfinite(scores)], self.bounds).all())

    @property
    def is_one_binary(self) -> bool:
        """Whether there is one stratum, of rows that are right or wrong."""
        return len(set(self.strata)) == 1 and self.is_binary(self.strata[0])

    @property
    def stand_alone(self) -> bool:
        """Whether there is one stratum, of rows that belong to no other row."""
        return len(self.clusters) == len(set(self.clusters)) and len(set(self.strata)) == 1


def read_samples(folder: Path, tasks: Sequence[str]) -> dict[str, pa.Table]:
    """Read the scores of a model's samples (SAMPLE without texts) by task; tasks without samples are left out.

    Samples of older code have no `num_scores`: each row has one score, or none.
    """
    files = {task: folder / "samples" / f"{task}.parquet" for task in tasks}
    return {task: _read_scores(file) for task, file in files.items() if file.exists()}


def _read_scores(file: Path) -> pa.Table:
    table = pq.read_table(file, columns=[name for name in COLUMNS if name in pq.read_schema(file).names])
    if "num_scores" in table.column_names:
        return table
    return table.append_column("num_scores", pc.cast(pc.is_valid(table["score"]), pa.int64()))


def align_samples(samples: Mapping[str, pa.Table], metrics: Mapping[str, Json]) -> ScoreRows | None:
    """Align the rows of a task that several models have, by part, id and turn.

    `metrics` is each model's main metric of results.json. Models whose rows do not make its value, as those of F1 or
    of a length-controlled rate, have no rows here; None where no model has. Whether the benchmark is the mean of its
    rows or of its parts' means is what fits the most models: a value of 0 fits both.
    """
    rows = {model: by_key(table) for model, table in samples.items() if metrics.get(model)}
    keys = sorted({key for scores in rows.values() for key in scores})
    if not keys:
        return None
    counts = np.array([next(scores[key][1] for scores in rows.values() if key in scores) for key in keys], float)
    matrix = np.array([[scores.get(key, (np.nan, 0))[0] for scores in rows.values()] for key in keys])
    names = {name: number for number, name in enumerate(sorted({key[0] for key in keys}))}
    parts = np.array([names[key[0]] for key in keys])
    values = np.array([metrics[model]["value"] for model in rows])
    ways = [of_rows(counts), of_parts(counts, parts)]
    exact, (weights, strata) = max(
        ((_are_made(values, matrix, *way), way) for way in ways), key=lambda made: made[0].sum()
    )
    if not exact.any():
        return None
    scale = float(SCALES[metrics[next(iter(rows))]["unit"]])
    return ScoreRows(
        tuple(model for model, is_exact in zip(rows, exact, strict=True) if is_exact),
        matrix[:, exact],
        weights,
        number_clusters(keys),
        strata,
        bounds_of(scale, matrix[:, exact]),
        scale,
    )


def _are_made(values: Floats, scores: Floats, weights: Floats, strata: Ints) -> Bools:
    """Tell of which columns of [row, column] the weighted rows make the values."""
    distances = np.abs(weighted_means(scores, weights, strata) - values)
    are_made: Bools = distances <= EXACT * np.maximum(1, np.abs(values))
    return are_made


def by_key(table: pa.Table) -> dict[Key, tuple[float, int]]:
    """Return the score of each row, and of how many scores it is the mean; rows without a score are left out."""
    columns = (table[name].to_pylist() for name in COLUMNS)
    return {
        (task, id_, turn or 0): (score, count)
        for task, id_, turn, score, count in zip(*columns, strict=True)
        if score is not None
    }


def of_rows(counts: Floats) -> tuple[Floats, Ints]:
    """Return weights and strata of a benchmark that is the mean of all scores."""
    return counts / counts.sum(), np.zeros(len(counts), np.int64)


def of_parts(counts: Floats, parts: Ints) -> tuple[Floats, Ints]:
    """Return weights and strata of a benchmark that is the mean of its parts' means."""
    sizes = np.bincount(parts, counts)
    return counts / sizes[parts] / len(sizes), parts


def weighted_means(scores: Floats, weights: Floats, strata: Ints) -> Floats:
    """Return the value of each column of [row, column]: in each stratum the mean of the rows that are not NaN."""
    known = np.isfinite(scores)
    weighted = np.where(known, scores * weights[:, None], 0.0)
    values: Floats = np.zeros(scores.shape[1])
    for stratum in np.unique(strata):
        here = strata == stratum
        with np.errstate(invalid="ignore"):
            shares = weighted[here].sum(axis=0) / (known[here] * weights[here, None]).sum(axis=0)
        values += shares * weights[here].sum()
    return values


def number_clusters(keys: Sequence[Key]) -> Ints:
    """Number the rows: those of one part and id, the turns of a question, have one number. `keys` are sorted."""
    changes = [key[:2] != before[:2] for before, key in pairwise(keys)]
    return np.concatenate([[0], np.cumsum(changes)]).astype(np.int64)


def bounds_of(scale: float, scores: Floats) -> Bounds:
    """Return the least and the most that a score can be, or is."""
    return min(0.0, float(np.nanmin(scores))), max(scale, float(np.nanmax(scores)))


def average_rows(parts: Sequence[tuple[ScoreRows, float]]) -> ScoreRows | None:
    """Put the rows of several benchmarks together, as shares, each benchmark with the same weight.

    `parts` are rows with the scale by which a score becomes a share. Only models that all have are in the average;
    None without one.
    """
    models = [model for model in parts[0][0].models if all(model in rows.models for rows, _ in parts)]
    if not models:
        return None
    clusters, strata = list[Ints](), list[Ints]()
    for rows, _ in parts:
        clusters.append(rows.clusters + (clusters[-1].max() + 1 if clusters else 0))
        strata.append(rows.strata + (strata[-1].max() + 1 if strata else 0))
    return ScoreRows(
        tuple(models),
        np.concatenate([rows.scores[:, [rows.column(model) for model in models]] / scale for rows, scale in parts]),
        np.concatenate([rows.weights / len(parts) for rows, _ in parts]),
        np.concatenate(clusters),
        np.concatenate(strata),
        SHARE,
    )


def build_rows(samples: Mapping[str, Mapping[str, pa.Table]], results: Mapping[str, Json]) -> dict[str, ScoreRows]:
    """Align the rows of every benchmark and average; both arguments are by model.

    Benchmarks that are not means of their rows, and averages over one of them, are left out.
    """
    tasks = sorted({task for content in results.values() for task in content["tasks"]})
    metrics = {
        task: {
            model: main_metric(content["tasks"][task]) for model, content in results.items() if task in content["tasks"]
        }
        for task in tasks
    }
    rows = {
        task: aligned for task in tasks if (aligned := align_samples(select(samples, task), metrics[task])) is not None
    }
    scales = {task: SCALES[metric["unit"]] for task in tasks for metric in metrics[task].values() if metric}
    averages = {
        name: average["columns"] for content in results.values() for name, average in content["averages"].items()
    }
    for name, columns in averages.items():
        if columns and all(column in rows for column in columns):
            average = average_rows([(rows[column], scales[column]) for column in columns])
            rows |= {name: average} if average else {}
    return rows


def select(samples: Mapping[str, Mapping[str, pa.Table]], task: str) -> dict[str, pa.Table]:
    """Return the samples of one task by model."""
    return {model: tables[task] for model, tables in samples.items() if task in tables}
