"""Matrices of every two models as heat maps: shaded cells, smaller with more models, and the scale of the shades."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SHADES = 6  # of each sign; page.tables.css has a colour for each
MOST_ROOMY = 8  # models with which a cell has room for lines below its number
MOST_CLOSE = 20  # models with which it has room for a number


@dataclass(frozen=True, slots=True)
class HeatCell:
    """A cell: row compared with column."""

    text: str  # its number
    shade: int = 0  # -SHADES to SHADES; 0 is the colour of the page
    verdict: str = ""  # shown by a sign too, where it is one
    lines: Sequence[str] = ()  # below the number where there is room, else read by pointing at the cell
    details: str = ""  # read by pointing at the cell

    @property
    def classes(self) -> str:
        """The classes of its shade and its verdict in page.tables.css."""
        return " ".join(filter(None, [shade_class(self.shade), self.verdict.replace(" ", "-")]))


@dataclass(frozen=True, slots=True)
class HeatMap:
    """A matrix with models as rows and columns."""

    corner: str  # what a cell shows of its row and its column
    between: str  # the word between the names of row and column, where a cell is named
    rows: Mapping[str, Mapping[str, HeatCell | None]]
    ends: tuple[str, str]  # what the first and the last shade of the scale mean
    is_signed: bool = False  # the shades go from one colour through none to another

    @property
    def size(self) -> str:
        """How much room a cell has, by the number of models."""
        return "roomy" if len(self.rows) <= MOST_ROOMY else "close" if len(self.rows) <= MOST_CLOSE else "dense"

    @property
    def scale(self) -> list[str]:
        """The classes of the shades, from the first end to the last."""
        return [shade_class(shade) for shade in range(-SHADES if self.is_signed else 0, SHADES + 1)]

    @property
    def has_verdicts(self) -> bool:
        """Whether any cell has a verdict."""
        return any(cell.verdict for cells in self.rows.values() for cell in cells.values() if cell)

    def below(self, cell: HeatCell) -> Sequence[str]:
        """Return the lines below the number of a cell."""
        return cell.lines if self.size == "roomy" else ()

    def title(self, cell: HeatCell) -> str:
        """Return what is read by pointing at a cell: what is not written in it, with its verdict not spelt out."""
        lines = [] if self.size == "roomy" else [line for line in cell.lines if line != cell.verdict]
        return "; ".join(filter(None, [*lines, cell.details]))


def shade_difference(value: float, most: float) -> int:
    """Return the shade of a difference, the deepest for `most` on either side of 0."""
    return round(SHADES * max(-1.0, min(1.0, value / most))) if most else 0


def shade_between(value: float, lowest: float, highest: float) -> int:
    """Return the shade of a value, none for the lowest and the deepest for the highest."""
    return round(SHADES * (value - lowest) / (highest - lowest)) if highest > lowest else 0


def shade_class(shade: int) -> str:
    """Return the class of a shade in page.tables.css."""
    return f"h{shade}" if shade >= 0 else f"n{-shade}"
