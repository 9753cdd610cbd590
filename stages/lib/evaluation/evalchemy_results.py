"""What one run of Evalchemy left behind, as an entry of results.json and samples.

Evalchemy's own numbers are means over the verdicts that it could read: an unanswered one is left out (MTBench) or drawn
at random (MixEval) in silence. So the verdicts are read, counted against the questions, and measured here.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from math import fsum, isclose, isfinite
from pathlib import Path
from typing import Any

from stages.lib.core.types import Json
from stages.lib.evaluation.results import Status, Unit, entry, measure, status_by_missing

BENCHMARKS = Path("eval/chat_benchmarks")
MT_BENCH = BENCHMARKS / "MTBench/fastchat/llm_judge/data/mt_bench"
MIX_EVAL = BENCHMARKS / "MixEval"
MIX_DATA = MIX_EVAL / "mix_eval/data/mixeval-2024-06-01/mixeval"
MIX_SPLITS = {"freeform": ("free-form", "ff"), "multichoice": ("multiple-choice", "mp")}
ALPACA = BENCHMARKS / "alpaca_eval/src/alpaca_eval"
ALPACA_DATA = Path("data/alpaca_eval")
ALPACA_ITEMS, ALPACA_BASELINE = "alpaca_eval.json", "alpaca_eval_gpt4_baseline.json"
ALPACA_GAMED = "df_gamed.csv"  # what the length control is fitted on
ROUNDING = 1e-3  # Evalchemy gives MixEval's scores with three digits


@dataclass(frozen=True, slots=True)
class Read:
    """What the files of a run hold: samples, one for each verdict that there should be, and metrics."""

    samples: list[Json]  # a sample's score is None when the judge gave no verdict
    metrics: dict[str, Json]
    data_sha256: str
    task_version: str | None = None


def read_lines(file: Path) -> list[Json]:
    """The objects of a JSON-lines file; raise ValueError when it is absent."""
    if not file.exists():
        raise ValueError(f"Evalchemy wrote no {file.name}")
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def only(folder: Path, pattern: str) -> Path:
    """The one file of a pattern; raise ValueError when there are none or several, which another run left."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise ValueError(f"Evalchemy left {len(found)} files {Path(pattern).name} where one belongs")
    return found[0]


def digest(files: Iterable[Path]) -> str:
    """The sha256 over the contents of files."""
    total = hashlib.sha256()
    for file in files:
        total.update(file.read_bytes())
    return total.hexdigest()


def once(rows: Iterable[Json], key: Callable[[Json], Any]) -> dict[Any, Json]:
    """Rows by key; raise ValueError when two have the same, as after a second run in the same folder."""
    found: dict[Any, Json] = {}
    for row in rows:
        if key(row) in found:
            raise ValueError(f"two verdicts on {key(row)}: files of another run lie in the clone")
        found[key(row)] = row
    return found


def is_known(given: Iterable[Any], asked: Iterable[Any]) -> None:
    """Raise ValueError for a verdict on what was not asked."""
    if unknown := sorted(map(str, set(given) - set(asked))):
        raise ValueError(f"a verdict on {unknown[0]}, which was not asked: files of another run lie in the clone")


def scores_of(samples: Iterable[Json]) -> list[float]:
    """The scores that are there."""
    return [sample["score"] for sample in samples if sample["score"] is not None]


def by(samples: list[Json], key: str) -> dict[Any, list[Json]]:
    """Samples by one of their values, in its order."""
    return {value: list(group) for value, group in groupby(sorted(samples, key=lambda row: row[key]), lambda r: r[key])}


