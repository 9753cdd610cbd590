"""Write the current revision into dgms/<id>.yaml: a commit, or the sha256 of local files.

python -m commands.pin [id ...]     all of the catalogue when none is named; exit 1 when one could not be pinned
"""

import re
import sys
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, ScalarNode

from stages.lib.checking.models import read_entry_file
from stages.lib.console.errors import UserError
from stages.lib.console.faults import describe, suggest
from stages.lib.console.shell import exit_on_user_error, log_line
from stages.lib.models.catalogue import CATALOGUE, Entry, import_digest, weights_digest
from stages.lib.models.hub import COMMIT, commit_of

SOURCES = ("repository", "path", "import")


def revision_of(entry: Entry) -> str:
    """Return the current pin of an entry's source; empty when there is none (a server, the original replies)."""
    if entry.on_hub:
        repository, kind = entry.on_hub
        return commit_of(repository, entry.revision or "main", kind)
    if entry.path:
        return weights_digest(Path(entry.path))
    return import_digest(Path(entry.import_)) if entry.import_ not in {"", "reference"} else ""


def replace_revision(text: str, revision: str) -> str:
    """Return the text of a catalogue file with another revision; no other byte changes but spaces before a comment."""
    root = YAML(pure=True).compose(text)
    if not isinstance(root, MappingNode) or root.flow_style:
        raise UserError("write one `key: value` a line")
    nodes = {key.value: (key, value) for key, value in root.value if isinstance(key, ScalarNode)}
    if "revision" not in nodes:
        source = next(nodes[name][1] for name in SOURCES if name in nodes)
        return insert_line(text, source.end_mark.index, f"revision: {revision}")
    key, old = nodes["revision"]
    start, end = old.start_mark.index, old.end_mark.index
    if start == end:  # `revision:` without a value: the marks are further on
        start = end = text.index(":", key.end_mark.index) + 1
    space = "" if text[:start].endswith(" ") else " "
    return text[:start] + space + revision + keep_column(text[end:], len(space + revision) - (end - start))


def insert_line(text: str, after: int, line: str) -> str:
    """Insert a line below the one that holds the position `after`."""
    newline = "\r\n" if "\r\n" in text else "\n"
    above, ending, below = text[after:].partition(newline)
    return text[:after] + above + newline + line + (newline if ending or not below else "") + below


def keep_column(after: str, longer: int) -> str:
    """Return the text after a value that became `longer`: a comment stays in its column if there is room."""
    padding = re.match(r" +(?=#)", after)
    if not padding:
        return after
    width = len(padding.group())
    return " " * max(2, width - longer) + after[width:]


def pin(model: str) -> str:
    """Pin one entry in its file, and return what was done."""
    path = CATALOGUE / f"{model}.yaml"
    if not path.exists():
        raise UserError(f"there is no {path}{suggest(model, [file.stem for file in sorted(CATALOGUE.glob('*.yaml'))])}")
    entry = read_entry_file(path)
    if not isinstance(entry, Entry):
        raise UserError(describe(entry))
    if entry.on_hub and re.fullmatch(COMMIT, entry.revision):
        return f"is pinned to {entry.revision}"
    revision = revision_of(entry)
    if revision == entry.revision:
        return f"is pinned to {revision}" if revision else "has nothing to pin"
    path.write_bytes(replace_revision(path.read_bytes().decode(), revision).encode())
    return f"{entry.revision or 'no revision'} -> {revision}"


def main(models: list[str]) -> None:
    """Pin these entries, or all; one that fails does not stop the others."""
    names = models or sorted(path.stem for path in CATALOGUE.glob("*.yaml"))
    failed = 0
    for name in names:
        try:
            log_line(f"{name}: {pin(name)}")
        except UserError as error:
            failed += 1
            log_line(f"{name}: not pinned: {error}")
    if failed:
        raise UserError(f"{failed} of {len(names)} could not be pinned and are as they were; the others are done")


if __name__ == "__main__":
    with exit_on_user_error("pin"):
        main(sys.argv[1:])
