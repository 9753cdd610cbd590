"""The data files of a source: a file, or a folder of files and folders."""

import os
import stat
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.core.files import ROWS_SUMMARY

PARQUET = (".parquet",)
JSON = (".jsonl", ".ndjson", ".json")
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}  # of JSON: the ends of names that stand after its own
# What tools write beside their data: its schema, its state, a list of its files.
DESCRIPTIONS = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "metadata.json")
MAX_NAMES = 5


def compression_of(file: Path) -> str | None:
    """Return the name of a file's compression as pyarrow has it; None if its name ends in none."""
    return COMPRESSIONS.get(file.suffix.lower())


def suffix_of(file: Path) -> str:
    """Return the end of a file's name that tells its format, in small letters, without a compression's."""
    name = Path(file.stem) if compression_of(file) else file
    return name.suffix.lower()


def is_data(file: Path) -> bool:
    """Whether a name ends as that of a data file."""
    return suffix_of(file) in JSON or file.suffix.lower() in PARQUET


def is_passed_over(name: str) -> bool:
    """Whether a file or folder of this name never holds data: hidden, of another tool, or not yet complete."""
    return name.startswith((".", "_")) or name.endswith("~") or name.lower() in DESCRIPTIONS


def list_data_files(source: Path, pattern: str = "") -> list[Path]:
    """List the data files of a folder and its subfolders by name; of a file, the file itself.

    `pattern` selects files by their path inside the folder. Files that are passed over are named on the screen. Raises
    UserError if there is no data file, or one that is none: a device, a link to nothing, a folder inside itself.
    """
    if not os.path.lexists(source):
        raise UserError(f"{source} is not there")
    files = list(walk(source, ())) if source.is_dir() else [source]
    named = [file for file in files if file == source or fnmatch(file.relative_to(source).as_posix(), pattern or "*")]
    data_files = [file for file in named if is_data(file) and (file == source or not is_hidden(file, source))]
    for file in data_files:
        check_file(file)
    name_passed_over(source, [file for file in named if file not in set(data_files) and file.name != ROWS_SUMMARY])
    if not data_files:
        matches = f" and matches {pattern!r}" if pattern else ""
        ends = " or ".join((*PARQUET, *JSON))
        raise UserError(f"{source}: no file there ends in {ends} (JSON also with .gz or .zst){matches}")
    return data_files


def walk(folder: Path, parents: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files of a folder and its subfolders in the order of their paths; folders that are passed over, too."""
    real = os.path.realpath(folder)
    if real in parents:
        raise UserError(f"{folder} is a link to a folder that it is in; remove it")
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}") from None
    for entry in entries:
        if entry.is_dir() and not is_passed_over(entry.name):
            yield from walk(entry, (*parents, real))
        else:
            yield entry


def is_hidden(file: Path, source: Path) -> bool:
    """Whether a file's name, or that of a folder of it inside the source, is passed over."""
    return any(is_passed_over(part) for part in file.relative_to(source).parts)


def check_file(file: Path) -> None:
    """Raise UserError when a data file is not a file whose bytes can be read."""
    try:
        mode = file.stat().st_mode
    except OSError as error:
        what = "is a link to nothing or to itself" if file.is_symlink() else f"cannot be read: {error.strerror}"
        raise UserError(f"{file} {what}") from None
    if stat.S_ISDIR(mode):
        raise UserError(f"{file} is a folder that has the name of a file")
    if not stat.S_ISREG(mode):
        raise UserError(f"{file} is a device or pipe, not a file")
    if not os.access(file, os.R_OK):
        raise UserError(f"{file} cannot be read: no permission")


def name_passed_over(source: Path, files: list[Path]) -> None:
    """Print a line that names the first of the files that are not read."""
    if files:
        names = ", ".join(file.relative_to(source).as_posix() for file in files[:MAX_NAMES])
        more = f" and {len(files) - MAX_NAMES} more" if len(files) > MAX_NAMES else ""
        log_line(f"{source}: not read: {names}{more}")
