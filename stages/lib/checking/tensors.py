"""What a safetensors file says of itself. `make doctor` reads it without an environment, so imports are Python's."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

LENGTH = struct.Struct("<Q")  # of the header, at the beginning of a safetensors file
MOST_HEADER = 100_000_000  # bytes, as safetensors itself
LFS = b"version https://git-lfs"
LFS_PROBLEM = "is a pointer of Git LFS, not the file: run `git lfs pull` there"
COPY_AGAIN = "copy it again"


def read_header(path: Path) -> dict[str, Any] | str:
    """Read what a safetensors file says of its tensors; or return why the file is torn or none."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(max(LENGTH.size, len(LFS)))
            length = LENGTH.unpack(start[: LENGTH.size])[0] if len(start) >= LENGTH.size else 0
            file.seek(LENGTH.size)
            text = file.read(length) if length <= min(size, MOST_HEADER) else b""
    except OSError as error:
        return f"cannot be read ({error.strerror}): {COPY_AGAIN}"
    if start.startswith(LFS):
        return LFS_PROBLEM
    if size < LENGTH.size or not length or len(text) < length:
        return f"is torn or not a safetensors file: its header would end after the file's {size:,} bytes; {COPY_AGAIN}"
    try:
        header = json.loads(text)
        end = max((tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"), default=0)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        return f"is torn or not a safetensors file: its header does not describe tensors; {COPY_AGAIN}"
    expected = LENGTH.size + length + end
    if size != expected:
        return f"is torn: it has {size:,} of {expected:,} bytes; {COPY_AGAIN}"
    return header  # type: ignore[no-any-return]