def read_mtbench(clone: Path, result: Json) -> Read:
    """MT-bench: a verdict from 1 to 10 on each turn of each question; a question's two are one cluster."""
    file = clone / MT_BENCH / "question.jsonl"
    questions = {question["question_id"]: question for question in read_lines(file)}
    answers = once(read_lines(only(clone / MT_BENCH, "model_answer/*.jsonl")), lambda row: row["question_id"])
    if len(answers) < len(questions):
        raise ValueError(f"only {len(answers)} of {len(questions)} questions were answered")
    rows = read_lines(clone / MT_BENCH / "model_judgment/gpt-4_single.jsonl")
    verdicts = once(rows, lambda row: (row["question_id"], row["turn"]))
    asked = [(name, turn) for name in sorted(questions) for turn in range(1, len(questions[name]["turns"]) + 1)]
    is_known(verdicts, asked)
    said = [row["score"] for row in rows if row["score"] != -1]
    check_value("Average", result.get("Average"), said, 1e-6)
    samples = [mtbench_sample(questions[name], turn, answers[name], verdicts.get((name, turn))) for name, turn in asked]
    metrics = {"Average": measured(by(samples, "id").values(), "score_1_10")}
    for turn, part in by(samples, "turn").items():
        metrics[f"Turn {turn}"] = measured([[sample] for sample in part], "score_1_10")
    return Read(samples, metrics, digest([file]))


def mtbench_sample(question: Json, turn: int, answer: Json, verdict: Json | None) -> Json:
    """One turn of a question."""
    score = verdict["score"] if verdict else -1
    return {
        "task": "MTBench",
        "id": question["question_id"],
        "turn": turn,
        "prompt": question["turns"][turn - 1],
        "response": answer["choices"][0]["turns"][turn - 1],
        "score": float(score) if 1 <= score <= 10 else None,  # a judge may write any number in its brackets
        "judge_text": verdict["judgment"] if verdict else "",
    }


def measured(clusters: Iterable[list[Json]], unit: Unit) -> Json:
    """The mean score of samples with its interval; raise ValueError when none has one."""
    return measure([scores_of(cluster) for cluster in clusters], unit=unit)


def check_value(name: str, value: object, scores: list[float], tolerance: float) -> None:
    """Raise ValueError unless Evalchemy's number is the mean of the verdicts that lie in this run's files."""
    mean = fsum(scores) / len(scores) if scores else None
    if not isinstance(value, int | float) or mean is None or not isclose(value, mean, abs_tol=tolerance):
        raise ValueError(f"Evalchemy's {name} is {value}, but the mean of its {len(scores)} verdicts is {mean}")


def read_mixeval(clone: Path, result: Json) -> Read:
    """MixEval: a score from 0 to 1 on each free-form answer, and the option that the judge reads in the others."""
    samples: list[Json] = []
    sources: list[str] = []
    files = [clone / MIX_DATA / f"{name}.json" for name, _ in MIX_SPLITS.values()]
    for file, (split, (_, short)) in zip(files, MIX_SPLITS.items(), strict=True):
        rows = read_lines(only(clone / MIX_EVAL / "results", f"*/mixeval/*/judge_results_{short}_model_judge_*.jsonl"))
        verdicts = once(rows, lambda row: str(row["id"]))
        items = json.loads(file.read_text(encoding="utf-8"))
        is_known(verdicts, items)
        samples += [mixeval_sample(split, name, item, verdicts.get(name)) for name, item in items.items()]
        sources += [item["benchmark_name"] for item in items.values()]
    metrics = {"overall": measured([[sample] for sample in samples], "fraction")}
    for source in sorted(set(sources)):
        part = [[sample] for sample, name in zip(samples, sources, strict=True) if name == source]
        if any(map(scores_of, part)):
            metrics[source] = measured(part, "fraction")
    if all(sample["score"] is not None for sample in samples):  # else its own number has random scores in it
        (own,) = [part["metrics"] for part in result.values() if isinstance(part, dict) and "metrics" in part]
        check_value("overall", own.get("overall"), scores_of(samples), ROUNDING)
    return Read(samples, metrics, digest(files), "2024-06-01")


def mixeval_sample(split: str, name: str, item: Json, row: Json | None) -> Json:
    """One question of MixEval."""
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


def in_brackets(text: str, what: str) -> str | None:
    """What a judge's text has in its first double brackets, else in its first single ones, as MixEval reads it."""
    found = re.search(rf"\[\[({what})\]\]", text) or re.search(rf"\[({what})\]", text)
    return found.group(1) if found else None


def freeform_score(text: str) -> float | None:
    """A score from 0 to 1, or none: MixEval would draw one at random."""
    found = in_brackets(text, r"\d+\.?\d*")
    return float(found) if found and 0 <= float(found) <= 1 else None


