"""Take the store along to where it is now, after DVC's cache has moved."""

import contextlib
import shutil
from pathlib import Path

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.core.store import store_folder
from stages.lib.generation.place import left_behind, write_note
from stages.lib.generation.same_model import RECORD, read_record, record_sources
from stages.lib.generation.store import Store
from stages.lib.suitability.scores import FOLDER as SCORES


def move(given: str = "") -> None:
    """Move all that another store holds, or the one that stayed behind, into the store's folder of now.

    A kill in the middle loses nothing: the next call moves the rest. Raises UserError where there is none to move.
    """
    folder = store_folder()
    old = Path(given) if given else left_behind(folder)
    if old is None or not old.is_dir() or old.absolute() == folder.absolute():
        raise UserError(f"no other store is known{f' at {given}' if given else ''}: `move <folder>` names one")
    segments = 0
    for source in [*list_folders(old / SCORES), *list_folders(old)]:
        segments += merge(source, folder / source.relative_to(old))
    write_note(folder)
    log_line(f"{segments} segments are moved from {old} to {folder}")


def list_folders(folder: Path) -> list[Path]:
    """List the folders in a folder, none if it is not there."""
    return sorted(path for path in folder.glob("*") if path.is_dir())


def merge(source: Path, target: Path) -> int:
    """Move the files of a folder of the store to another; return how many segments they are.

    A segment that the other has too goes; another file that both have, such as a note of the pilot, stays in both.
    """
    number = 0
    with Store(source.parent, source.name).exclusive(), Store(target.parent, target.name).exclusive():
        record_sources(target, read_record(source))
        for path in sorted(path for path in source.iterdir() if path.is_file()):
            is_segment = path.suffix == ".parquet"
            number += is_segment
            if not (target / path.name).exists():
                place(path, target / path.name)
            elif is_segment or path.name in (RECORD, ".lock"):
                path.unlink()
    with contextlib.suppress(OSError):  # something is left in it
        source.rmdir()
    return number


def place(path: Path, target: Path) -> None:
    """Move a file, also to another disk, so that the target is whole or not there."""
    draft = target.with_name(f".{target.name}.moved")
    shutil.move(path, draft)
    draft.rename(target)
