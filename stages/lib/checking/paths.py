"""Paths that a user names: what to say of one that is not there."""

from pathlib import Path

from stages.lib.console.faults import nearest


def missing_path(path: Path) -> str:
    """Say that a path is not there, where it ends to be, and which one was likely meant."""
    parent = path.parent
    if not parent.is_dir():
        there = next(folder for folder in (*parent.parents, Path(path.anchor or ".")) if folder.is_dir())
        first = path.relative_to(there).parts[0]
        near = nearest(first, [each.name for each in there.iterdir()])
        rest = path.relative_to(there / first)
        hint = there / near / rest if near and (there / near / rest).exists() else ""
        return f"{path} is not there" + (f"; did you mean {hint}?" if hint else f": there is no folder {there / first}")
    near = nearest(path.name, [each.name for each in parent.iterdir() if not each.name.startswith(".")])
    return f"{path} is not there" + (f"; did you mean {parent / near}?" if near else "")
