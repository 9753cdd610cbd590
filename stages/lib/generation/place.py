"""The store where it is now; one that stayed behind when DVC's cache moved is never passed over in silence."""

import os
from pathlib import Path

from stages.lib.console.errors import MOVE_STORE, UserError
from stages.lib.console.shell import log_line
from stages.lib.core.files import read_json, write_json
from stages.lib.core.store import store_folder
from stages.lib.generation.store import Store

NOTE = Path(".dvc/tmp/rewild/store.json")  # where the store of this checkout was when it was last used
USUAL = Path(".dvc/store")  # where it is as long as nobody moves DVC's cache


def open_store(name: str) -> Store:
    """Return the store of a DGM, of a model's answers or of a judge's replies, as `current_folder` finds it."""
    return Store(current_folder(), name)


def current_folder() -> Path:
    """Return the store's folder, and note it as this checkout's.

    Raises UserError when it would begin empty although this checkout has filled another: all would be asked again.
    """
    folder = store_folder()
    if left := left_behind(folder):
        line = f"{left} holds finished conversations, and the store is now {folder}: {MOVE_STORE} takes them along"
        if not holds_segments(folder):
            raise UserError(f"{line}, REWILD_STORE={folder} begins anew")
        log_line(line)
    elif "REWILD_STORE" not in os.environ:
        write_note(folder)
    return folder


def left_behind(folder: Path) -> Path | None:
    """Return the folder that held this checkout's conversations before, and still does; None: there is none.

    $REWILD_STORE says where the store is, so then nothing is left behind.
    """
    if "REWILD_STORE" in os.environ:
        return None
    noted = [Path(read_json(NOTE))] if NOTE.exists() else []
    places = (place.absolute() for place in (*noted, USUAL) if place.resolve() != folder.resolve())
    return next(filter(holds_segments, places), None)


def write_note(folder: Path) -> None:
    """Note where the store is: from here where it is in this checkout, whose copy has a store of its own."""
    place, here = folder.resolve(), Path.cwd().resolve()
    text = str(place.relative_to(here) if here in place.parents else place)
    if not NOTE.exists() or read_json(NOTE) != text:
        write_json(NOTE, text)


def holds_segments(folder: Path) -> bool:
    """Tell whether there is any segment in a store."""
    return next(folder.glob("*/*.parquet"), None) is not None
