"""The folder of a publication: made whole or not at all, never over what somebody changed by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from commands.out_folder import check_free
from commands.publish.provenance import FILES, PROVENANCE, hash_files
from stages.lib.console.errors import UserError
from stages.lib.core.files import new_folder, read_json, write_json
from stages.lib.core.types import Json

TAKEN = ("data", "models", "metrics", "stages", "commands", "dgms", "demo", ".git", ".dvc")


def check_out(out: Path) -> None:
    """Raise UserError when a folder holds something else, or a publication with files that were changed by hand."""
    check_free(out, PROVENANCE, "a publication", TAKEN)
    if not (out / PROVENANCE).is_file():
        return
    known, present = read_json(out / PROVENANCE).get(FILES, {}), hash_files(out)
    changed = sorted(name for name in present if present[name] != known.get(name))
    if changed:
        raise UserError(
            f"{out / changed[0]} was changed or added by hand and would be lost: write what the card should say into "
            f"a file and give it as NOTES, or remove {out}"
        )


def is_made(out: Path, provenance: Json) -> bool:
    """Tell whether a folder, which `check_out` found unchanged, holds all of the publication with this provenance.

    With uncommitted changes one cannot tell: they are not part of the provenance.
    """
    if provenance["has_uncommitted_changes"] or not (out / PROVENANCE).is_file():
        return False
    known = read_json(out / PROVENANCE)
    files = known.pop(FILES, {})
    return known == provenance and all((out / name).is_file() for name in files)


@contextmanager
def new_publication(out: Path, provenance: Json) -> Iterator[Path]:
    """Yield an empty folder that replaces `out`, with its provenance, when the block ends without an error."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out} cannot be made ({error.strerror}): name another folder for OUT") from None
    with new_folder(out) as folder:
        yield folder
        write_json(folder / PROVENANCE, {**provenance, FILES: hash_files(folder)})
