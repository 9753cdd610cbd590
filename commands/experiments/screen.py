"""The table of experiments on a terminal: as many columns as its width has room for, and no line longer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log10
from typing import Any

from commands.compare.lines import format_value
from commands.experiments.changes import describe_changes, format_param
from commands.experiments.numbers import Cell, Difference, Ends
from commands.experiments.states import Kind
from commands.experiments.table import Row, Table
from stages.lib.console.formats import cut_end, fold
from stages.lib.core.text import escape_unprintable

GAP = 2  # spaces between columns
MOST_KEYS = 3  # that have a column each, unless the user asks for more
MOST_DECIMALS = 3
NAME_CHARS, KEY_CHARS = 28, 24  # at most
FEW_CHARS, LEAST_CHARS = 16, 8  # to which they are cut where room is needed
CHANGED = "changed"
BASE = "base"


@dataclass(frozen=True)
class Column:
    """A column: its head, and the cell of each row. Texts begin at the left and may be cut."""

    head: str
    cells: list[str]
    most: int = 0  # characters of a text; 0: it is never cut
    is_text: bool = False
    at_end: Sequence[bool] = ()  # whether a cell is cut at its end; else, and without these, in the middle

    def shrink(self, width: int) -> "Column":
        """Cut the head and the cells to a width."""
        ends = self.at_end or [False] * len(self.cells)
        cells = [(cut_end if is_end else cut)(cell, width) for cell, is_end in zip(self.cells, ends, strict=True)]
        return Column(cut(self.head, width), cells, width, is_text=True)

    def lines(self) -> list[str]:
        """Return the head and the cells, all of one width."""
        return [text.ljust(self.width) if self.is_text else text.rjust(self.width) for text in (self.head, *self.cells)]

    @property
    def width(self) -> int:
        """How many characters it takes."""
        return max(map(len, (self.head, *self.cells)))


def describe(table: Table, width: int) -> Iterator[str]:
    """Yield the lines of a table and what there is to say of it."""
    columns, left_out = fit(table, width)
    texts = zip(*(column.lines() for column in columns), strict=True)
    lines = [cut_end((" " * GAP).join(cells).rstrip(), width) for cells in texts]
    yield lines[0]
    start = 1
    for model, rows in table.groups.items():
        yield cut_end(model, width)
        yield from lines[start : start + len(rows)]
        start += len(rows)
    yield ""
    if left_out:
        yield from fold(f"No room for {', '.join(left_out)}: OUT=experiments.md has them, and a wider terminal.", width)
    for notice in table.notices:
        yield from fold(notice, width)


def fit(table: Table, width: int) -> tuple[list[Column], list[str]]:
    """Return the columns for which there is room, and the numbers for which there is none.

    The first number is shown with interval, difference and verdict, further ones too where that fits, else alone. Names
    and params are cut to FEW_CHARS each to make room, for the first number to LEAST_CHARS.
    """
    texts = [name_column(table.rows), *param_columns(table)]
    shown: list[Column] = []
    left_out = []
    for number, measure in enumerate(table.measures):
        least = FEW_CHARS if number else LEAST_CHARS
        room = width - sum(min(column.width, least) + GAP for column in texts) - total_width(shown)
        block = next((block for block in blocks(table.rows, measure) if total_width(block) <= room), [])
        shown += block
        left_out += [] if block else [measure]
    return [*shrink(texts, width - total_width(shown)), *shown], left_out


def total_width(columns: Sequence[Column]) -> int:
    """Return how many characters columns take, with the space before each."""
    return sum(column.width + GAP for column in columns)


def param_columns(table: Table) -> list[Column]:
    """Return a column for each key, or one with all changes where there are too many keys."""
    if table.keys:
        return [
            Column(key, [format_param(row.params[key]) for row in table.rows], KEY_CHARS, is_text=True)
            for key in table.keys
        ]
    cells = [describe_shortly(row.changes) for row in table.rows]
    return [Column(CHANGED, cells, KEY_CHARS, is_text=True)] if any(cells) else []


def describe_shortly(changes: Mapping[str, Any]) -> str:
    """Return the changes, or how many params they are of where that is long."""
    text = describe_changes(changes)
    return text if len(text) <= KEY_CHARS else f"{len(changes)} param{'s' if len(changes) > 1 else ''}"


def name_column(rows: Sequence[Row]) -> Column:
    """Return the column of names; of a commit the start says more than the end."""
    names = [f"  {name_of(row)}" for row in rows]
    return Column("", names, NAME_CHARS, is_text=True, at_end=[row.state.kind == Kind.COMMIT for row in rows])


def name_of(row: Row) -> str:
    """Return the name of a row's state as it is shown."""
    name = row.state.name
    return escape_unprintable(name, len(name))


