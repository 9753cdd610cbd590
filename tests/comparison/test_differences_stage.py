"""The stage differences: every difference in tables.json, and the verdicts that git keeps."""

import json
from pathlib import Path
from typing import Any

import pytest

from stages.differences import main
from stages.lib.core.files import read_json, sha256_folder, write_json
from stages.lib.evaluation.results import average, measure
from stages.lib.evaluation.samples import write_samples
from stages.lib.records.shards import write_table
from tests.support.judgments import judgments
from tests.support.project import small_params

# Right on 30 of 40 rows, and on 20 of the same.
RIGHT = {"dgm": 30, "tuned": 20, "rival": 20}
CHOICES = {"net": 0.5, "net_ci95": [0.2, 0.7], "p": 0.01, "q": 0.02, "questions": 40, "net_deviation": 0.8, "turns": 80}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the evaluations, judgments and choices of three models, and nothing else."""
    monkeypatch.chdir(tmp_path)
    mix = small_params()["mix"] | {"runs": {}}
    write_params(list(RIGHT), mix)
    for model, table in judgments().items():
        write_evaluation(model, [float(number < RIGHT[model]) for number in range(40)])
        folder = Path("data/judgments") / model
        folder.mkdir(parents=True)
        write_table(folder, table)
        write_json(folder / ".summary.json", {"status": "ok"})
        write_digests(model)
    pairs = {"dgm tuned": CHOICES, "dgm rival": {"turns": 0}}
    write_json(Path("data/preference/tables.json"), {"side_by_side": {"pairs": pairs}})


def write_params(models: list[str], mix: dict[str, Any]) -> None:
    params = {"compare": models, "differences": small_params()["differences"], "mix": mix}
    Path("params.yaml").write_text(json.dumps(params), encoding="utf-8")


def write_evaluation(model: str, scores: list[float]) -> None:
    folder = Path("data/evaluations") / model
    (folder / "samples").mkdir(parents=True)
    write_samples(folder / "samples/quiz.parquet", [
        {"task": "quiz", "id": number, "score": score} for number, score in enumerate(scores)
    ])  # fmt: skip
    metrics = {"acc": measure([[score] for score in scores])}
    tasks = {"quiz": {"status": "ok", "reason": None, "primary": "acc", "metrics": metrics}}
    write_json(folder / "results.json", {"tasks": tasks, "averages": {"average": average(tasks, ["quiz"])}})


def write_digests(model: str) -> None:
    digests = {kind: sha256_folder(Path("data") / kind / model) for kind in ("evaluations", "judgments")}
    write_json(Path(f"metrics/digests/models/{model}.json"), digests)


def test_the_stage_writes_every_difference_and_the_verdicts_that_git_keeps(project):
    main()
    tables = read_json(Path("data/differences/tables.json"))
    cell = tables["measures"]["quiz"]["dgm tuned"]
    assert (cell["value"], cell["test"], cell["p"], cell["n"]) == (0.25, "mcnemar", 0.001953, 40)  # 2 / 2**10
    assert tables["measures"]["quiz"]["tuned rival"]["p"] == 1
    assert tables["judge"]["dgm tuned"]["value"] == 1.875  # 57 / 8 less 42 / 8
    assert tables["choices"] == {
        "dgm tuned": tables["choices"]["dgm tuned"] | {"value": 0.5, "q": 0.02, "verdict": "better"}
    }
    assert tables["families"] == {"averages": 3, "benchmarks": 3, "judge": 3, "choices": 1}
    summary = read_json(Path("data/differences/summary.json"))
    assert summary["pairs"]["average"] == {
        "dgm tuned": "better",
        "dgm rival": "better",
        "tuned rival": "not decided",
    }
    assert summary["pairs"]["choices"] == {"dgm tuned": "better"}
    assert sum(summary["verdicts"].values()) == 10


def test_a_second_run_writes_the_same_bytes(project):
    main()
    first = sha256_folder(Path("data/differences"))
    main()
    assert sha256_folder(Path("data/differences")) == first


def test_when_the_judge_failed_too_often_none_of_its_judgments_count(project):
    write_json(Path("data/judgments/dgm/.summary.json"), {"status": "failed"})
    write_digests("dgm")
    main()
    assert list(read_json(Path("data/differences/tables.json"))["judge"]) == ["tuned rival"]


def test_evaluations_that_do_not_match_their_digest_are_refused(project):
    write_json(Path("data/evaluations/rival/results.json"), {})
    with pytest.raises(Exception, match="data/evaluations/rival does not match the digest in metrics/"):
        main()
