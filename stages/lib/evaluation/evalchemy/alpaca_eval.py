"""AlpacaEval 2: how far a judge prefers each of 805 answers to a baseline's (Dubois et al., 2024)."""

import json
from math import isfinite
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
    scores_of,
)
from stages.lib.evaluation.results import measure
from stages.lib.models.hub import hub_data
from stages.lib.settings.evaluate import Evaluate

PACKAGE = BENCHMARKS / "alpaca_eval/src/alpaca_eval"
HUB = "tatsu-lab/alpaca_eval"
DATA = Path("data/alpaca_eval")
ITEMS = "alpaca_eval.json"
BASELINE = "alpaca_eval_gpt4_baseline.json"
GAMED = "df_gamed.csv"  # what the length control is fitted on
TOLERANCE = 1e-6  # of Evalchemy's own mean


def prepare(clone: Path, settings: Evaluate) -> None:
    """Copy the data as plain files, and leave the first instructions if there is a limit.

    alpaca_eval's own way is to run a script of the hub's. Raises ValueError when a file is missing.
    """
    names = [ITEMS, BASELINE, GAMED]
    given = settings.alpaca_eval_data
    source = Path(given) if given else hub_data(HUB, "main", names)
    (clone / DATA).mkdir(parents=True)
    for name in names:
        if not (source / name).exists():
            raise ValueError(f"alpaca_eval needs {name}, which is not in {given or HUB}")
        (clone / DATA / name).write_bytes((source / name).read_bytes())
    if settings.limit:
        keep_first([clone / DATA / name for name in (ITEMS, BASELINE)], settings.limit)


def read(clone: Path, result: Json) -> Verdicts:
    """Read the verdicts of a run; the length-controlled win rate and its error are alpaca_eval's own."""
    annotations = only_file(clone / PACKAGE, "evaluators_configs/*/annotations_seed0_configs.json")
    verdicts = index_once(json.loads(annotations.read_text("utf-8")), lambda row: row["instruction"])
    items = [item["instruction"] for item in json.loads((clone / DATA / ITEMS).read_text(encoding="utf-8"))]
    check_known(verdicts, items)
    samples = [to_sample(number, item, verdicts.get(item)) for number, item in enumerate(items)]
    metrics = {"win_rate": mean_score([[sample] for sample in samples], "percent")}
    check_mean("win_rate", result.get("win_rate"), scores_of(samples), TOLERANCE)
    if isinstance(controlled := result.get("length_controlled_winrate"), int | float) and isfinite(controlled):
        metrics["length_controlled_winrate"] = {
            **measure([], float(controlled), unit="percent", stderr=result.get("lc_standard_error")),
            **dict.fromkeys(("n", "clusters"), len(scores_of(samples))),
        }
    return Verdicts(samples, metrics, digest(clone / DATA / name for name in (ITEMS, BASELINE, GAMED)))


def to_sample(number: int, instruction: str, row: Json | None) -> Json:
    """Make the sample of one instruction. A preference is 1 for the baseline, 2 for the model, or between them."""
    preference, raw = ((row or {}).get(key) for key in ("preference", "preference_raw_completion"))
    is_valid = isinstance(preference, int | float) and 1 <= preference <= 2
    return {
        "task": "alpaca_eval",
        "id": number,
        "turn": 1,
        "prompt": instruction,
        "response": row["output_2"] if row else "",
        "score": (float(preference) - 1) * 100 if is_valid and preference is not None else None,
        "judge_text": raw.get("text", "") if isinstance(raw, dict) else str(raw or ""),
    }


ALPACA_EVAL = Task(
    name="alpaca_eval",
    files=("eval_instruct.py", "src"),
    import_folder="src",
    data_folder=DATA,
    num_questions=805,
    verdicts_per_question=1,
    metrics=("length_controlled_winrate", "win_rate"),
    prepare=prepare,
    read=read,
)
