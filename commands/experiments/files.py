"""The table of experiments as a file: Markdown for a pull request, CSV for a program, SVG or PNG to look at."""

import csv
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from commands.experiments.changes import ABSENT, describe_changes, format_param
from commands.experiments.chart import draw_png, draw_svg
from commands.experiments.screen import CHANGED, describe_word, format_cells, format_differences, name_of
from commands.experiments.states import git
from commands.experiments.table import Row, Table
from stages.lib.console.errors import UserError
from stages.lib.console.formats import cut_end
from stages.lib.core.numbers import round_significant

TAKEN = ("data", "models", "metrics", ".git", ".dvc")
FIRST = "experiment"  # the head of the first column
MOST_CHARS = 300  # of the changes in a cell of Markdown
FORMATS = (".md", ".csv", ".svg", ".png")
# What is in the beginning of a picture that this command wrote, and how its tables begin: it may overwrite them.
PICTURE = b"Rewild experiments"
TABLES = {".md": f"| {FIRST} |".encode(), ".csv": f"{FIRST},".encode()}


def check_file(path: Path) -> None:
    """Raise UserError where a file cannot be written, or holds something else."""
    if path.suffix not in FORMATS:
        raise UserError(f"OUT={path}: name a file that ends in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    if any(path.resolve().is_relative_to(Path(name).resolve()) for name in TAKEN):
        raise UserError(f"OUT={path}: is in a folder of the pipeline, of git or of DVC: name another")
    if not path.resolve().parent.is_dir():
        raise UserError(f"OUT={path}: there is no folder {path.parent}")
    if path.is_dir() or (path.exists() and not is_ours(path)):
        raise UserError(f"OUT={path}: exists and is no table of experiments: name another file")
    if path.exists() and is_tracked(path):
        raise UserError(f"OUT={path}: is a file that git tracks: name another")


def is_ours(path: Path) -> bool:
    """Tell whether this command wrote a file, by how it begins."""
    start = path.read_bytes()[:4096]
    return start.startswith(TABLES[path.suffix]) if path.suffix in TABLES else PICTURE in start


def is_tracked(path: Path) -> bool:
    """Tell whether git tracks a file."""
    try:
        return bool(git("ls-files", "--", str(path)))
    except UserError:  # it is outside of the repository
        return False


def write_file(path: Path, table: Table) -> None:
    """Write a table or its picture in the format that the end of the name says."""
    write: dict[str, Callable[[Table], str | bytes]] = {
        ".md": to_markdown,
        ".csv": to_csv,
        ".svg": draw_svg,
        ".png": draw_png,
    }
    content = write[path.suffix](table)
    try:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    except OSError as error:
        raise UserError(f"OUT={path}: cannot be written ({error.strerror})") from None


def to_markdown(table: Table) -> str:
    """Return the whole table as Markdown; what is to be said of it stands below."""
    rows = table.rows
    columns: list[tuple[str, Sequence[str]]] = [(FIRST, [name_of(row) for row in rows])]
    if table.keys:
        columns += [(f"`{key}`", [format_param(row.params[key]) for row in rows]) for key in table.keys]
    else:
        columns.append((CHANGED, [cut_end(describe_changes(row.changes), MOST_CHARS) for row in rows]))
    columns.append(("model", [row.model for row in rows]))
    for measure in table.measures:
        columns.append((measure, format_cells([row.numbers.cells.get(measure) for row in rows], with_ends=True)))
        differences = [row.numbers.differences.get(measure) for row in rows]
        if any(differences):
            texts = format_differences(differences)
            words = [describe_word(row, measure) for row in rows]
            columns.append((f"{measure} - base", [f"{a.strip()} {b}" for a, b in zip(texts, words, strict=True)]))
    lines = [[head for head, _ in columns], *zip(*(cells for _, cells in columns), strict=True)]
    texts = [f"| {' | '.join(escape(cell) for cell in line)} |" for line in lines]
    table_lines = [texts[0], "|---" * len(columns) + "|", *texts[1:]]
    return "\n".join([*table_lines, "", *(f"{notice}\n" for notice in table.notices)]).rstrip("\n") + "\n"


def escape(cell: str) -> str:
    """Return a cell that does not end its column."""
    return " ".join(cell.split()).replace("|", "\\|")


def to_csv(table: Table) -> str:
    """Return the table with a column for each number, each end of an interval, and each key that differs."""
    keys = table.keys or list(dict.fromkeys(key for row in table.rows for key in row.changes))
    rows = [list_fields(row, keys, table.measures) for row in table.rows]
    text = StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def list_fields(row: Row, keys: Sequence[str], measures: Sequence[str]) -> dict[str, Any]:
    """Return the fields of one row; a field without a value is empty."""
    fields: dict[str, Any] = {
        FIRST: row.state.name,
        "kind": str(row.state.kind),
        "commit": row.state.commit,
        "is_base": row.is_base,
        "model": row.model,
    }
    values = {key: row.params.get(key, row.changes.get(key, ABSENT)) for key in keys}
    fields |= {f"params.{key}": "" if value is ABSENT else format_param(value) for key, value in values.items()}
    for measure in measures:
        cell, difference = row.numbers.cells.get(measure), row.numbers.differences.get(measure)
        fields |= {
            measure: cell.value if cell else None,
            f"{measure}.low": cell.ci95[0] if cell and cell.ci95 else None,
            f"{measure}.high": cell.ci95[1] if cell and cell.ci95 else None,
            f"{measure}.difference": difference.value if difference else None,
            f"{measure}.difference.low": difference.ci95[0] if difference and difference.ci95 else None,
            f"{measure}.difference.high": difference.ci95[1] if difference and difference.ci95 else None,
            f"{measure}.verdict": describe_word(row, measure),
        }
    return dict(round_significant(fields))
