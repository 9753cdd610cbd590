"""Does the Rank-Surprisal Ratio hold for chat? Two real base models, nine sources of replies, a fine-tune on each.

python -m perf.teachers setup PROMPTS BENCHMARKS [--prompts 1500]
python -m perf.teachers derive
python -m perf.teachers read

`setup` replaces params.yaml, and writes inputs/ and dgms/teacher-*; `derive`, once teacher-plain has replied, adds the
sources that are made of its replies; `read`, once all has run, prints a table and the rank correlation for each base.
PROMPTS and BENCHMARKS are as in `perf.real_models`, and $REWILD_MODELS holds the same two models. The sources are
SmolLM2's replies as they are, at two other temperatures and with a system prompt; cut after 50 words; exchanged among
prompts, as a control; GPT's replies; the base Gemma's; and a half of SmolLM2's with a half of GPT's. Of each, 500
conversations make one fine-tune of each base model. Stages that need a GPU run by `perf.gpu_host`.
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from ruamel.yaml import YAML

from perf.real_models import CHANGES, GEMMA, INPUTS, PROFILE, SMOLLM2, change, copy_prompts
from stages.lib.core.files import read_json
from stages.lib.core.sections import PARAMS, read_yaml
from stages.lib.core.seeds import write_seeds
from stages.lib.core.types import Json, Row
from stages.lib.models.catalogue import CATALOGUE
from stages.lib.records.responses import RESPONSE
from stages.lib.records.shards import read_rows
from stages.lib.suitability.outcomes import correlate, match_outcomes

PLAIN = "teacher-plain"
ASKED: dict[str, Json] = {  # what they change of SmolLM2's catalogue entry
    PLAIN: {},
    "teacher-cold": {"sampling": {"temperature": 0.3}},
    "teacher-hot": {"sampling": {"temperature": 1.2}},
    "teacher-terse": {"system_prompt": "Answer in one short sentence."},
}
DERIVED = ("teacher-cut", "teacher-exchanged", "teacher-half-gpt")
GEMMAS = "teacher-gemma"
GENERATED = (*ASKED, GEMMAS, "gpt")
BASES = {"smollm2": SMOLLM2, "gemma": GEMMA}
ROWS = 500
WORDS = 50  # that are left of a cut reply
TASKS = {  # eight of BBH's, and IFEval
    **{f"leaderboard_bbh_{name}": "acc_norm" for name in (
        "boolean_expressions", "causal_judgement", "date_understanding", "hyperbaton",
        "movie_recommendation", "navigate", "snarks", "sports_understanding",
    )},
    "leaderboard_ifeval": "prompt_level_strict_acc",
}  # fmt: skip


def write_entries() -> None:
    """Write the catalogue files of the sources: SmolLM2's and Gemma's with their changes, and those of derived ones."""
    yaml = YAML(typ="safe", pure=True)
    for name, changes in {**ASKED, GEMMAS: {}}.items():
        model = GEMMA if name == GEMMAS else SMOLLM2
        entry = yaml.load((CATALOGUE / f"{model}.yaml").read_text(encoding="utf-8"))
        yaml.dump(entry | {"name": name} | changes, CATALOGUE / f"{name}.yaml")
    for name in DERIVED:
        yaml.dump({"name": name, "import": str(INPUTS / f"{name}.parquet")}, CATALOGUE / f"{name}.yaml")


def write_params(prompts: int, teachers: Sequence[str]) -> None:
    """Replace params.yaml by one with runs on each of these sources."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output = False, False
    params = yaml.load(PROFILE.read_text(encoding="utf-8"))
    change(params, CHANGES)
    runs = {
        f"{short}-{teacher}": {"base": base, "dgms": {teacher: 1.0}}
        for short, base in BASES.items()
        for teacher in teachers
    }
    local = {"leaderboard_bbh": [task for task in TASKS if "bbh" in task], "leaderboard_ifeval": "all"}
    change(params, {
        "profile": "teachers",
        "dgms": list(teachers),
        "bases": list(BASES.values()),
        "prompts": {"max_prompts": prompts},
        "gate": {"max_dropped_share": 1.0},
        "mix": {"runs": runs, "size": ROWS},
        "compare": [*runs, *BASES.values()],
        "evaluate": {"tasks": TASKS, "local_data": local},
        "suitability": {"bases": list(BASES.values()), "num_conversations": ROWS},
    })  # fmt: skip
    with PARAMS.open("w", encoding="utf-8") as file:
        yaml.dump(params, file)
    write_seeds(params)


