"""Rows of JSON lines and JSON arrays, plain or compressed. A row that is no object is counted, the others are kept."""

import io
import json
import math
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from stages.lib.console.errors import UserError
from stages.lib.core.types import Row
from stages.lib.readers.files import compression_of, suffix_of
from stages.lib.readers.reasons import Reason, UnreadableRows

BOM = b"\xef\xbb\xbf"
CHUNK = 1 << 20
MAX_ROW_BYTES = 1 << 28
_TOKEN = re.compile(rb'\\.|["\[\]{},\\]|[^"\[\]{},\\]+', re.DOTALL)
_OPENING, _CLOSING = (b"[", b"{"), (b"]", b"}")
_ENDS = ((1, b","), (0, b"]"))  # of an element: the depth after a token, and the token
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class _OutOfRangeError(ValueError):
    """A number that a float cannot hold."""


class _DuplicateNamesError(ValueError):
    """An object that has a key twice."""


def _to_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _OutOfRangeError
    return number


def _to_object(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) != len(pairs):
        raise _DuplicateNamesError
    return row


# Python writes NaN for a missing number: it is one here too, and what reads the column decides.
_DECODER = json.JSONDecoder(parse_float=_to_float, parse_constant=_to_float, object_pairs_hook=_to_object)


def parse_json(text: str) -> Any:
    """Parse JSON; return the Reason if it is none, or holds what cannot be had exactly."""
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError:
        return Reason("not_json")
    except RecursionError:
        return Reason("nested_too_deep")
    except _DuplicateNamesError:
        return Reason("duplicate_names")
    except ValueError:  # a float out of range, or more digits than Python reads
        return Reason("number_out_of_range")


def parse_row(line: bytes) -> Row | Reason:
    """Parse a line or an element of an array as a row."""
    line = line.removeprefix(BOM)  # also in the midst of a file: of several that were joined
    if not line.strip():
        return Reason("blank_line")
    try:
        row = parse_json(line.decode())
    except UnicodeDecodeError:
        return Reason("not_utf8")
    if isinstance(row, dict) and _ESCAPED_SURROGATE.search(line) and has_lone_surrogate(row):
        return Reason("lone_surrogate")
    return row if isinstance(row, dict | Reason) else Reason("not_an_object")


def has_lone_surrogate(row: Row) -> bool:
    """Whether a text of a row cannot be written as UTF-8."""
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def read_json_rows(file: Path, unreadable: UnreadableRows) -> Iterator[tuple[int, Row]]:
    """Yield the rows of a file with their numbers from 1, of JSON lines those of the lines; count the unreadable."""
    with open_bytes(file) as stream:
        for number, line in enumerate(split_rows(stream, file), 1):
            row = parse_row(line)
            if isinstance(row, Reason):
                unreadable.add(row, file, number)
            else:
                yield number, row


@contextmanager
def open_bytes(file: Path) -> Iterator[io.BufferedReader]:
    """Open a file, decompressed; raise UserError for a stream that is broken."""
    try:
        stream = pa.input_stream(str(file), compression=compression_of(file))
        with closing(io.BufferedReader(stream, CHUNK)) as reader:
            yield reader
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{file} cannot be read: {str(error).splitlines()[0]}") from None


def split_rows(stream: io.BufferedReader, file: Path) -> Iterator[bytes]:
    """Split a stream at line ends, or a .json file that begins with `[` at the commas of this array."""
    start = stream.peek(CHUNK).removeprefix(BOM)
    if stream.peek(CHUNK).startswith(BOM):
        stream.read(len(BOM))
    if suffix_of(file) == ".json" and start.lstrip().startswith(b"["):
        yield from split_array(stream, file)
        return
    while line := stream.readline(MAX_ROW_BYTES):
        if len(line) == MAX_ROW_BYTES:
            raise UserError(f"{file}: a line is longer than {MAX_ROW_BYTES >> 20} MB")
        yield line


def split_array(stream: io.BufferedReader, file: Path) -> Iterator[bytes]:
    """Yield the elements of a JSON array as they stand; of an array without an end, also the last one."""
    element = bytearray()
    depth, in_string, is_open, num_elements = 0, False, False, 0
    for token in _tokens(stream):
        if not depth and is_open and token.strip():
            raise UserError(f"{file}: there is text after the end of the array")
        in_string ^= token == b'"'
        depth += 0 if in_string else (token in _OPENING) - (token in _CLOSING)
        if is_open and not in_string and (depth, token) in _ENDS:
            if num_elements or depth or element.strip():
                yield bytes(element)
            num_elements += 1
            element.clear()
        elif is_open and depth:
            element += token
        is_open = is_open or depth > 0
        if len(element) > MAX_ROW_BYTES:
            raise UserError(f"{file}: an element of the array is longer than {MAX_ROW_BYTES >> 20} MB")
    if depth:
        yield bytes(element)


def _tokens(stream: io.BufferedReader) -> Iterator[bytes]:
    """Yield quotes, brackets and commas, each with the bytes between them; never the half of an escape."""
    rest = b""
    while chunk := stream.read(CHUNK):
        chunk = rest + chunk
        backslashes = len(chunk) - len(chunk.rstrip(b"\\"))
        rest = b"\\" if backslashes % 2 else b""
        yield from _TOKEN.findall(chunk, 0, len(chunk) - len(rest))
    if rest:
        yield rest
