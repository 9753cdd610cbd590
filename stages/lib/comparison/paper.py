"""The paper's printed numbers (its tables 2, 4, 6 and 7; averages: sec. 3.1 and 3.2).

They are in paper.yaml, typed from the paper, in its units.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from math import fsum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from stages.lib.console.errors import UserError
from stages.lib.core.sections import Section, parse, read_yaml
from stages.lib.core.types import Json
from stages.lib.evaluation.results import SCALES, Unit

PAPER = Path(__file__).with_name("paper.yaml")
SEVEN = ("BBH", "GPQA", "MATH", "MUSR", "IFEval", "MMLU Pro", "MixEval")  # the printed Avg of Tab. 6, 7 is over these
NINE = ("MTBench", "AlpacaEval", *SEVEN)  # section 3.1 says that Avg is over these
AVERAGES = {"nine": NINE, "seven": SEVEN}
BENCHMARK_TABLES = (2, 6, 7)
PREFERENCE_TABLE = 4
HALF_DECIMAL = 0.005  # half of the last decimal that the tables print


class Column(Section):
    """A column of the paper's tables, and the benchmark of ours that measures the same."""

    unit: Unit | Literal["count"]
    task: str | None = None
    metric: str | None = None
    questions: int | None = None  # how many the benchmark has
    against: str = ""  # for a rate of preference: the model that is not preferred

    @property
    def scale(self) -> int:
        """The divisor that makes a share of a number (sec. 3.1). Raises ValueError for a column of counts."""
        if self.unit == "count":
            raise ValueError("a count is not a share")
        return SCALES[self.unit]


class PrintedRow(Section):
    """A row of paper.yaml."""

    label: str
    id: str
    cells: list[float | Annotated[list[float], Field(min_length=2, max_length=2)] | None]
    average: float | None = None
    # For a count of flips: the fine-tune that loses, and the model that it loses to.
    flips: Annotated[list[str], Field(min_length=2, max_length=2)] | None = None
    note: str = ""


class Table(Section):
    """A table of paper.yaml."""

    columns: list[str]
    rows: list[PrintedRow]


class Average(Section):
    """A mean over the nine benchmarks, as a share: printed in the text, and recomputed from the authors' sheet."""

    label: str
    id: str
    source: str
    recomputed: float
    printed: float | None = None
    note: str = ""


class Paper(Section):
    """The whole of paper.yaml."""

    columns: dict[str, Column]
    tables: dict[int, Table]
    averages: list[Average]


@dataclass(frozen=True)
class Cell:
    """A printed number in its column's unit, and the half-width of its 95 % interval if one is printed (sec. 3.1)."""

    value: float
    half_width: float | None
    column: Column


@dataclass(frozen=True)
class Row:
    """A printed row: the paper's label, our run or DGM, its cells by column (without N/A), and the printed Avg."""

    table: int
    label: str
    id: str
    cells: dict[str, Cell]
    average: float | None
    flips: list[str] | None
    note: str


@cache
def read_paper(path: Path = PAPER) -> Paper:
    """Read paper.yaml; raise UserError for a row that does not fit its columns."""
    paper = parse(Paper, read_yaml(path), path.name)
    for number, table in paper.tables.items():
        where = f"{path.name}: table {number}"
        if unknown := [name for name in table.columns if name not in paper.columns]:
            raise UserError(f"{where} has columns that `columns` does not describe: {', '.join(unknown)}")
        for row in table.rows:
            if len(row.cells) != len(table.columns):
                raise UserError(f"{where}, {row.label}: {len(row.cells)} cells for {len(table.columns)} columns")
    return paper


def read_rows(table: int, path: Path = PAPER) -> list[Row]:
    """Return the rows of one of the paper's tables, in its order; raise UserError if paper.yaml does not have it."""
    paper = read_paper(path)
    if table not in paper.tables:
        raise UserError(f"{path.name} has no table {table}; it has: {', '.join(map(str, paper.tables))}")
    names = paper.tables[table].columns
    return [to_row(table, row, {name: paper.columns[name] for name in names}) for row in paper.tables[table].rows]


def to_row(table: int, row: PrintedRow, columns: dict[str, Column]) -> Row:
    """Convert a row of paper.yaml to one with its cells by name."""
    cells = {}
    for (name, column), printed in zip(columns.items(), row.cells, strict=True):
        if printed is not None:
            value, half_width = printed if isinstance(printed, list) else (printed, None)
            cells[name] = Cell(value, half_width, column)
    return Row(table, row.label, row.id, cells, row.average, row.flips, row.note)


def average_row(row: Row, columns: Iterable[str]) -> float | None:
    """Average a row's benchmarks as shares, over NINE or SEVEN; None when one is missing.

    Section 3.1 divides MTBench by ten; AlpacaEval is a percentage.
    """
    cells = [row.cells.get(name) for name in columns]
    shares = [cell.value / cell.column.scale for cell in cells if cell]
    return fsum(shares) / len(cells) if len(shares) == len(cells) else None


def rounding_error(row: Row, columns: Iterable[str]) -> float:
    """Return by how much the average of a row's printed cells may be off: each may by half of its last decimal."""
    cells = [row.cells[name] for name in columns]
    return fsum(HALF_DECIMAL / cell.column.scale for cell in cells) / len(cells)


def recompute_average(row: Row, columns: Iterable[str]) -> Json:
    """Average a row's printed cells, and say whether the printed Avg can be that average; null where there is none."""
    names = list(columns)
    value = average_row(row, names)
    error = None if value is None else rounding_error(row, names)
    fits = None
    if value is not None and error is not None and row.average is not None:
        fits = abs(value - row.average) <= error + HALF_DECIMAL
    return {"value": value, "rounding": error, "printed_fits": fits}


def recompute_averages() -> list[Json]:
    """Recompute both averages of every row of the paper's benchmark tables from its printed cells."""
    return [
        {"table": row.table, "label": row.label, "printed": row.average}
        | {name: recompute_average(row, columns) for name, columns in AVERAGES.items()}
        for table in BENCHMARK_TABLES
        for row in read_rows(table)
    ]