def multichoice_score(text: str, item: Json) -> float | None:
    """Whether the option is the right one; none without an option: MixEval would draw one at random."""
    found = in_brackets(text, "[A-Z]")
    return float(ord(found) - ord("A") == item["target"][0]) if found else None


def read_alpaca(clone: Path, result: Json) -> Read:
    """AlpacaEval 2: how far the judge prefers each answer to the baseline's; the length control is alpaca_eval's."""
    files = [clone / ALPACA_DATA / name for name in (ALPACA_ITEMS, ALPACA_BASELINE, ALPACA_GAMED)]
    rows = json.loads(only(clone / ALPACA, "evaluators_configs/*/annotations_seed0_configs.json").read_text("utf-8"))
    verdicts = once(rows, lambda row: row["instruction"])
    items = [item["instruction"] for item in json.loads(files[0].read_text(encoding="utf-8"))]
    is_known(verdicts, items)
    samples = [alpaca_sample(number, item, verdicts.get(item)) for number, item in enumerate(items)]
    metrics = {"win_rate": measured([[sample] for sample in samples], "percent")}
    check_value("win_rate", result.get("win_rate"), scores_of(samples), 1e-6)
    if isinstance(controlled := result.get("length_controlled_winrate"), int | float) and isfinite(controlled):
        error = result.get("lc_standard_error")
        metrics["length_controlled_winrate"] = {
            **measure([], float(controlled), unit="percent", stderr=error),
            "n": len(scores_of(samples)),
        }
    return Read(samples, metrics, digest(files))


def alpaca_sample(number: int, instruction: str, row: Json | None) -> Json:
    """One instruction of AlpacaEval. The preference is 1 for the baseline, 2 for the model, and anything between."""
    preference, raw = ((row or {}).get(key) for key in ("preference", "preference_raw_completion"))
    valid = isinstance(preference, int | float) and 1 <= preference <= 2
    return {
        "task": "alpaca_eval",
        "id": number,
        "turn": 1,
        "prompt": instruction,
        "response": row["output_2"] if row else "",
        "score": (float(preference) - 1) * 100 if valid and preference is not None else None,
        "judge_text": raw.get("text", "") if isinstance(raw, dict) else str(raw or ""),
    }


READERS: dict[str, Callable[[Path, Json], Read]] = {
    "MTBench": read_mtbench,
    "alpaca_eval": read_alpaca,
    "MixEval": read_mixeval,
}


def status_of(failed: int, verdicts: int) -> tuple[Status, str | None]:
    """The status of a task, and the reason, by how many verdicts the judge failed to give."""
    status = status_by_missing(failed, verdicts)
    if status == "ok":
        return status, None
    reason = f"the judge gave no score for {failed} of {verdicts} answers ({failed / verdicts:.1%})"
    return status, f"{reason}; the numbers are over the others" if status == "partial" else reason


def read_run(clone: Path, out: Path, task: str, primary: str, version: str, cut: int = 0) -> tuple[Json, list[Json]]:
    """The entry of results.json and the samples of one run. Raises ValueError for files that are not whole.

    Among the metrics, `failed_verdicts` is the share of the verdicts that have no score, and `cut_prompts` that of the
    prompts, `cut` of them, whose beginning did not fit the window.
    """
    results = json.loads(only(out, "**/results_*.json").read_text(encoding="utf-8"))["results"]
    if task not in results:
        raise ValueError(f"Evalchemy's results have no {task}, only: {', '.join(results) or 'nothing'}")
    found = READERS[task](clone, results[task])
    failed = [[float(sample["score"] is None)] for sample in found.samples]
    status, reason = status_of(int(fsum(row[0] for row in failed)), len(failed))
    cuts = [[float(number < cut)] for number in range(len(failed))]  # each sample has a prompt of its own
    metrics = {**found.metrics, "failed_verdicts": measure(failed), "cut_prompts": measure(cuts)}
    described = entry(
        status,
        reason,
        metrics,
        primary,
        harness="evalchemy",
        harness_version=version,
        task_version=found.task_version,
        data_sha256=found.data_sha256,
    )
    return described, found.samples
