"""Measure conversations per second of one core and peak memory of `validate`, on existing replies, 1, 4 and 8 times.

python -m perf.validation replies.parquet [column]

The peak is that of the stage's own process; the processes that check conversations for it add about 120 MiB each.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.generation.imports import to_imported_turn
from stages.lib.models.catalogue import Model, save_model
from stages.lib.records.prompts import PROMPT
from stages.lib.records.responses import RESPONSE
from stages.lib.records.shards import write_table

ROOT = Path(__file__).parent.parent
# A message that is long enough for its language to be detected; it goes on with the first characters of the reply, so
# that the reply is on its topic.
USER = "Please tell me in a few clear sentences what you know about this, and why it matters: "
TOPIC_CHARS = 100
PROGRAM = "from stages.validate import main; main('peer'); print(open('/proc/self/status').read())"


def write(folder: Path, replies: list[str]) -> int:
    """Write replies as the responses of an imported DGM, with prompts; return their bytes on disk."""
    names = [f"{number:032x}" for number in range(len(replies))]
    shutil.copy(ROOT / "params.yaml", folder)
    prompts = [make_prompt(name, reply) for name, reply in zip(names, replies, strict=True)]
    responses = [make_response(name, reply) for name, reply in zip(names, replies, strict=True)]
    for path, table in (
        (folder / "data/prompts", pa.Table.from_pylist(prompts, schema=PROMPT)),
        (folder / "data/responses/peer", pa.Table.from_pylist(responses, schema=RESPONSE)),
    ):
        path.mkdir(parents=True)
        write_table(path, table)
    (folder / "models/peer").mkdir(parents=True)
    peer = Model(
        id="peer", name="peer", location="reference", kind="import", commit="x", parameters_billions=0, context_window=0
    )
    save_model(folder / "models/peer", peer)
    return sum(file.stat().st_size for file in (folder / "data/responses/peer").glob("*.parquet"))


def make_prompt(name: str, reply: str) -> dict[str, object]:
    """Make a row of PROMPT."""
    turns = [{"user": USER + reply[:TOPIC_CHARS], "reference": ""}]
    return {"conversation_hash": name, "source": "s", "language": "English", "toxic": False, "turns": turns}


def make_response(name: str, reply: str) -> dict[str, object]:
    """Make a row of RESPONSE."""
    turns = [to_imported_turn(USER + reply[:TOPIC_CHARS], reply)]
    row = {"identity": name, "conversation_hash": name, "dgm": "peer", "turns": turns}
    return row | {"status": "ok", "history": "own", "seed": 1, "engine": "import"}


def measure(replies: list[str]) -> str:
    """Validate replies in a process of its own; return its figures in one line.

    The peak is the kernel's VmHWM of that process: `ru_maxrss` of a child includes what its parent held at the fork.
    """
    with tempfile.TemporaryDirectory() as name:
        size = write(Path(name), replies)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], cwd=name, env=os.environ | {"PYTHONPATH": str(ROOT)},
            check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        wall = time.monotonic() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak = int(done.stdout.partition("VmHWM:")[2].split()[0]) / 1024
    return (
        f"{len(replies)} conversations, {size / 1e6:.1f} MB: {len(replies) / cpu:.0f} a second of one core "
        f"({wall:.1f} s with the start), peak {peak:.0f} MiB"
    )


def main(path: str, column: str = "response") -> None:
    """Measure the replies once, four times and eight times."""
    replies = [reply or "" for reply in pq.read_table(path, columns=[column])[column].to_pylist()]
    for times in (1, 4, 8):
        print(measure(replies * times), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
