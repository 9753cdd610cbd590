"""The small brother of profiles/small.yaml: two real models and benchmark rows that are on this machine.

python -m perf.real_models PROMPTS BENCHMARKS [--prompts 2000]

Replaces params.yaml, and writes what it names into inputs/: the rows of PROMPTS, a parquet file with WildChat's columns
and `source`, but those of IFEval, which is evaluated; a copy of the folder BENCHMARKS. $REWILD_MODELS holds the models.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from ruamel.yaml import YAML

from stages.lib.core.sections import PARAMS, read_yaml
from stages.lib.core.seeds import write_seeds
from stages.lib.core.types import Json, Row
from stages.lib.models.catalogue import CATALOGUE, import_digest
from stages.lib.records.responses import RESPONSE

PROFILE = Path("profiles/small.yaml")
INPUTS = Path("inputs")
BENCHMARK = "ifeval"  # the source of prompts that are its test rows
SMOLLM2, GEMMA = "smollm2-135m-instruct", "gemma-3-270m"
RUNS: Json = {
    "gemma-smollm2": {"base": GEMMA, "dgms": {SMOLLM2: 1.0}},
    "gemma-gpt": {"base": GEMMA, "dgms": {"gpt": 1.0}},
    "gemma-blend": {"base": GEMMA, "dgms": {SMOLLM2: 1.0, "gpt": 1.0}},
    "smollm2-smollm2": {"base": SMOLLM2, "dgms": {SMOLLM2: 1.0}, "seeds": [42, 43, 44]},
    "smollm2-gpt": {"base": SMOLLM2, "dgms": {"gpt": 1.0}, "seeds": [42, 43, 44]},
    "gemma-gpt-500": {"base": GEMMA, "dgms": {"gpt": 1.0}, "rows": 500},
    "gemma-gpt-2000": {"base": GEMMA, "dgms": {"gpt": 1.0}, "rows": 2000},
}
CHANGES: Json = {
    "profile": "real-models",
    "hub": {},
    "prompts": {"source": str(INPUTS / "prompts.parquet"), "languages": [], "exclude_toxic": False},
    "dgms": [SMOLLM2, "gpt"],
    "bases": [GEMMA],
    "mix": {"runs": RUNS, "size": 1000},  # of SmolLM2's 2,000 conversations 1,170 are kept
    "train": {
        "num_epochs": 3,
        "micro_batch_size": 1,
        "axolotl": {"attn_implementation": "sdpa", "optimizer": "adamw_torch_fused"},  # without flash-attn
    },
    "compare": [*RUNS, GEMMA, SMOLLM2],
    "answers": {"questions": str(INPUTS / "bench/mt_bench/question.jsonl")},
    "evaluate": {
        "tasks_folder": str(INPUTS / "bench"),
        "tasks": {
            "leaderboard_bbh": "acc_norm",
            "leaderboard_musr": "acc_norm",
            "leaderboard_ifeval": "prompt_level_strict_acc",
        },
        "leave_out": ["punkt_tab"],  # nltk's data are not on such a machine
        "local_data": dict.fromkeys(("leaderboard_bbh", "leaderboard_musr", "leaderboard_ifeval"), "all"),
    },
    "pairwise": {"pairs": "none"},
    "suitability": {"bases": [GEMMA, SMOLLM2]},
    "runtime": {"gpu_memory_utilization": 0.12},  # several models share the GPU
}


def change(params: Any, changes: Json) -> None:
    """Replace keys of sections, and whole values where the change is no mapping or an empty one; in place."""
    for key, value in changes.items():
        if isinstance(value, dict) and value:
            params[key].update(value)
        else:
            params[key] = value


def copy_prompts(source: Path, target: Path) -> None:
    """Copy the prompts that are no rows of a benchmark, and print how many there are."""
    table = pq.read_table(source)
    kept = table.filter(pc.not_equal(table["source"], BENCHMARK))
    pq.write_table(kept, target)
    print(f"{kept.num_rows} of {table.num_rows} conversations, without the rows of {BENCHMARK}")


def copy_inputs(prompts: Path, benchmarks: Path) -> None:
    """Write inputs/: the prompts that are no rows of a benchmark, and the benchmarks."""
    INPUTS.mkdir(exist_ok=True)
    copy_prompts(prompts, INPUTS / "prompts.parquet")
    shutil.copytree(benchmarks, INPUTS / "bench", dirs_exist_ok=True)


def write_entry(entry: Json) -> None:
    """Write an entry of the catalogue into its file, which has its name."""
    YAML(typ="safe", pure=True).dump(entry, CATALOGUE / f"{entry['name']}.yaml")


def add_import(name: str, rows: list[Row]) -> None:
    """Add an imported DGM with these rows of RESPONSE: inputs/<name>.parquet, and its catalogue file."""
    file = INPUTS / f"{name}.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=RESPONSE), file)
    write_entry({"name": name, "import": str(file), "revision": import_digest(file)})


def write_profile(params: Json) -> None:
    """Replace params.yaml, and write what is derived from its seeds."""
    yaml = YAML(typ="safe", pure=True)  # without the comments: an empty list takes the line break of its comment along
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output = False, False
    with PARAMS.open("w", encoding="utf-8") as file:
        yaml.dump(params, file)
    write_seeds(params)


def main() -> None:
    """Write inputs/ and params.yaml."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompts", type=Path)
    parser.add_argument("benchmarks", type=Path)
    parser.add_argument("--prompts", dest="max_prompts", type=int, default=2000)
    options = parser.parse_args()
    copy_inputs(options.prompts, options.benchmarks)
    params = read_yaml(PROFILE)
    change(params, CHANGES)
    params["prompts"]["max_prompts"] = options.max_prompts
    write_profile(params)


if __name__ == "__main__":
    main()
