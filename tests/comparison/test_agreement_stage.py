"""The stage agreement: all comparisons in tables.json, and the numbers that git keeps."""

import json
from pathlib import Path

import pytest

from stages.agreement import main
from stages.lib.core.files import read_json, sha256_folder, write_json
from tests.support.project import small_params
from tests.support.results import results


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two DGMs and a run on each, one benchmark of one run missing; and nothing else."""
    monkeypatch.chdir(tmp_path)
    runs = {"on-rich": {"base": "rich", "dgms": {"rich": 1.0}}, "on-plain": {"base": "rich", "dgms": {"plain": 2.0}}}
    mix = small_params()["mix"] | {"runs": runs}
    Path("params.yaml").write_text(f"compare: [rich, plain, on-rich, on-plain]\nmix: {json.dumps(mix)}\n")
    write_json(Path("data/checked/families.json"), {dgm: dgm for dgm in ("rich", "plain")})
    sources = {run: {run.removeprefix("on-"): {"take": {"rows": 10}}} for run in ("on-rich", "on-plain")}
    write_json(Path("metrics/recipes.json"), {"runs": {run: {"sources": taken} for run, taken in sources.items()}})
    for run in sources:
        write_json(Path(f"metrics/mix/{run}.json"), {"sources": {run.removeprefix("on-"): {"rows": 9}}})
    write_json(Path("data/preference/tables.json"), {"models": {}, "by_score": {}, "flips": {"pairs": {}}})
    write_evaluation("rich", math=0.5, chat=0.6)
    write_evaluation("plain", math=0.4, chat=0.7)
    write_evaluation("on-rich", math=0.3, chat=0.8)
    write_evaluation("on-plain", math=0.2, chat=None)
    return tmp_path


def write_evaluation(name: str, **values: float | None) -> None:
    folder = Path("data/evaluations") / name
    folder.mkdir(parents=True)
    write_json(folder / "results.json", results(**values))
    write_json(Path(f"metrics/digests/models/{name}.json"), {"evaluations": sha256_folder(folder)})


def test_the_stage_writes_all_comparisons_and_the_numbers_that_git_keeps(project):
    main()
    first = {path.name: path.read_bytes() for path in Path("data/agreement").iterdir()}
    assert set(first) == {"tables.json", "summary.json"}
    summary = read_json(Path("data/agreement/summary.json"))
    counts = {"agree": 1, "disagree": 0, "tie": 0, "missing": 1, "beyond_noise": 1, "beyond_noise_agree": 1}
    assert summary["agreement"] == counts | {"rate": 1.0, "rate_ties_disagree": 1.0}
    assert summary["on_policy"] == {"rich, 10 conversations": {"average": None, "math": 0.1, "chat": None}}
    assert (summary["blends"], summary["scaling"], summary["paper"]) == ({}, {}, {"cells": 0, "outside": 0})
    tables = read_json(Path("data/agreement/tables.json"))
    assert tables["agreement"]["pairs"][0]["cells"]["chat"]["missing"] == ["on-plain"]
    assert tables["agreement"]["pairs"][0]["rows"] == [9, 9]
    params = Path("params.yaml").read_text()
    Path("params.yaml").write_text(
        params.replace("[rich, plain, on-rich, on-plain]", "[on-plain, on-rich, plain, rich]")
    )
    main()
    assert {path.name: path.read_bytes() for path in Path("data/agreement").iterdir()} == first


def test_evaluations_that_do_not_match_their_digest_are_refused(project):
    write_json(Path("data/evaluations/rich/results.json"), results(math=0.9))
    with pytest.raises(Exception, match="data/evaluations/rich does not match the digest in metrics/"):
        main()
