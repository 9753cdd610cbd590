"""The outs of the small project, with results and samples as `evaluate` writes them, for what reads outs."""

from pathlib import Path
from typing import Any

from stages.lib.core.files import ROWS_SUMMARY, read_json, write_json
from stages.lib.evaluation.results import TaskResult, average, measure
from stages.lib.evaluation.samples import write_samples
from stages.lib.judging.race import Rounds
from stages.lib.judging.sequential import Outcome
from stages.lib.judging.stopped import describe_stops
from stages.lib.records.shards import write_table
from stages.lib.settings.pairwise import Stop
from tests.support.project import ROOT, Project
from tests.support.report import build_preference

IDS = {  # of the small project
    "<dgm>": "rich", "<run>": "blend", "<set>": "knowledge", "<model>": "blend", "<stage>/<id>": "train/blend",
    "models/<id>": "models/rich", "<base>": "base",
}  # fmt: skip


def place_of(name: str) -> str:
    """The place of an out in the small project."""
    for part, own in IDS.items():
        name = name.replace(part, own)
    return name


def link_outs(folder: Path, built: Project) -> None:
    """Fill a folder with the outs of the built project, by links.

    Its own are evaluations, with a task of two rows, words of judgments, of which the small project has too few, and a
    pair of models that is judged until it is decided.
    """
    (folder / "data" / "evaluations").mkdir(parents=True)
    for out in (built.root / "data").iterdir():
        if out.name not in {"evaluations", "preference", "pairwise"}:
            (folder / "data" / out.name).symlink_to(out)
    write_stops(folder / "data" / "pairwise", built.root / "data" / "pairwise")
    tables, words = build_preference(base=3.0, blend=8.0)
    write_json(folder / "data" / "preference" / "tables.json", tables)
    for name, table in words.items():
        (folder / "data" / "preference" / name).mkdir()
        write_table(folder / "data" / "preference" / name, table)
    (folder / "metrics").symlink_to(built.root / "metrics")
    (folder / "params.yaml").symlink_to(built.root / "params.yaml")
    (folder / "models").mkdir()
    (folder / "models" / "rich").symlink_to(built.root / "models" / "rich")
    (folder / "models" / "blend").symlink_to(ROOT / "demo/models/demo-rich")  # as a run's folder: weights, tokenizer
    for model, scores in {"base": (0.0, 1.0), "blend": (1.0, 1.0)}.items():
        write_evaluation(folder / "data" / "evaluations" / model, model, scores)


def write_stops(folder: Path, built: Path) -> None:
    """Link the choices of a judge, and describe one pair of three questions, of which two were asked."""
    folder.mkdir()
    for file in built.glob("*.parquet"):
        (folder / file.name).symlink_to(file)
    pair, stop = ("base", "blend"), Stop(alpha=0.05, margin=0.05, top=1, max_questions=2)
    rounds = Rounds([pair], 3, stop)
    rounds.next_round()
    stops = describe_stops(rounds, {pair: [Outcome(0.0, 0.0, 1.0), Outcome(0.5, 0.0, 0.0)]}, stop, 3)
    write_json(folder / ROWS_SUMMARY, read_json(built / ROWS_SUMMARY) | {"stop": stops})


def write_evaluation(folder: Path, model: str, scores: tuple[float, ...]) -> None:
    """Write the results, with all keys that `evaluate` gives them, and the samples of a model on one task."""
    metrics = {"acc": measure([[score] for score in scores])}
    result = TaskResult(status="ok", metrics=metrics, primary="acc", harness="lm_eval", harness_version="0.4.13")
    tasks: dict[str, Any] = {"quiz": result.to_json()}
    averages = {"average": average(tasks, ["quiz"])}
    content = {"schema": 2, "model": model, "commit": "c", "settings": {}, "conditions": []}
    write_json(folder / "results.json", content | {"tasks": tasks, "averages": averages})
    (folder / "samples").mkdir()
    rows = [
        {"task": "quiz", "id": number, "prompt": f"Q{number}?", "response": "A", "score": score}
        for number, score in enumerate(scores)
    ]
    write_samples(folder / "samples" / "quiz.parquet", rows)
