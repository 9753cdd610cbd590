"""Secrets that are planted in the environment of everything, and a search for them in all that was written."""

import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

MARK = "-".join(["PLANTED", "4711"])  # in parts: this file is in no clone, but its bytecode may be
NAMES = (
    *("REWILD_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "HF_TOKEN", "WANDB_API_KEY", "RAY_AUTH_TOKEN"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
)
PLANTED = {name: f"{name.lower()}-{MARK}" for name in NAMES}
ADDRESSES = {
    "http_proxy": f"http://user:{MARK}@127.0.0.1:9",
    "UV_INDEX_URL": f"https://user:{MARK}@127.0.0.1:9/simple",
    "PIP_INDEX_URL": f"https://user:{MARK}@127.0.0.1:9/simple",
    "no_proxy": "127.0.0.1,localhost",
}


def read_plain(path: Path) -> bytes:
    """The bytes of a file; of a parquet file its values, of an object of git its content."""
    content = path.read_bytes()
    if content[:4] == b"PAR1":
        try:
            return str(pq.read_table(path).to_pylist()).encode() + str(pq.read_schema(path).metadata).encode()
        except pa.ArrowException:
            return content
    if path.parent.parent.name == "objects" and len(path.parent.name) == 2:
        return zlib.decompress(content)
    return content


def files_with_secrets(root: Path, *allowed: str) -> Iterator[str]:
    """The files below a folder that hold a planted secret, but for those where the test has put one."""
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_file() and not path.is_symlink() and name not in allowed and MARK.encode() in read_plain(path):
            yield name


def lines_with_secrets(output: str) -> list[str]:
    return [line for line in output.splitlines() if MARK in line]