def shrink(texts: Sequence[Column], room: int) -> list[Column]:
    """Cut text columns until they fit, always the widest one."""
    widths = [min(column.width, column.most) for column in texts]
    while sum(widths) + GAP * (len(widths) - 1) > room and max(widths) > LEAST_CHARS:
        widths[widths.index(max(widths))] -= 1
    return [column.shrink(width) for column, width in zip(texts, widths, strict=True)]


def blocks(rows: Sequence[Row], measure: str) -> list[list[Column]]:
    """Return the columns of a number, from the most that can be shown to the least."""
    cells = [row.numbers.cells.get(measure) for row in rows]
    value = Column(measure, format_cells(cells, with_ends=False))
    full = Column(measure, format_cells(cells, with_ends=True))
    differences = [row.numbers.differences.get(measure) for row in rows]
    if not any(differences):
        return [[full], [full], [value]]
    texts = format_differences(differences)
    words = [describe_word(row, measure) for row in rows]
    verdict = Column("", words, is_text=True)
    return [[full, Column("- base", texts), verdict], [value, Column("- base", texts), verdict], [value]]


def describe_word(row: Row, measure: str) -> str:
    """Return what a difference says."""
    difference = row.numbers.differences.get(measure)
    return BASE if row.is_base else difference.word if difference else ""


def format_cells(cells: Sequence[Cell | None], *, with_ends: bool) -> list[str]:
    """Format the numbers of one column, all with the decimals that the narrowest interval supports."""
    decimals = find_decimals([cell.ci95 for cell in cells if cell])
    texts = []
    for cell in cells:
        if cell is None:
            texts.append("-")
            continue
        text = format_number(cell.value, decimals) if decimals is not None else format_plain(cell)
        texts.append(text + format_ends(cell.ci95, decimals) if with_ends else text)
    return pad_ends(texts)


def format_differences(differences: Sequence[Difference | None]) -> list[str]:
    """Format the differences of one column."""
    decimals = find_decimals([item.ci95 for item in differences if item])
    texts = []
    for item in differences:
        if item is None or (item.ci95 is None and item.value == 0):
            texts.append("")
            continue
        digits = 2 if decimals is None else decimals
        texts.append(format_number(item.value, digits, signed=True) + format_ends(item.ci95, digits, signed=True))
    return pad_ends(texts)


def pad_ends(texts: Sequence[str]) -> list[str]:
    """Align numbers where only some have an interval."""
    longest = max((len(text.partition(" ")[2]) for text in texts), default=0)
    return [text + " " * (longest + 1 if longest else 0) if text and " " not in text else text for text in texts]


def find_decimals(intervals: Sequence[Ends]) -> int | None:
    """Return how many decimals the narrowest interval supports: to a tenth of its half; None without an interval."""
    halves = [(ends[1] - ends[0]) / 2 for ends in intervals if ends and ends[1] > ends[0]]
    return min(MOST_DECIMALS, max(0, ceil(-log10(min(halves))))) if halves else None


def format_number(value: float, decimals: int, *, signed: bool = False) -> str:
    """Format a number; signed, with + before what is greater than 0."""
    text = f"{value:+,.{decimals}f}" if signed else f"{value:,.{decimals}f}"
    return text.lstrip("+-") if float(text.replace(",", "")) == 0 else text


def format_plain(cell: Cell) -> str:
    """Format a number whose interval is not known."""
    if isinstance(cell.value, int):
        return f"{cell.value:,}"
    return format_value(cell.value, "share" if abs(cell.value) < 1 else "number")


def format_ends(ends: Ends, decimals: int | None, *, signed: bool = False) -> str:
    """Format an interval in brackets, after a space; empty without one."""
    if ends is None:
        return ""
    return f" [{', '.join(format_number(end, decimals or 0, signed=signed) for end in ends)}]"


def cut(text: str, length: int) -> str:
    """Cut a text in the middle."""
    if len(text) <= length:
        return text
    head = length // 2
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"
