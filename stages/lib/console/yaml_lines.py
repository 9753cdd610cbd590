"""In which line of a YAML file a key stands, and what is wrong with a text that is not valid YAML."""

import re
from collections.abc import Iterator

from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Key = tuple[str | int, ...]  # of a value in a file: names of mappings, and numbers of lists from 0
UNEXPECTED = "cannot be read from here on"
HINTS = (  # what ruamel says -> what to do
    (
        r"mapping values are not allowed",
        "a value has a colon (put it in quotes), or the line before has no blank after its colon",
    ),
    (r"expected ',' or '\]'", "a comma or the closing ] is missing"),
    (r"expected ',' or '\}'", "a comma or the closing } is missing"),
    (r"quoted scalar", "a quote is not closed"),
    (r"expected <block end>|could not find expected ':'", "the indentation or a colon is wrong, here or a line before"),
    (r"character '[@`%]' that cannot start", "put the value in quotes"),
    (r"undefined alias", "a value cannot begin with *: put it in quotes"),
    (r"special characters are not allowed", "it holds a control character: type the line again"),
)


def find_lines(text: str) -> dict[Key, int]:
    """Return the line, from 1, of every key and list item of a YAML text; nothing of a text that is not valid."""
    return {key: line for key, line, is_first in _walk(_compose(text), ()) if is_first}


def find_syntax_faults(text: str) -> list[tuple[Key, int, str]]:
    """Return what is wrong with a text as YAML, each with its key and line: duplicate keys, or the first error."""
    try:
        root = _compose(text, strict=True)
    except YAMLError as error:
        return [explain_error(error, text)]
    first, faults = dict[Key, int](), []
    for key, line, is_first in _walk(root, ()):
        if is_first:
            first[key] = line
        else:
            faults.append((key, line, f"stands here again, first in line {first[key]}: leave one out"))
    return faults


def _compose(text: str, *, strict: bool = False) -> Node | None:
    try:
        return YAML(pure=True).compose(text)
    except YAMLError:
        if strict:
            raise
        return None


def _walk(node: Node | None, key: Key) -> Iterator[tuple[Key, int, bool]]:
    """Yield keys with their lines, and whether a key stands there for the first time; not what is below a second."""
    if isinstance(node, MappingNode):
        seen = set[Key]()
        for name, value in node.value:
            here = (*key, name.value if isinstance(name, ScalarNode) else "?")
            yield here, name.start_mark.line + 1, here not in seen
            if here not in seen:
                yield from _walk(value, here)
            seen.add(here)
    elif isinstance(node, SequenceNode):
        for number, value in enumerate(node.value):
            yield (*key, number), value.start_mark.line + 1, True
            yield from _walk(value, (*key, number))


def explain_error(error: Exception, text: str) -> tuple[Key, int, str]:
    """Return the line of an error, and what to do about it."""
    if not isinstance(error, YAMLError):
        return (), 0, f"holds a date or time that is not valid ({error}): correct it, or put it in quotes"
    message = " ".join(str(getattr(error, name, None) or "") for name in ("context", "problem")) or str(error)
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    lines = text.splitlines() or [""]
    number = min(mark.line if mark else 0, len(lines) - 1)
    if r"'\t'" in message or re.match(r" *\t", lines[number]):
        return (), number + 1, "a tab stands here: YAML is indented with spaces"
    hint = next((hint for pattern, hint in HINTS if re.search(pattern, message)), "")
    start = getattr(error, "context_mark", None)
    if hint.endswith(("is missing", "not closed")) and start:
        return (), start.line + 1, hint
    return (), number + 1, f"{UNEXPECTED}: {hint or ' '.join(message.split())}"
