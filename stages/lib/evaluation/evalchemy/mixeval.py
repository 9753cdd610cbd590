"""MixEval (2024-06-01): free-form answers scored from 0 to 1, and multiple choices (Ni et al., 2024)."""

import json
import re
from pathlib import Path

from stages.lib.core.types import Json
from stages.lib.evaluation.evalchemy.task import (
    BENCHMARKS,
    Task,
    Verdicts,
    check_known,
    check_mean,
    digest,
    index_once,
    keep_first,
    mean_score,
    only_file,
    read_lines,
    scores_of,
)
from stages.lib.settings.evaluate import Evaluate

VERSION = "2024-06-01"
RESULTS = BENCHMARKS / "MixEval/results"
DATA = BENCHMARKS / f"MixEval/mix_eval/data/mixeval-{VERSION}/mixeval"
# Each half: the name of its file of questions, and its short name in the file of verdicts.
SPLITS = {"freeform": ("free-form", "ff"), "multichoice": ("multiple-choice", "mp")}
ROUNDING = 1e-3  # Evalchemy gives scores with three digits


def question_files(clone: Path) -> list[Path]:
    """Return the files of questions, in the order of SPLITS."""
    return [clone / DATA / f"{name}.json" for name, _ in SPLITS.values()]


def prepare(clone: Path, settings: Evaluate) -> None:
    """Leave the first questions of each half, if there is a limit."""
    if settings.limit:
        keep_first(question_files(clone), settings.limit)


def read(clone: Path, result: Json) -> Verdicts:
    """Read the verdicts of a run, over both halves and per source of questions."""
    samples: list[Json] = []
    sources: list[str] = []
    for file, (split, (_, short)) in zip(question_files(clone), SPLITS.items(), strict=True):
        pattern = f"*/mixeval/*/judge_results_{short}_model_judge_*.jsonl"
        verdicts = index_once(read_lines(only_file(clone / RESULTS, pattern)), lambda row: str(row["id"]))
        items = json.loads(file.read_text(encoding="utf-8"))
        check_known(verdicts, items)
        samples += [to_sample(split, name, item, verdicts.get(name)) for name, item in items.items()]
        sources += [item["benchmark_name"] for item in items.values()]
    if all(sample["score"] is not None for sample in samples):  # else Evalchemy's number has random scores in it
        (own,) = [part["metrics"] for part in result.values() if isinstance(part, dict) and "metrics" in part]
        check_mean("overall", own.get("overall"), scores_of(samples), ROUNDING)
    return Verdicts(samples, metrics_by_source(samples, sources), digest(question_files(clone)), VERSION)


def metrics_by_source(samples: list[Json], sources: list[str]) -> dict[str, Json]:
    """Measure all samples, and those of each source that has a score; `sources` names the source of each sample."""
    metrics = {"overall": mean_score([[sample] for sample in samples], "fraction")}
    for source in sorted(set(sources)):
        part = [[sample] for sample, name in zip(samples, sources, strict=True) if name == source]
        if any(map(scores_of, part)):
            metrics[source] = mean_score(part, "fraction")
    return metrics


def to_sample(split: str, name: str, item: Json, row: Json | None) -> Json:
    """Make the sample of one question."""
    text = (row or {}).get("judge_response") or ""
    return {
        "task": f"MixEval_{split}",
        "id": int(name),
        "turn": 1,
        "prompt": item["prompt"],
        "response": row["response"] if row else "",
        "score": freeform_score(text) if split == "freeform" else multichoice_score(text, item),
        "judge_text": text,
    }


def in_brackets(text: str, pattern: str) -> str | None:
    """Return the first match in double brackets of a judge's text, else in single ones, as MixEval reads it."""
    match = re.search(rf"\[\[({pattern})\]\]", text) or re.search(rf"\[({pattern})\]", text)
    return match.group(1) if match else None


def freeform_score(text: str) -> float | None:
    """Read a score from 0 to 1; None without one: MixEval would draw it at random."""
    number = in_brackets(text, r"\d+\.?\d*")
    return float(number) if number and 0 <= float(number) <= 1 else None


def multichoice_score(text: str, item: Json) -> float | None:
    """Return 1 if the judge reads the right option in the answer, else 0; None without one: MixEval would draw it."""
    option = in_brackets(text, "[A-Z]")
    return float(ord(option) - ord("A") == item["target"][0]) if option else None


MIXEVAL = Task(
    name="MixEval",
    files=("eval_instruct.py", "mix_eval", "client"),
    num_questions=2000,
    verdicts_per_question=2,
    max_tokens=256,
    prepare=prepare,
    read=read,
)
