"""Where an analysis of replies goes, and what may be written over there."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.lib.console.errors import UserError
from stages.lib.core.files import write_json

ANALYSES = Path("analysis")
MARKER = "analysis.json"  # a folder with this file was made here, and may be written over
PARTS = (
    "prompts", "responses", "ledger", "models", "verdicts", "similarity", "styling", "judgments", "preference",
    "report",
)  # fmt: skip


def default_out(source: Path) -> Path:
    """Where an analysis goes that was given no place."""
    return ANALYSES / (re.sub(r"[^\w.-]", "_", source.resolve().stem).strip(".") or "replies")


def check_place(source: Path, out: Path) -> None:
    """Raise UserError when OUT holds something else than an analysis, or is a part of what is read."""
    here, there = source.resolve(), out.resolve()
    if here.is_relative_to(there) or there.is_relative_to(here):
        raise UserError(f"{out} and {source} lie in one another: name another folder for OUT")
    if any(there.is_relative_to(Path(name).resolve()) for name in ("data", "models")):
        raise UserError(f"{out} lies in a folder that is DVC's: name another folder for OUT")
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file: name a folder for OUT")
    if out.exists() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise UserError(f"{out} holds something that is no analysis: name another folder for OUT, or an empty one")


def begin(out: Path) -> None:
    """Make OUT an analysis that has just begun; what an earlier one left is removed, so that nothing is mixed."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / MARKER, {"complete": False})
    for part in PARTS:
        shutil.rmtree(out / part, ignore_errors=True)


@contextmanager
def scratch(out: Path) -> Iterator[Path]:
    """An empty folder beside OUT that is gone after the block."""
    folder = out.with_name(f".{out.name}.reading")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
