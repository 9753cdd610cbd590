"""366,550 of 1,000,000 conversations of 2 KB from three sources: this project's mix beside HF datasets and duckdb.

python -m perf.mixing [--rows 1000000] [--folder DIR]     the data are made in DIR, or in a temporary folder

Each way runs in a process of its own and ends with parquet files: as many rows of every source as Tab. 1 takes, all
shuffled. Ours also reads the verdicts, makes chats of turns and names its choice; the others are given chats. The line
`stage` is the whole stage: it counts tokens too. Peers that are not installed are left out (`pip install duckdb`).
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
from stages.lib.core.files import SUMMARY, new_folder, read_json, sha256_folder, write_json
from stages.lib.mixing.screening import Screening
from stages.lib.mixing.selection import to_chats
from stages.lib.mixing.token_lengths import Lengths
from stages.lib.models.catalogue import Model, save_model, weights_digest
from stages.lib.records.responses import RESPONSE
from stages.lib.records.shards import write_shard
from stages.lib.records.verdicts import VERDICT

SHARES = {"dgm": 0.7, "mmlu": 0.2, "algebra": 0.1}  # of all rows
TAKE = {"dgm": 0.24675, "mmlu": 0.0998, "algebra": 0.02}  # Tab. 1, of a million
BATCH = 20_000
DEMO_BASE = Path(__file__).parent.parent / "demo/models/demo-base"


def make_text(rng: random.Random) -> str:
    """8 MB of words, of which a row is a piece: not as random as noise, not as regular as a template."""
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(20_000)]
    return " ".join(rng.choices(words, weights=[1 / (rank + 1) for rank in range(len(words))], k=1_500_000))


def make_sources(rows: int) -> None:
    """Write a DGM with verdicts and two auxiliary sets as the stages do, and all of them as chats for the peers."""
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
                write_shard(chats, number, to_chats(table, np.arange(len(table)), source))
                write_shard(own, number, table if source == "dgm" else to_chats(table, np.arange(len(table)), source))
                write_shard(verdicts, number, make_verdicts(table))
            write_json(own / SUMMARY, {"license": "made up", "origin": {}})


def make_rows(source: str, start: int, text: str, rng: random.Random) -> pa.Table:
    """Conversations of one or two turns, 2 KB each."""
    rows = []
    for number in range(start, start + BATCH):
        turns, name = 1 + number % 2, f"{rng.getrandbits(128):032x}"
        pieces = [rng.randrange(len(text) - 1000) for _ in range(2 * turns)]
        texts = [text[place : place + 1000 // turns] for place in pieces]
        told = [{"user": texts[2 * turn], "assistant": texts[2 * turn + 1]} for turn in range(turns)]
        rows.append({"conversation_hash": name, "identity": name, "dgm": source, "turns": told, "status": "ok"})
    return pa.Table.from_pylist(rows, schema=RESPONSE)


def make_verdicts(table: pa.Table) -> pa.Table:
    """All are kept."""
    names = table["conversation_hash"].to_pylist()
    rows = [{"conversation_hash": name, "identity": name, "keep": True, "language": "English"} for name in names]
    return pa.Table.from_pylist([row | {"toxic": False, "turns": 1} for row in rows], schema=VERDICT)


def take(rows: int) -> dict[str, int]:
    """How many rows of each source a mix of so many takes."""
    return {source: round(rows * share) for source, share in TAKE.items()}


def make_recipe(rows: int) -> dict[str, object]:
    """The recipe of the stage."""
    sources: dict[str, object] = {}
    for source, count in take(rows).items():
        kind = "dgm" if source == "dgm" else "auxiliary"
        folders = {"responses": "data/responses", "verdicts": "data/verdicts"} if kind == "dgm" else {}
        digests = {name: sha256_folder(Path(folder) / source) for name, folder in folders.items()}
        digests |= {"rows": sha256_folder(Path("data/auxiliary") / source)} if kind == "auxiliary" else {}
        sources[source] = {"kind": kind, "take": {"rows": count}, **digests}
    filters = {"min_turns": 1, "languages": [], "exclude_toxic": False}
    return {"base": "base", "seed": 13, "on_shortage": "error", "sources": sources, "filters": filters}


class NoLengths(Lengths):
    """Counts nothing."""

    def __init__(self) -> None:
        pass

    def of_chats(self, chats: pa.ChunkedArray) -> np.ndarray:
        """Zeros."""
        return np.zeros(len(chats), np.int64)


def ours(rows: int) -> None:
    """The stage's own functions, without the tokens."""
    del rows
    recipe = read_json(Path("recipe.json"))
    sources, reference = mix.open_sources(recipe)
    places = {name: mix.choose(source, recipe, Screening(recipe), NoLengths()) for name, source in sources.items()}
    chosen = mix.arrange(sources, places, 13)
    mix.write_mix(Path("data/mixes/ours"), chosen, reference, NoLengths())


