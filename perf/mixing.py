"""Compare the mix stage with HF datasets and duckdb: 366,550 of 1,000,000 conversations of 2 KB from three sources.

python -m perf.mixing [--rows 1000000] [--folder DIR]     the data are written to DIR, or to a temporary folder

Each contender runs in its own process and ends with parquet files: the shares of Tab. 1 of each source, all shuffled.
Ours also reads the verdicts and converts turns to chats; the others start from chats. The line `stage` is the whole
stage: it counts tokens too. Contenders that are not installed are skipped (`pip install duckdb`).
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
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from stages import mix
from stages.lib.core.files import ROWS_SUMMARY, new_folder, read_json, sha256_folder, write_json
from stages.lib.mixing.screening import Screening
from stages.lib.mixing.selection import turns_to_chats
from stages.lib.mixing.sources import open_sources
from stages.lib.mixing.token_lengths import TokenCounter
from stages.lib.mixing.writer import shuffle, write_mix
from stages.lib.models.catalogue import Model, save_model, weights_digest
from stages.lib.records.responses import RESPONSE
from stages.lib.records.shards import write_shard
from stages.lib.records.verdicts import VERDICT

SHARES = {"dgm": 0.7, "mmlu": 0.2, "algebra": 0.1}  # of all rows
TAKE = {"dgm": 0.24675, "mmlu": 0.0998, "algebra": 0.02}  # Tab. 1, of a million
BATCH = 20_000
DEMO_BASE = Path(__file__).parent.parent / "demo/models/demo-base"


def make_text(rng: random.Random) -> str:
    """Generate 8 MB of words, to cut rows from: less random than noise, less regular than a template."""
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(20_000)]
    return " ".join(rng.choices(words, weights=[1 / (rank + 1) for rank in range(len(words))], k=1_500_000))


def make_sources(rows: int) -> None:
    """Write a DGM with verdicts and two auxiliary sets as the stages do, and all of them as chats for the others."""
    rng = random.Random(1)
    text = make_text(rng)
    for source, share in SHARES.items():
        with (
            new_folder(Path("data/responses" if source == "dgm" else "data/auxiliary") / source) as own,
            new_folder(Path("data/verdicts") / source) as verdicts,
            new_folder(Path("chats") / source) as chats,
        ):
            for number, start in enumerate(range(0, round(rows * share), BATCH)):
                table = make_rows(source, start, text, rng)
                chat_table = turns_to_chats(table, np.arange(len(table)), source)
                write_shard(chats, number, chat_table)
                write_shard(own, number, table if source == "dgm" else chat_table)
                write_shard(verdicts, number, make_verdicts(table))
            write_json(own / ROWS_SUMMARY, {"license": "generated", "origin": {}})


def make_rows(source: str, start: int, text: str, rng: random.Random) -> pa.Table:
    """Make BATCH conversations of one or two turns, 2 KB each."""
    rows = []
    for number in range(start, start + BATCH):
        num_turns = 1 + number % 2
        name = f"{rng.getrandbits(128):032x}"
        offsets = [rng.randrange(len(text) - 1000) for _ in range(2 * num_turns)]
        texts = [text[offset : offset + 1000 // num_turns] for offset in offsets]
        turns = [{"user": user, "assistant": reply} for user, reply in zip(texts[::2], texts[1::2], strict=True)]
        rows.append({"conversation_hash": name, "identity": name, "dgm": source, "turns": turns, "status": "ok"})
    return pa.Table.from_pylist(rows, schema=RESPONSE)


def make_verdicts(table: pa.Table) -> pa.Table:
    """Make a verdict for each row that keeps it."""
    names = table["conversation_hash"].to_pylist()
    rows = [{"conversation_hash": name, "identity": name, "keep": True, "language": "English"} for name in names]
    return pa.Table.from_pylist([row | {"toxic": False, "turns": 1} for row in rows], schema=VERDICT)


def take(rows: int) -> dict[str, int]:
    """Return how many rows the mix takes from each source if all sources together have `rows`."""
    return {source: round(rows * share) for source, share in TAKE.items()}


def make_recipe(rows: int) -> dict[str, object]:
    """Make the stage's recipe."""
    sources: dict[str, object] = {}
    for source, count in take(rows).items():
        kind = "dgm" if source == "dgm" else "auxiliary"
        folders = {"responses": "data/responses", "verdicts": "data/verdicts"} if kind == "dgm" else {}
        digests = {name: sha256_folder(Path(folder) / source) for name, folder in folders.items()}
        digests |= {"rows": sha256_folder(Path("data/auxiliary") / source)} if kind == "auxiliary" else {}
        sources[source] = {"kind": kind, "take": {"rows": count}, **digests}
    filters = {"min_turns": 1, "languages": [], "exclude_toxic": False}
    return {"base": "base", "seed": 13, "on_shortage": "error", "sources": sources, "filters": filters}


