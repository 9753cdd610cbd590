"""A checkout with the outs of two models that were compared and are DGMs, without a pipeline that made them."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from ruamel.yaml import YAML

from stages.lib.core.files import ROWS_SUMMARY, sha256_folder, write_json
from stages.lib.evaluation.results import average, measure
from stages.lib.evaluation.samples import write_samples
from stages.lib.records.answers import ANSWER
from stages.lib.records.judgments import JUDGMENT
from stages.lib.records.pairings import PAIRING
from stages.lib.records.responses import RESPONSE
from stages.lib.records.shards import write_table
from stages.lib.records.verdicts import VERDICT
from tests.support.project import ROOT


def make_checkout(
    root: Path,
    compare: Sequence[str] = ("one", "two"),
    dgms: Sequence[str] = ("one", "two"),
    seeds: dict[str, list[int]] | None = None,
) -> None:
    """Write params.yaml with these models, and the training seeds of those that are runs."""
    params = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    params |= {"compare": list(compare), "dgms": list(dgms), "bases": ["base"]}
    params["mix"]["runs"] = {run: {"base": "base", "dgms": {}, "seeds": each} for run, each in (seeds or {}).items()}
    params["pairwise"]["pairs"] = "none"
    root.mkdir(parents=True, exist_ok=True)
    with (root / "params.yaml").open("w") as file:
        YAML().dump(params, file)


def write_compared(
    root: Path,
    model: str,
    tasks: dict[str, str],
    replies: Sequence[str] = ("Yes.", "No."),
    scores: Sequence[float] = (7, 5),
    **changes: Any,
) -> None:
    """Write the outs of a compared model; `tasks` say of each row if it is right (`+`), wrong (`-`), or its tenths."""
    folders = {name: root / "data" / name / model for name in ("evaluations", "answers", "judgments")}
    for folder in folders.values():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    write_evaluation(folders["evaluations"], model, tasks, **changes)
    answers = [
        {"question_id": n, "category": "c", "turns": [turn(f"Question {n}?", text)], "status": "ok"}
        for n, text in enumerate(replies)
    ]
    write_table(folders["answers"], pa.Table.from_pylist(answers, schema=ANSWER))
    judgments = [
        {"question_id": n, "category": "c", "turn": 1, "score": float(score), "text": "", "chars": 9, "status": "ok"}
        for n, score in enumerate(scores)
    ]
    write_table(folders["judgments"], pa.Table.from_pylist(judgments, schema=JUDGMENT))
    write_json(folders["judgments"] / ROWS_SUMMARY, {"status": "ok", "judge": "judge"})
    digests = {name: sha256_folder(folder) for name, folder in folders.items()}
    write_json(root / "metrics/digests/models" / f"{model}.json", digests)


def write_seed(root: Path, model: str, tasks: dict[str, str]) -> None:
    """Write the evaluation of another training seed of a run."""
    folder = root / "data/evaluations" / model
    folder.mkdir(parents=True)
    write_evaluation(folder, model, tasks)
    write_json(root / "metrics/digests/seeds" / f"{model}.json", {"evaluations": sha256_folder(folder)})


def write_evaluation(folder: Path, model: str, tasks: dict[str, str], data: str = "d", **settings: Any) -> None:
    """Write results.json and samples of tasks of right and wrong rows."""
    (folder / "samples").mkdir()
    entries = {}
    for task, marks in tasks.items():
        scores = [int(mark) / 10 if mark.isdigit() else float(mark == "+") for mark in marks]
        rows = [
            {"task": task, "id": n, "turn": None, "prompt": f"{task} {n}?", "response": f"{model} {n}", "score": score}
            for n, score in enumerate(scores)
        ]
        write_samples(folder / "samples" / f"{task}.parquet", rows)
        entries[task] = {
            "status": "ok",
            "reason": None,
            "primary": "acc",
            "metrics": {"acc": measure([[score] for score in scores])},
            "harness": "lm_eval",
            "harness_version": "0.4.13",
            "num_fewshot": 0,
            "data_sha256": data,
        }
    averages = {"average": average(entries, entries)}
    write_json(
        folder / "results.json",
        {"tasks": entries, "averages": averages, "conditions": [], "settings": {"seed": 1} | settings},
    )


def write_dgm(
    root: Path, model: str, replies: Sequence[str], dropped: Sequence[str] = (), finish: Sequence[str] = ()
) -> None:
    """Write the responses of a DGM to as many prompts, and the verdicts.

    `dropped` holds the reason of each conversation that is dropped, and `finish` each finish reason, by place; empty
    and `stop` where they are shorter.
    """
    folders = {name: root / "data" / name / model for name in ("responses", "verdicts", "ledger")}
    for folder in folders.values():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    reasons = [*dropped, *[""] * (len(replies) - len(dropped))]
    ends = [*finish, *["stop"] * (len(replies) - len(finish))]
    rows = [
        {"conversation_hash": f"{n:04}", "dgm": model, "turns": [turn(f"Prompt {n}", text, end)], "status": "ok"}
        for n, (text, end) in enumerate(zip(replies, ends, strict=True))
    ]
    write_table(folders["responses"], pa.Table.from_pylist(rows, schema=RESPONSE))
    verdicts = [
        {"conversation_hash": f"{n:04}", "keep": not reason, "reasons": [reason] if reason else []}
        for n, reason in enumerate(reasons)
    ]
    write_table(folders["verdicts"], pa.Table.from_pylist(verdicts, schema=VERDICT))
    digests = {name: sha256_folder(folder) for name, folder in folders.items()}
    write_json(root / "metrics/digests/dgms" / f"{model}.json", digests)


def write_choices(root: Path, one: str, other: str, winners: Sequence[str]) -> None:
    """Write the judge's choices between two models: the winner of each question, in both orders."""
    folder = root / "data/pairwise"
    folder.mkdir(parents=True)
    rows = [
        {
            "one": one,
            "other": other,
            "question_id": n,
            "category": "c",
            "turn": 1,
            "first": first,
            "winner": winner,
            "status": "ok",
        }
        for n, winner in enumerate(winners)
        for first in (one, other)
    ]
    write_table(folder, pa.Table.from_pylist(rows, schema=PAIRING))
    write_json(folder / ROWS_SUMMARY, {"status": "ok"})


def turn(user: str, assistant: str, finish: str = "stop") -> dict[str, Any]:
    """One turn of ANSWER or RESPONSE."""
    return {"user": user, "assistant": assistant, "finish_reason": finish}
