"""Measure seconds and peak memory of `prompts` and of `validate`, on 100,000 and 300,000 conversations.

python -m perf.reading conversations.parquet [rows ...]

The rows are those of a file in WildChat's schema, again and again under new hashes; the replies are their own. The peak
is that of the stage's own process; the processes that check conversations for `validate` add about 120 MiB each.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from ruamel.yaml import YAML

from stages.lib.core.types import Row
from stages.lib.generation.imports import reference_conversation
from stages.lib.models.catalogue import Model, save_model
from stages.lib.records.responses import RESPONSE
from stages.lib.records.shards import chunks, read_rows, write_rows

ROOT = Path(__file__).parent.parent
ROWS = (100_000, 300_000)
PROGRAM = "import sys; from stages.{} import main; main(*sys.argv[1:]); print(open('/proc/self/status').read())"
PEER = Model(
    id="peer", name="peer", location="reference", kind="import", commit="x", parameters_billions=0, context_window=0
)


def repeat(table: pa.Table) -> Iterator[pa.Table]:
    """Yield a table again and again, each time under new hashes."""
    column = table.column_names.index("conversation_hash")
    names = table["conversation_hash"].to_pylist()
    for copy in range(sys.maxsize):
        hashes = [
            blake2b(f"{copy} {number} {name}".encode(), digest_size=16).hexdigest() for number, name in enumerate(names)
        ]
        yield table.set_column(column, "conversation_hash", pa.array(hashes))


def write_source(folder: Path, path: str, num_rows: int) -> None:
    """Write that many rows, and params that read them all."""
    table = pq.read_table(path)
    with pq.ParquetWriter(folder / "source.parquet", table.schema, compression="zstd") as writer:
        for part in islice(repeat(table), -(-num_rows // table.num_rows)):
            writer.write_table(part.slice(0, num_rows))
            num_rows -= len(part)
    yaml = YAML()
    params = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["prompts"] |= {"source": "source.parquet", "max_prompts": 10**9, "max_turns": 10**6}
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(params, file)


def write_responses(folder: Path) -> None:
    """Write the prompts' own replies as the responses of an imported DGM."""
    (folder / "data/responses/peer").mkdir(parents=True)
    (folder / "models/peer").mkdir(parents=True)
    save_model(folder / "models/peer", PEER)
    rows = (to_response(prompt) for prompt in read_rows(folder / "data/prompts"))
    for number, shard in enumerate(chunks(rows)):
        write_rows(folder / "data/responses/peer", number, shard, RESPONSE)


def to_response(prompt: Row) -> Row:
    """Make a row of RESPONSE."""
    conversation, name = reference_conversation(prompt), prompt["conversation_hash"]
    row = {"identity": name, "conversation_hash": name, "dgm": "peer", "turns": conversation.turns}
    return row | {"status": conversation.status, "history": "reference", "seed": 1, "engine": "import"}


def measure(folder: Path, stage: str, *arguments: str) -> str:
    """Run a stage in a process of its own; return its seconds, by the clock and of all cores, and its peak, VmHWM."""
    command = [sys.executable, "-c", PROGRAM.format(stage), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    quiet = subprocess.DEVNULL
    before, began = cpu_seconds(), time.monotonic()
    done = subprocess.run(command, cwd=folder, env=environment, check=True, stdout=-1, stderr=quiet, text=True)
    seconds, peak = time.monotonic() - began, int(done.stdout.partition("VmHWM:")[2].split()[0]) / 1024
    return f"{stage} {seconds:.0f} s ({cpu_seconds() - before:.0f} s of all cores), {peak:.0f} MiB"


def cpu_seconds() -> float:
    """Return the time that cores worked for the processes that this one started and that ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main(path: str, *rows: str) -> None:
    """Measure both stages on each number of rows."""
    for num_rows in map(int, rows or map(str, ROWS)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_source(folder, path, num_rows)
            print(f"{num_rows} rows: {measure(folder, 'prompts')}", end="; ", flush=True)
            write_responses(folder)
            print(measure(folder, "validate", "peer"), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
