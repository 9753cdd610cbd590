"""A folder that a command writes, named by the user: whether it is free."""

from collections.abc import Iterable
from pathlib import Path

from stages.lib.console.errors import UserError


def check_free(out: Path, marker: str, noun: str, taken: Iterable[str]) -> None:
    """Raise UserError when OUT lies in one of the folders `taken`, or holds something else than `noun`.

    `noun` is what the command writes, with its article; a folder with the file `marker` is one, and may be overwritten.
    """
    if any(out.resolve().is_relative_to(Path(name).resolve()) for name in taken):
        raise UserError(f"{out} is in a folder of the pipeline: name another folder for OUT")
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file: name a folder for OUT")
    if out.exists() and any(out.iterdir()) and not (out / marker).is_file():
        raise UserError(f"{out} is not empty and not {noun}: name another folder for OUT, or an empty one")
