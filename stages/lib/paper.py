"""What the paper printed, to stand beside what we measure (its tables 2, 4, 6 and 7; averages: sec. 3.1 and 3.2).

The numbers are in paper.yaml, typed from the paper, in its units.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from math import fsum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from stages.lib.params import Section, UserError, parse, read_yaml
from stages.lib.results import Json

PAPER = Path(__file__).with_name("paper.yaml")
SCALES = {"score 1-10": 10, "percent": 100, "share": 1}  # by which a unit is divided to be a share
SEVEN = ("BBH", "GPQA", "MATH", "MUSR", "IFEval", "MMLU Pro", "MixEval")  # what the printed Avg of Tab. 6, 7 is of
NINE = ("MTBench", "AlpacaEval", *SEVEN)  # what section 3.1 says that Avg is of
ROUNDING = 0.005  # half of the last decimal that the tables print


class Column(Section):
    """What a column holds, and the benchmark of ours that measures the same."""

    unit: Literal["score 1-10", "percent", "share", "count"]
    task: str | None = None
    metric: str | None = None


class PrintedRow(Section):
    """A row as it stands in paper.yaml."""

    label: str
    id: str
    cells: list[float | Annotated[list[float], Field(min_length=2, max_length=2)] | None]
    average: float | None = None
    note: str = ""


class Table(Section):
    """A table as it stands in paper.yaml."""

    columns: list[str]
    rows: list[PrintedRow]


class Average(Section):
    """A mean over the nine benchmarks, as a share: as the text prints it, and as the authors' sheet gives it."""

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
    note: str


@dataclass(frozen=True)
class Beside:
    """One benchmark of ours and of the paper, in the paper's unit; None where we have no number, or no interval."""

    ours: float | None
    paper: float
    difference: float | None  # ours less the paper's
    outside: bool | None  # whether all that rounds to the paper's value lies outside our 95 % interval


@cache
def read_paper(path: Path = PAPER) -> Paper:
    """Read and check the file."""
    paper = parse(Paper, read_yaml(path), path.name)
    for number, table in paper.tables.items():
        where = f"{path.name}: table {number}"
        if unknown := [name for name in table.columns if name not in paper.columns]:
            raise UserError(f"{where} has columns that `columns` does not describe: {', '.join(unknown)}")
        for row in table.rows:
            if len(row.cells) != len(table.columns):
                raise UserError(f"{where}, {row.label}: {len(row.cells)} cells for {len(table.columns)} columns")
    return paper


def published(table: int, path: Path = PAPER) -> list[Row]:
    """The rows of one of the paper's tables, in its order."""
    paper = read_paper(path)
    if table not in paper.tables:
        raise UserError(f"{path.name} has no table {table}; it has: {', '.join(map(str, paper.tables))}")
    names = paper.tables[table].columns
    return [make_row(table, row, {name: paper.columns[name] for name in names}) for row in paper.tables[table].rows]


def make_row(table: int, row: PrintedRow, columns: dict[str, Column]) -> Row:
    """A row with its cells by name."""
    cells = {}
    for (name, column), printed in zip(columns.items(), row.cells, strict=True):
        if printed is not None:
            value, half_width = printed if isinstance(printed, list) else (printed, None)
            cells[name] = Cell(value, half_width, column)
    return Row(table, row.label, row.id, cells, row.average, row.note)


def average(row: Row, columns: Iterable[str]) -> float | None:
    """The mean of a row's benchmarks as shares, over NINE or SEVEN; None when one is missing.

    Section 3.1 divides MTBench by ten; AlpacaEval is a percentage.
    """
    cells = [row.cells.get(name) for name in columns]
    shares = [cell.value / SCALES[cell.column.unit] for cell in cells if cell]
    return fsum(shares) / len(cells) if len(shares) == len(cells) else None


def beside(results: Json, row: Row) -> dict[str, Beside]:
    """The benchmarks of a model's results.json beside a row of the paper, by the row's columns."""
    if "tasks" not in results:
        raise UserError("these are no results of a model: they have no `tasks`")
    return {name: compare(find(results["tasks"], cell.column), cell.value) for name, cell in row.cells.items()}


def find(tasks: dict[str, Json], column: Column) -> Json:
    """Our metric for a column; empty when it was not measured."""
    metrics: Json = tasks.get(column.task or "", {}).get("metrics", {})
    found: Json = metrics.get(column.metric or "", {})
    return found


def compare(found: Json, paper: float) -> Beside:
    """Our metric beside the paper's value."""
    ours, ci95 = found.get("value"), found.get("ci95")
    return Beside(
        ours=ours,
        paper=paper,
        difference=None if ours is None else ours - paper,
        outside=None if ci95 is None else paper + ROUNDING < ci95[0] or paper - ROUNDING > ci95[1],
    )
