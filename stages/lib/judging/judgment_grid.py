"""The judgments of several models on the same turns, aligned in one grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.console.errors import UserError
from stages.lib.core.files import ROWS_SUMMARY, read_json
from stages.lib.core.pairs import Pair
from stages.lib.core.types import Floats, Ints
from stages.lib.records.judgments import JUDGMENT
from stages.lib.records.shards import read_table

COLUMNS = ["question_id", "turn", "score", "text", "chars", "status"]  # the columns of JUDGMENT that are read
NO_JUDGMENTS = JUDGMENT.empty_table().select(COLUMNS)


@dataclass(frozen=True, slots=True)
class JudgmentGrid:
    """The judgments of some models: a row per turn, sorted by question and turn, and a column per model."""

    models: list[str]
    questions: Ints  # [turn]
    turns: Ints  # [turn], from 1
    scores: Floats  # [turn, model]; NaN: no score
    chars: Floats  # [turn, model], the length of the reply; NaN: the model has no row of this turn
    rows: Ints  # [turn, model], places in `texts`; -1: the model has no row of this turn
    texts: list[str]  # of all judgments
    statuses: dict[str, list[str]]  # of each model's rows

    def column(self, model: str) -> int:
        """Return the column of a model."""
        return self.models.index(model)

    def columns(self, pairs: Sequence[Pair]) -> Ints:
        """Return the columns of pairs, [2, pair]: of the first models and of the second ones."""
        return np.array([[self.column(model) for model in pair] for pair in pairs], dtype=np.int64).reshape(-1, 2).T


def read_judged(folder: Path, columns: list[str] | None = None) -> pa.Table:
    """Read rows of JUDGMENT or PAIRING; where too many failed, all of them count as failed."""
    table = read_table(folder, columns)
    if read_json(folder / ROWS_SUMMARY)["status"] != "failed":
        return table
    place, status = table.schema.get_field_index("status"), table["status"]
    return table.set_column(place, "status", pc.if_else(pc.equal(status, "ok"), "failed", status))


def align_judgments(judgments: Mapping[str, pa.Table]) -> JudgmentGrid:
    """Align each model's table of JUDGMENT by question and turn; the order of the rows changes nothing.

    Scores of rows that are not `ok` are NaN. Raises UserError when a model has a turn twice.
    """
    models = list(judgments)
    table = pa.concat_tables([NO_JUDGMENTS, *(judgments[model].select(COLUMNS) for model in models)])
    keys = np.stack([table["question_id"].to_numpy(), table["turn"].to_numpy()], axis=1)
    grid, places = np.unique(keys, axis=0, return_inverse=True)
    owners = np.repeat(np.arange(len(models)), [part.num_rows for part in judgments.values()])
    rows = _place_rows(keys, places, owners, models)
    statuses = table["status"].to_pylist()
    scores = table["score"].to_numpy().astype(np.float64)
    scores[np.array([status != "ok" for status in statuses], dtype=bool)] = np.nan
    return JudgmentGrid(
        models=models,
        questions=grid[:, 0],
        turns=grid[:, 1],
        scores=_spread(scores, rows),
        chars=_spread(table["chars"].to_numpy().astype(np.float64), rows),
        rows=rows,
        texts=[text or "" for text in table["text"].to_pylist()],
        statuses={model: judgments[model]["status"].to_pylist() for model in models},
    )


def _place_rows(keys: Ints, places: Ints, owners: Ints, models: Sequence[str]) -> Ints:
    """Return the row of each turn and model, [turn, model], -1 where there is none.

    Of each row `keys` holds question and turn, `places` the turn's place in the grid and `owners` the model's.
    """
    rows = np.full((places.max(initial=-1) + 1, len(models)), -1, dtype=np.int64)
    rows[places, owners] = np.arange(len(keys))
    if (rows >= 0).sum() < len(keys):
        repeated = next(row for row in range(len(keys)) if rows[places[row], owners[row]] != row)
        model = models[owners[repeated]]
        question, turn = keys[repeated]
        raise UserError(f"judgments of {model}: question {question}, turn {turn} appears twice; run `dvc repro judge`")
    return rows


def _spread(values: Floats, rows: Ints) -> Floats:
    """Return the value of each row in `rows`, NaN where that is -1."""
    return np.append(values, np.nan)[rows]