def setup(prompts: Path, benchmarks: Path, num: int) -> None:
    """Write inputs/, the catalogue files and params.yaml."""
    INPUTS.mkdir(exist_ok=True)
    copy_prompts(prompts, INPUTS / "prompts.parquet")
    shutil.copytree(benchmarks, INPUTS / "bench", dirs_exist_ok=True)
    write_entries()
    write_params(num, GENERATED)


def with_replies(row: Row, replies: list[str]) -> Row:
    """Return a conversation with other replies."""
    turns = [turn | {"assistant": reply} for turn, reply in zip(row["turns"], replies, strict=True)]
    return row | {"turns": turns}


def cut(row: Row) -> Row:
    """Return a conversation whose replies have at most WORDS words."""
    return with_replies(row, [" ".join(turn["assistant"].split(" ")[:WORDS]) for turn in row["turns"]])


def exchange(rows: list[Row]) -> list[Row]:
    """Return conversations that have the replies of the next one with as many turns."""
    by_turns: dict[int, list[Row]] = {}
    for row in rows:
        by_turns.setdefault(len(row["turns"]), []).append(row)
    exchanged = {}
    for group in by_turns.values():
        for row, other in zip(group, [*group[1:], group[0]], strict=True):
            exchanged[row["conversation_hash"]] = with_replies(row, [turn["assistant"] for turn in other["turns"]])
    return [exchanged[row["conversation_hash"]] for row in rows]


def half(rows: list[Row], prompts: dict[str, Row]) -> list[Row]:
    """Return conversations of which every second one has the replies that came with its prompt."""
    return [
        with_replies(row, [turn["reference"] for turn in prompts[row["conversation_hash"]]["turns"]]) if n % 2 else row
        for n, row in enumerate(rows)
    ]


def derive() -> None:
    """Write the sources made of SmolLM2's replies, without conversations that have an unanswered turn; add them."""
    rows = [row for row in read_rows(Path("data/responses") / PLAIN) if row["status"] == "ok"]
    prompts = {row["conversation_hash"]: row for row in read_rows(Path("data/prompts"))}
    made = zip(DERIVED, ([cut(row) for row in rows], exchange(rows), half(rows, prompts)), strict=True)
    for name, conversations in made:
        pq.write_table(pa.Table.from_pylist(conversations, schema=RESPONSE), INPUTS / f"{name}.parquet")
        print(f"{name}: {len(conversations)} conversations")
    write_params(read_yaml(PARAMS)["prompts"]["max_prompts"], [*GENERATED, *DERIVED])


def read() -> None:
    """Print each base model's predictions and outcomes, and their rank correlation."""
    recipes = read_json(Path("metrics/recipes.json"))["runs"]
    scores = read_json(Path("data/differences/tables.json"))["scores"]
    averages: Json = {model: cells["average"] for model, cells in scores.items() if "average" in cells}
    for base in BASES.values():
        outcomes = match_outcomes(read_json(Path(f"metrics/suitability/{base}.json")), base, recipes, averages)
        print(f"\n{base}\n| DGM | ratio | average of the fine-tune |\n|---|---|---|")
        for each in outcomes:
            print(f"| {each.dgm} | {show(each.ratio)} | {show(each.score)} |")
        print(f"rank correlation: {correlate(outcomes)}")


def show(cell: Any) -> str:
    """Format a value with its interval."""
    ends = f" ({cell['ci95'][0]:.3f} to {cell['ci95'][1]:.3f})" if cell["ci95"] else ""
    return f"{cell['value']:.3f}{ends}"


def main() -> None:
    """Run one of the steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    first = steps.add_parser("setup")
    first.add_argument("prompts", type=Path)
    first.add_argument("benchmarks", type=Path)
    first.add_argument("--prompts", dest="num", type=int, default=1500)
    steps.add_parser("derive")
    steps.add_parser("read")
    args = parser.parse_args()
    if args.step == "setup":
        setup(args.prompts, args.benchmarks, args.num)
    else:
        {"derive": derive, "read": read}[args.step]()


if __name__ == "__main__":
    main()