class NoTokens(TokenCounter):
    """Counts no tokens."""

    def __init__(self) -> None:
        pass

    def count(self, chats: pa.ChunkedArray) -> np.ndarray:
        """Return zeros."""
        return np.zeros(len(chats), np.int64)


def ours(rows: int) -> None:
    """Run the functions of the stage without counting tokens."""
    del rows
    recipe = read_json(Path("recipe.json"))
    counter = NoTokens()
    sources, reference = open_sources(recipe)
    row_indices = {
        name: mix.choose_rows(source, recipe, Screening(recipe), counter) for name, source in sources.items()
    }
    parts = shuffle(sources, row_indices, 13)
    write_mix(Path("data/mixes/ours"), parts, reference, counter)


def stage(rows: int) -> None:
    """Run the whole stage, `python -m stages.mix`."""
    del rows
    location = str(DEMO_BASE)
    commit = weights_digest(DEMO_BASE)
    Path("models/base").mkdir(parents=True, exist_ok=True)
    base = Model(
        id="base", name="base", location=location, kind="local", commit=commit, parameters_billions=0, context_window=9
    )  # fmt: skip
    save_model(Path("models/base"), base)
    write_json(Path("metrics/recipes.json"), {"runs": {"stage": read_json(Path("recipe.json"))}})
    mix.main("stage")


def hf_datasets(rows: int) -> None:
    """Shuffle, select, concatenate, shuffle and write, as its documentation says."""
    from datasets import concatenate_datasets, load_dataset

    parts = []
    for source, count in take(rows).items():
        dataset = load_dataset("parquet", data_files=f"chats/{source}/*.parquet", split="train", cache_dir="cache")
        parts.append(dataset.shuffle(seed=13).select(range(count)))
    concatenate_datasets(parts).shuffle(seed=13).to_parquet("hf.parquet")


def duckdb(rows: int) -> None:
    """Order by a hash of the seed and the name: each source to choose its rows, then all rows."""
    import duckdb as database

    for source, count in take(rows).items():
        chosen = f"FROM 'chats/{source}/*.parquet' ORDER BY md5('13' || conversation_hash) LIMIT {count}"
        database.execute(f"CREATE TABLE {source} AS {chosen}")
    union = " UNION ALL ".join(f"FROM {source}" for source in TAKE)
    shuffled = f"FROM ({union}) ORDER BY md5('13' || source || conversation_hash)"
    database.execute(f"COPY ({shuffled}) TO 'duck.parquet' (FORMAT parquet)")


CONTENDERS: dict[str, Callable[[int], None]] = {
    "ours": ours,
    "stage": stage,
    "datasets": hf_datasets,
    "duckdb": duckdb,
}


def measure(contender: str, rows: int) -> tuple[float, float, float] | None:
    """Run a contender in its own process; return seconds, CPU seconds and peak GiB, or None if it is not installed."""
    command = [sys.executable, "-m", "perf.mixing", "--rows", str(rows), "--folder", ".", "--contender", contender]
    env = {**os.environ, "PYTHONPATH": f"{Path(__file__).parent.parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if "ModuleNotFoundError" in done.stderr:
        return None
    if done.returncode:
        sys.exit(f"{contender}: {done.stderr[-2000:]}")
    seconds, cpu, peak = map(float, done.stdout.splitlines()[-1].split())
    return seconds, cpu, peak


def run_contender(contender: str, rows: int) -> None:
    """Run one contender and print its seconds, CPU seconds and peak GiB."""
    began = time.monotonic()
    CONTENDERS[contender](rows)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20)


def compare(rows: int, contenders: list[str]) -> None:
    """Make the sources if they do not exist, measure every contender and print its share of the first one's time."""
    if not Path("chats").exists():
        make_sources(rows)
    write_json(Path("recipe.json"), make_recipe(rows))
    disk = sum(file.stat().st_size for file in Path("chats").rglob("*.parquet")) / 1e6
    print(f"{sum(take(rows).values())} of {rows} rows, {disk:.0f} MB of parquet, {len(os.sched_getaffinity(0))} cores")
    measured = {contender: measure(contender, rows) for contender in contenders}
    first = measured[contenders[0]]
    for contender, usage in measured.items():
        if usage is None or first is None:
            print(f"{contender:9} is not installed")
            continue
        seconds, cpu, peak = usage
        ratio = f"{seconds / first[0]:5.2f} of {contenders[0]}"
        print(f"{contender:9} {seconds:6.1f} s {cpu:6.1f} s CPU {peak:5.2f} GiB   {ratio}")


def main() -> None:
    """Compare all contenders, or run one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", default="")
    parser.add_argument("--contenders", default=",".join(CONTENDERS))
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    folder = Path(args.folder or tempfile.mkdtemp(prefix="mixing-"))
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    if args.contender:
        run_contender(args.contender, args.rows)
        return
    compare(args.rows, args.contenders.split(","))
    if not args.folder:
        os.chdir("/")
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
