"""What the paper printed, to stand beside what we measure (its tables 2, 4, 6 and 7; averages: sec. 3.1 and 3.2).

The numbers are in paper.yaml, typed from the paper, in its units.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from math import fsum, sqrt
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from stages.lib.console.errors import UserError
from stages.lib.core.sections import Section, parse, read_yaml
from stages.lib.core.types import Json
from stages.lib.evaluation.results import SCALES, Z95, Unit

PAPER = Path(__file__).with_name("paper.yaml")
SEVEN = ("BBH", "GPQA", "MATH", "MUSR", "IFEval", "MMLU Pro", "MixEval")  # what the printed Avg of Tab. 6, 7 is of
NINE = ("MTBench", "AlpacaEval", *SEVEN)  # what section 3.1 says that Avg is of
BENCHMARKS = (2, 6, 7)  # the tables of benchmarks; table 4 is of preferences
ROUNDING = 0.005  # half of the last decimal that the tables print


class Column(Section):
    """What a column holds, and the benchmark of ours that measures the same."""

    unit: Unit | Literal["count"]
    task: str | None = None
    metric: str | None = None
    questions: int | None = None  # of the benchmark
    against: str = ""  # of a rate of preference: the model that is not preferred

    @property
    def scale(self) -> int:
        """By which a number of the column is divided to be a share (sec. 3.1); a count never is one."""
        if self.unit == "count":
            raise ValueError("a count is no share")
        return SCALES[self.unit]


class PrintedRow(Section):
    """A row as it stands in paper.yaml."""

    label: str
    id: str
    cells: list[float | Annotated[list[float], Field(min_length=2, max_length=2)] | None]
    average: float | None = None
    flips: Annotated[list[str], Field(min_length=2, max_length=2)] | None = (
        None  # of a count of flips: the fine-tune that loses, and to whom
    )
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
    flips: list[str] | None
    note: str


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
    return Row(table, row.label, row.id, cells, row.average, row.flips, row.note)


def average(row: Row, columns: Iterable[str]) -> float | None:
    """The mean of a row's benchmarks as shares, over NINE or SEVEN; None when one is missing.

    Section 3.1 divides MTBench by ten; AlpacaEval is a percentage.
    """
    cells = [row.cells.get(name) for name in columns]
    shares = [cell.value / cell.column.scale for cell in cells if cell]
    return fsum(shares) / len(cells) if len(shares) == len(cells) else None


def rounding(row: Row, columns: Iterable[str]) -> float:
    """By how much the mean of a row's printed cells may be off, for each is rounded: half of its last decimal."""
    cells = [row.cells[name] for name in columns]
    return fsum(ROUNDING / cell.column.scale for cell in cells) / len(cells)


def recomputed(row: Row, columns: Iterable[str]) -> Json:
    """The mean of a row's printed cells, and whether the printed Avg can be it; null where there is none."""
    names = list(columns)
    value = average(row, names)
    off = None if value is None else rounding(row, names)
    fits = None if value is None or off is None or row.average is None else agrees(value, off, row.average)
    return {"value": value, "rounding": off, "printed_fits": fits}


def agrees(value: float, off: float, printed: float) -> bool:
    """Whether a number of two printed decimals can be a value that may be off by so much."""
    return abs(value - printed) <= off + ROUNDING


def misfits(row: Row) -> dict[str, tuple[float, float]]:
    """The columns whose printed half-width cannot be that of a share of so many questions, and what it could be.

    By the normal approximation (sec. 3.1), 1.96 sqrt(p (1 - p) / n), for every p that rounds to the printed share.
    """
    found = {}
    for name, cell in row.cells.items():
        if cell.half_width is not None and cell.column.questions:
            shares = [max(0, min(1, cell.value + off)) for off in (-ROUNDING, 0, ROUNDING)]
            widths = [Z95 * sqrt(share * (1 - share) / cell.column.questions) for share in shares]
            if max(widths) < cell.half_width - ROUNDING or min(widths) >= cell.half_width + ROUNDING:
                found[name] = (min(widths), max(widths))
    return found
