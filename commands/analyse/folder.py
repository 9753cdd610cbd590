"""The folder of an analysis: where it is, and which folders may be overwritten."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from commands.out_folder import check_free
from stages.lib.console.errors import UserError
from stages.lib.core.files import write_json

ANALYSES = Path("analysis")
MARKER = "analysis.json"  # a folder with this file is an analysis, and may be overwritten
PARTS = (
    "prompts", "responses", "ledger", "models", "verdicts", "similarity", "styling", "judgments", "preference",
    "report",
)  # fmt: skip


def default_out(source: Path) -> Path:
    """Return the folder of an analysis for which the user names none."""
    return ANALYSES / (re.sub(r"[^\w.-]", "_", source.resolve().stem).strip(".") or "replies")


def check_out(source: Path, out: Path) -> None:
    """Raise UserError when OUT is in use for something else, or when it and the source contain one another."""
    source_path, out_path = source.resolve(), out.resolve()
    if source_path.is_relative_to(out_path) or out_path.is_relative_to(source_path):
        raise UserError(f"{out} and {source} contain one another: name another folder for OUT")
    check_free(out, MARKER, "an analysis", ("data", "models"))


def begin(out: Path) -> None:
    """Mark OUT as an incomplete analysis, and remove the parts of an earlier one."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / MARKER, {"complete": False})
    for part in PARTS:
        shutil.rmtree(out / part, ignore_errors=True)


@contextmanager
def scratch_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder beside OUT that is removed after the block."""
    folder = out.with_name(f".{out.name}.reading")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
