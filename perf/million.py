"""Run the stages that need no GPU on a million conversations, through DVC, and print what each took.

python -m perf.million [conversations.parquet] [--conversations 1000000] [--dgms 1] [--stages mix,gate] [--keep DIR]

The conversations are made: of 2.5 turns on average, of pieces of the texts of a file in WildChat's schema (the demo's,
if none is given), as long as its messages and in its languages. Each DGM is the echo engine, which repeats a message,
so replies are as long as prompts. The project is made in a temporary folder, or in DIR, which is kept; a project that
is there already gets this checkout's stages, which run again on its conversations.
"""

import argparse
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.core.types import Row
from stages.lib.records.shards import chunks
from tests.support.project import BIN, ROOT, Project, make_project

TURNS = {1: 40, 2: 20, 3: 14, 4: 14, 6: 12}  # 2.5 on average
MAX_CHARS = 8_000  # of a message
PIECE_CHARS = (40, 120)  # of the file's texts, of which messages are made: no two messages are alike
SOURCE = pa.schema([
    ("conversation_hash", pa.string()),
    ("conversation", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
    ("language", pa.string()),
    ("toxic", pa.bool_()),
])  # fmt: skip
OUTS = {  # stages in their order, and what they write
    "prompts": ("data/prompts",),
    "generate": ("data/responses", "data/ledger"),
    "validate": ("data/verdicts",),
    "gate": ("metrics/gate", "metrics/digests/dgms"),
    "recipes": ("metrics/recipes.json",),
    "mix": ("data/mixes", "data/manifests"),
}
BEFORE = "check inputs auxiliary digest_auxiliary resolve resolve_base benchmarks".split()
SAMPLE_SECONDS = 0.1


@dataclass
class Texts:
    """The texts of one language and role, end to end, and the lengths of their messages."""

    text: str
    lengths: list[int]

    def draw(self, rng: random.Random) -> str:
        """Make a message as long as one of them, of pieces from anywhere."""
        length, pieces, num_chars = rng.choice(self.lengths), list[str](), 0
        while num_chars < length:
            start = rng.randrange(len(self.text))
            pieces.append(self.text[start : start + min(rng.randint(*PIECE_CHARS), length - num_chars)])
            num_chars += len(pieces[-1])
        return "".join(pieces).strip() or "?"


def read_texts(path: Path) -> tuple[list[str], dict[tuple[str, str], Texts]]:
    """Read the language of every conversation of a file, and its texts by language and role."""
    rows = pq.read_table(path, columns=["language", "conversation"]).to_pylist()
    messages: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for message in row["conversation"]:
            messages.setdefault((row["language"], message["role"]), []).append(message["content"] or "")
    return [row["language"] for row in rows], {key: join_texts(texts) for key, texts in messages.items()}


def join_texts(texts: list[str]) -> Texts:
    """Join texts to one."""
    return Texts("\n".join(texts) or "?", [min(max(len(text), 1), MAX_CHARS) for text in texts])


def make_conversations(path: Path) -> Iterator[Row]:
    """Make rows of SOURCE without end, always the same ones."""
    rng = random.Random(1)
    languages, texts = read_texts(path)
    number = 0
    while True:
        language = rng.choice(languages)
        messages = [
            {"role": role, "content": texts[language, role].draw(rng)}
            for _ in range(rng.choices(list(TURNS), list(TURNS.values()))[0])
            for role in ("user", "assistant")
        ]
        name = blake2b(str(number).encode(), digest_size=16).hexdigest()
        yield {"conversation_hash": name, "conversation": messages, "language": language, "toxic": False}
        number += 1


def write_source(path: Path, like: Path, conversations: int) -> None:
    """Write that many conversations, a thousand in memory at a time."""
    with pq.ParquetWriter(path, SOURCE, compression="zstd") as writer:
        for rows in chunks(islice(make_conversations(like), conversations), 1_000):
            writer.write_table(pa.Table.from_pylist(rows, schema=SOURCE))


def build(folder: Path, like: Path, conversations: int, num_dgms: int) -> Project:
    """Make a project whose prompts are these conversations, with a mix of all that its DGMs reply."""
    dgms = [f"dgm-{number:02d}" for number in range(num_dgms)]
    project = make_project(folder, models=[*dgms, "base"])
    write_source(folder / "demo/prompts.parquet", like, conversations)
    for dgm in dgms:
        project.edit(f"dgms/{dgm}.yaml", "context_window: 2000", "context_window: 1000000")  # of an echo: bytes
    params = project.params()
    params["prompts"] |= {"max_prompts": conversations, "max_turns": max(TURNS)}
    params["dgms"] = dgms
    params["generate"] |= {"max_tokens": 100_000}
    params["gate"] |= {"max_dropped_share": 1.0}
    run = {"base": "base", "dgms": dict.fromkeys(dgms, 1.0), "auxiliary": {"knowledge": 3}}
    params["mix"] |= {"size": conversations, "on_shortage": "cap", "runs": {"all": run}}
    params["compare"] = ["base", "all"]
    project.write_params(params)
    project.commit()
    return project


def renew(folder: Path) -> Project:
    """Give a project that was kept the stages of this checkout."""
    mix = (folder / "stages/mix.py").read_text(encoding="utf-8").partition('if __name__ == "__main__":')[1:]
    for name in ("stages", "commands"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    head = (ROOT / "stages/mix.py").read_text(encoding="utf-8").partition('if __name__ == "__main__":')[0]
    (folder / "stages/mix.py").write_text(head + "".join(mix), encoding="utf-8")
    return Project(folder)


@dataclass
class Usage:
    """What a command of DVC used: by the clock, by all cores, and the peak memory of what it started."""

    seconds: float
    cpu: float  # of the stages
    cpu_of_dvc: float
    peak: float  # MiB, of all processes of a stage together


def measure(project: Project, *words: str) -> Usage:
    """Run a command of DVC in a project and watch the processes that it starts."""
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "REWILD_TRAIN_ENV": "", "DVC_NO_ANALYTICS": "1"}
    before, began = cpu_of_children(), time.monotonic()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        command = subprocess.Popen(["dvc", *words], cwd=project.root, env=environment, stdout=log, stderr=log)  # noqa: S607
        cpu, peak = dict[int, float](), 0.0
        while command.poll() is None:
            trees = {child.pid: tree_usage(child) for child in children_of(command.pid)}
            cpu |= {pid: seconds for pid, (seconds, _) in trees.items() if seconds}
            peak = max(peak, sum(memory for _, memory in trees.values()))
            time.sleep(SAMPLE_SECONDS)
        if command.returncode:
            log.seek(0)
            sys.exit(f"dvc {' '.join(words)}: {log.read()[-3000:]}")
    in_stages = sum(cpu.values())
    return Usage(time.monotonic() - began, in_stages, cpu_of_children() - before - in_stages, peak)


def children_of(pid: int) -> list[psutil.Process]:
    """List the processes that one has started; none if it has ended."""
    try:
        return list(psutil.Process(pid).children())
    except psutil.NoSuchProcess:
        return []


def tree_usage(root: psutil.Process) -> tuple[float, float]:
    """Return the CPU seconds of a process and all below it, also of those that ended, and the memory in MiB of all."""
    seconds = memory = 0.0
    try:
        for process in [root, *root.children(recursive=True)]:
            seconds += sum(process.cpu_times()[:4])
            memory += process.memory_info().rss / 2**20
    except psutil.NoSuchProcess:
        return 0.0, 0.0
    return seconds, memory


def cpu_of_children() -> float:
    """Return the time that cores worked for the processes that this one started and that ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def weigh(project: Project, outs: tuple[str, ...]) -> tuple[int, float]:
    """Count the files of outs, and their MB."""
    paths = [project.root / out for out in outs]
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
    return len(files), sum(file.stat().st_size for file in files) / 1e6


HEAD = "| | seconds | CPU s of the stage | of DVC | conversations per CPU s | peak MiB | files | MB |"


def print_row(name: str, usage: Usage, rows: int, files: int, megabytes: float) -> None:
    """Print one row of the table."""
    rate = f"{rows / usage.cpu:,.0f}" if usage.cpu and rows else ""
    cells = [name, f"{usage.seconds:.1f}", f"{usage.cpu:.1f}", f"{usage.cpu_of_dvc:.1f}", rate]
    print("|", " | ".join([*cells, f"{usage.peak:.0f}", f"{files:,}", f"{megabytes:,.1f}"]), "|", flush=True)


def run_all(project: Project, conversations: int, num_dgms: int, stages: list[str]) -> None:
    """Run the stages and print a table; then what DVC takes when nothing is to do, and to push everything."""
    measure(project, "repro", "--single-item", *BEFORE)
    print(f"{HEAD}\n|{'---|' * 8}", flush=True)
    for stage in stages:
        usage = measure(project, "repro", "--single-item", "--force", stage)
        print_row(stage, usage, conversations * (1 if stage == "prompts" else num_dgms), *weigh(project, OUTS[stage]))
    if stages != list(OUTS):
        return
    print_row("nothing to do", measure(project, "repro", "gate", "mix"), 0, 0, 0)
    remote = project.root.with_name(f"{project.root.name}.remote")
    project.run("dvc", "remote", "add", "--force", "--default", "pushed", str(remote))
    usage = measure(project, "push", "prompts", "generate", "validate", "mix")
    print_row("push", usage, 0, *weigh(project, (str(remote),)))
    shutil.rmtree(remote)


def main() -> None:
    """Make a project, run its stages, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("like", nargs="?", type=Path, default=ROOT / "demo/prompts.parquet")
    parser.add_argument("--conversations", type=int, default=1_000_000)
    parser.add_argument("--dgms", type=int, default=1)
    parser.add_argument("--stages", default=",".join(OUTS))
    parser.add_argument("--keep", type=Path, metavar="DIR")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="million-") as scratch:
        folder = (args.keep or Path(scratch) / "project").resolve()
        began = time.monotonic()
        is_new = not folder.exists()
        project = build(folder, args.like, args.conversations, args.dgms) if is_new else renew(folder)
        rows = pq.read_metadata(folder / "demo/prompts.parquet").num_rows
        source = (folder / "demo/prompts.parquet").stat().st_size / 1e6
        made = f"made in {time.monotonic() - began:.0f} s" if is_new else "made before"
        print(f"{rows:,} conversations, {source:,.0f} MB, {made}")
        run_all(project, rows, len(project.params()["dgms"]), args.stages.split(","))


if __name__ == "__main__":
    main()