def stage(rows: int) -> None:
    """`python -m stages.mix`, whole."""
    del rows
    location, commit = str(DEMO_BASE), weights_digest(DEMO_BASE)
    Path("models/base").mkdir(parents=True, exist_ok=True)
    base = Model(
        id="base", name="base", location=location, kind="local", commit=commit, parameters_billions=0, context_window=9
    )  # fmt: skip
    save_model(Path("models/base"), base)
    write_json(Path("metrics/recipes.json"), {"runs": {"stage": read_json(Path("recipe.json"))}})
    mix.main("stage")


def hf_datasets(rows: int) -> None:
    """Shuffle, select, concatenate, shuffle, write: as its documentation says."""
    from datasets import concatenate_datasets, load_dataset

    parts = []
    for source, count in take(rows).items():
        found = load_dataset("parquet", data_files=f"chats/{source}/*.parquet", split="train", cache_dir="cache")
        parts.append(found.shuffle(seed=13).select(range(count)))
    concatenate_datasets(parts).shuffle(seed=13).to_parquet("hf.parquet")


def duckdb(rows: int) -> None:
    """Order by a hash of the seed and the name, twice."""
    import duckdb as database

    for source, count in take(rows).items():
        database.sql(f"FROM 'chats/{source}/*.parquet' ORDER BY md5('13' || conversation_hash) LIMIT {count}").create(
            source
        )
    union = " UNION ALL ".join(f"FROM {source}" for source in TAKE)
    database.sql(f"FROM ({union}) ORDER BY md5('13' || source || conversation_hash)").write_parquet("duck.parquet")


WAYS: dict[str, Callable[[int], None]] = {"ours": ours, "stage": stage, "datasets": hf_datasets, "duckdb": duckdb}


def measure(way: str, rows: int) -> tuple[float, float, float] | None:
    """Seconds, seconds of CPU and GiB at the peak of one way in a process of its own; None if it is not installed."""
    command = [sys.executable, "-m", "perf.mixing", "--rows", str(rows), "--folder", ".", "--way", way]
    env = {**os.environ, "PYTHONPATH": f"{Path(__file__).parent.parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if "ModuleNotFoundError" in done.stderr:
        return None
    if done.returncode:
        sys.exit(f"{way}: {done.stderr[-2000:]}")
    seconds, cpu, peak = map(float, done.stdout.splitlines()[-1].split())
    return seconds, cpu, peak


def run_way(way: str, rows: int) -> None:
    """Run one way and print what it took."""
    began = time.monotonic()
    WAYS[way](rows)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20)


def compare(rows: int, ways: list[str]) -> None:
    """Make the sources if they are not there, and measure every way."""
    if not Path("chats").exists():
        make_sources(rows)
    write_json(Path("recipe.json"), make_recipe(rows))
    disk = sum(file.stat().st_size for file in Path("chats").rglob("*.parquet")) / 1e6
    print(f"{sum(take(rows).values())} of {rows} rows, {disk:.0f} MB of parquet, {len(os.sched_getaffinity(0))} cores")
    found = {way: measure(way, rows) for way in ways}
    first = found[ways[0]]
    for way, took in found.items():
        if took is None or first is None:
            print(f"{way:9} is not installed")
            continue
        print(
            f"{way:9} {took[0]:6.1f} s {took[1]:6.1f} s CPU {took[2]:5.2f} GiB   {took[0] / first[0]:5.2f} of {ways[0]}"
        )


def main() -> None:
    """Compare, or run one way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", default="")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    folder = Path(asked.folder or tempfile.mkdtemp(prefix="mixing-"))
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    if asked.way:
        run_way(asked.way, asked.rows)
        return
    compare(asked.rows, asked.ways.split(","))
    if not asked.folder:
        os.chdir("/")
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
