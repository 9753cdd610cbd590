"""Does the Rank-Surprisal Ratio hold for chat? Two real base models, nine sources of replies, a fine-tune on each.

python -m perf.teachers setup PROMPTS BENCHMARKS [--prompts 1500]
python -m perf.teachers derive
python -m perf.teachers read

`setup` replaces params.yaml, and writes inputs/ and dgms/teacher-*; `derive`, once the others have replied, adds the
sources that are made of their replies; `read`, once all has run, prints a table and rank correlations for each base.
PROMPTS and BENCHMARKS are as in `perf.real_models`; $REWILD_MODELS has the two models in folders named as on the hub.
The sources are SmolLM2's replies as they are, at two other temperatures and with a system prompt; cut after 50 words;
exchanged among prompts, as a control; GPT's replies; a half of SmolLM2's with a half of GPT's; and Gemma's, cut after
as many words, since the base model seldom ends a reply: `derive` takes those that its store has, so that its generation
may be stopped early. Of each source, 500 conversations make one fine-tune of each base model. Stages that need a GPU
run by `perf.gpu_host`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from perf.real_models import (
    CHANGES,
    GEMMA,
    PROFILE,
    SMOLLM2,
    add_import,
    change,
    copy_inputs,
    write_entry,
    write_profile,
)
from stages.lib.comparison.differences import describe_scores
from stages.lib.comparison.evaluations import read_evaluations
from stages.lib.core.files import ROWS_SUMMARY, read_json
from stages.lib.core.sections import PARAMS, read_yaml
from stages.lib.core.types import Json, Row
from stages.lib.generation.place import open_store
from stages.lib.generation.store import read_segment
from stages.lib.models.catalogue import CATALOGUE
from stages.lib.records.responses import IMPORTED, RESPONSE
from stages.lib.records.shards import read_rows
from stages.lib.report.findings import show_cell
from stages.lib.suitability.outcomes import correlate, match_outcomes

PLAIN = "teacher-plain"
ASKED: dict[str, Json] = {  # what they change of SmolLM2's catalogue entry
    PLAIN: {},
    "teacher-cold": {"sampling": {"temperature": 0.3}},
    "teacher-hot": {"sampling": {"temperature": 1.0}},  # at 1.2 most of its replies ran up to the token limit
    "teacher-terse": {"system_prompt": "Answer in one short sentence."},
}
GEMMAS = "teacher-gemma"
GENERATED = (*ASKED, GEMMAS, "gpt")
DERIVED = ("teacher-cut", "teacher-exchanged", "teacher-half-gpt", "teacher-gemma-cut")
TEACHERS = (*ASKED, "gpt", *DERIVED)
BASES = {"smollm2": SMOLLM2, "gemma": GEMMA}
ROWS = 500
WORDS = 50  # that are left of a cut reply
BBH = (
    "boolean_expressions", "causal_judgement", "date_understanding", "hyperbaton",
    "movie_recommendation", "navigate", "snarks", "sports_understanding",
)  # fmt: skip


def write_entries() -> None:
    """Write the catalogue files of the sources: SmolLM2's and Gemma's with their changes."""
    for name, changes in {**ASKED, GEMMAS: {}}.items():
        model = GEMMA if name == GEMMAS else SMOLLM2
        write_entry(read_yaml(CATALOGUE / f"{model}.yaml") | {"name": name} | changes)


def write_params(prompts: int, teachers: Sequence[str]) -> None:
    """Replace params.yaml by one with runs on each of these sources."""
    params = read_yaml(PROFILE)
    change(params, CHANGES)
    runs = {
        f"{short}-{teacher}": {"base": base, "dgms": {teacher: 1.0}}
        for short, base in BASES.items()
        for teacher in teachers
    }
    tasks = {"leaderboard_bbh": "acc_norm", "leaderboard_ifeval": "prompt_level_strict_acc"}
    change(params, {
        "profile": "teachers",
        "dgms": list(teachers),
        "bases": list(BASES.values()),
        "prompts": {"max_prompts": prompts},
        "gate": {"max_dropped_share": 1.0},
        "mix": {"runs": runs, "size": ROWS},
        "compare": [*runs, *BASES.values()],
        "evaluate": {"tasks": tasks, "local_data": {"leaderboard_bbh": list(BBH), "leaderboard_ifeval": "all"}},
        "suitability": {"bases": list(BASES.values()), "device": "gpu"},
    })  # fmt: skip
    write_profile(params)


def setup(prompts: Path, benchmarks: Path, num: int) -> None:
    """Write inputs/, the catalogue files and params.yaml."""
    copy_inputs(prompts, benchmarks)
    write_entries()
    write_params(num, GENERATED)


def with_replies(row: Row, replies: list[str], finish_reasons: list[str]) -> Row:
    """Return a conversation with other replies."""
    turns = [
        turn | {"assistant": reply, "finish_reason": reason}
        for turn, reply, reason in zip(row["turns"], replies, finish_reasons, strict=True)
    ]
    return row | {"turns": turns}


def cut(row: Row, words: int) -> Row:
    """Return a conversation whose replies have at most so many words, wherever they ended."""
    replies = [" ".join(turn["assistant"].split(" ")[:words]) for turn in row["turns"]]
    return with_replies(row, replies, [IMPORTED] * len(replies))


def exchange(rows: list[Row]) -> list[Row]:
    """Return conversations that have the replies of the next one with as many turns."""
    by_turns: dict[int, list[Row]] = {}
    for row in rows:
        by_turns.setdefault(len(row["turns"]), []).append(row)
    exchanged = {}
    for group in by_turns.values():
        for row, other in zip(group, [*group[1:], group[0]], strict=True):
            replies, reasons = ([turn[name] for turn in other["turns"]] for name in ("assistant", "finish_reason"))
            exchanged[row["conversation_hash"]] = with_replies(row, replies, reasons)
    return [exchanged[row["conversation_hash"]] for row in rows]


def half(rows: list[Row], prompts: dict[str, Row]) -> list[Row]:
    """Return conversations of which every second one has the replies that came with its prompt."""
    references = [[turn["reference"] for turn in prompts[row["conversation_hash"]]["turns"]] for row in rows]
    return [
        with_replies(row, replies, [IMPORTED] * len(replies)) if n % 2 else row
        for n, (row, replies) in enumerate(zip(rows, references, strict=True))
    ]


def read_store(dgm: str) -> list[Row]:
    """Read the conversations of a DGM that are in the store, finished or not; rows of RESPONSE, in keyed order."""
    tables = filter(None, map(read_segment, open_store(dgm).segments()))
    rows = pa.concat_tables(tables).select(RESPONSE.names).to_pylist()
    return sorted({row["conversation_hash"]: row for row in rows}.values(), key=lambda row: row["conversation_hash"])


def derive() -> None:
    """Write the sources made of others' replies, without conversations that have an unanswered turn; add them."""
    rows = [row for row in read_rows(Path("data/responses") / PLAIN) if row["status"] == "ok"]
    gemmas = [row for row in read_store(GEMMAS) if row["status"] == "ok"]
    prompts = {row["conversation_hash"]: row for row in read_rows(Path("data/prompts"))}
    made = (
        [cut(row, WORDS) for row in rows],
        exchange(rows),
        half(rows, prompts),
        [cut(row, WORDS) for row in gemmas],
    )
    for name, conversations in zip(DERIVED, made, strict=True):
        add_import(name, conversations)
        print(f"{name}: {len(conversations)} conversations")
    write_params(read_yaml(PARAMS)["prompts"]["max_prompts"], TEACHERS)


def read() -> None:
    """Print each base model's predictions and outcomes, and their rank correlations; evaluations may be missing."""
    runs = read_json(Path("metrics/recipes.json"))["runs"]
    folders = {run: folder for run in runs if (folder := Path("data/evaluations") / run).exists()}
    evaluations = read_evaluations(folders, {})
    scores = describe_scores(evaluations, list(folders))
    for base in BASES.values():
        suitability = read_json(Path("data/suitability") / base / ROWS_SUMMARY)
        outcomes = {
            name: match_outcomes(suitability, base, runs, {run: cells[name] for run, cells in scores.items()})
            for name in evaluations.measures
        }
        print(f"\n{base}\n| DGM | ratio | tokens | {' | '.join(outcomes)} |\n|---|---|---|{'---|' * len(outcomes)}")
        for each in zip(*outcomes.values(), strict=True):
            cells = [each[0].ratio, suitability["dgms"][each[0].dgm]["tokens"], *(one.score for one in each)]
            print(f"| {each[0].dgm} | {' | '.join(map(show_cell, cells))} |")
        for name, known in outcomes.items():
            print(f"rank correlation with {name}: {correlate(known)}")


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
