"""The whole pipeline from a fresh clone, with the real vLLM, Axolotl and lm-eval, smaller than the demo."""

import os
from pathlib import Path

import pytest

from tests.support.project import ROOT, Project

COMPARED = """- demo-base
- demo-rich
- demo-plain
- rewild
- only-rich
- only-plain
- only-rules
- rich-plain
- rich-half
"""
PAIRS = """  pairs:
  - - only-plain
    - only-rich
  - - demo-plain
    - demo-rich
  - - only-plain
    - demo-plain
  - - only-plain
    - demo-rich
  - - only-rich
    - demo-plain
  - - only-rich
    - demo-rich
"""
SMALLER = {
    "max_prompts: 420": "max_prompts: 40",
    "max_tokens: 256 ": "max_tokens: 96 ",
    "size: 200": "size: 20",
    "{knowledge: 100, algebra: 100}": "{knowledge: 10, algebra: 10}",
    "num_epochs: 3": "num_epochs: 1",
    "min_steps: 5": "min_steps: 1",
    COMPARED: "- demo-rich\n- rewild\n",
    PAIRS: "  pairs: all\n",
    "limit: 0": "limit: 6",
    "    only-rich:": "    # only-rich:",
    "    only-plain:": "    # only-plain:",
    "    only-rules:": "    # only-rules:",
    "    rich-plain:": "    # rich-plain:",
    "    rich-half:": "    # rich-half:",
}

SECRET = "-".join(["planted", "secret", "4711"])  # in parts, for this file is in the clone too


@pytest.mark.pipeline
@pytest.mark.timeout(1500)
def test_the_whole_pipeline_runs_with_the_real_engines_and_a_second_run_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("REWILD_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("REWILD_TRAIN_ENV", os.environ.get("REWILD_TRAIN_ENV", str(ROOT / ".venv-train")))
    project = Project(tmp_path / "clone")
    Project(tmp_path).run("git", "clone", "-q", str(ROOT), str(project.root))
    for old, new in SMALLER.items():
        project.edit("params.yaml", old, new)
    assert "run the same command again" in project.run("dvc", "repro", code=255), "the run with several seeds is gone"
    stages = project.repro()
    assert {"generate@demo-rich", "train@rewild", "answers@rewild", "evaluate@rewild", "report"} <= set(stages)
    judged = project.json("metrics/judge/demo-rich.json")
    assert (judged["status"], judged["ok"]) == ("ok", 48) and judged["score"] > 8, "the judge likes what it was made to"
    [pair] = project.json("data/preference/tables.json")["side_by_side"]["pairs"].values()
    assert pair["turns"] + pair["orders"]["failed"] > 40
    mix = project.json("metrics/mix/rewild.json")
    rows = {source: part["rows"] for source, part in mix["sources"].items()}
    assert rows == {"demo-rich": 20, "knowledge": 10, "algebra": 10}
    trained = project.json("metrics/train/rewild.json")
    if trained["rows"] == mix["rows"]:  # else rows with control strings were left out
        assert trained["tokens"] == mix["tokens"], "the manifest does not count what is trained"
    assert set(project.json("metrics/evaluate/rewild.json")["scores"]) == {
        "average", "demo_algebra", "demo_instructions", "demo_knowledge"
    }  # fmt: skip
    assert project.json("metrics/gate/demo-rich.json")["dropped_share"] <= 0.15
    assert "rewild" in (project.root / "data" / "report" / "index.html").read_text()
    assert project.repro() == []
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 100
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
