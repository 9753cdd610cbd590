"""The profile of two real models: what the script writes is a whole params.yaml."""

import shutil
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from perf.real_models import main
from stages.lib.checking.params import check_params
from stages.lib.core.files import read_json
from stages.lib.core.sections import read_yaml
from tests.support.project import ROOT


def test_the_profile_can_be_read_and_lists_the_other_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("profiles", "dgms", "stages/lib/judging/prompts"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "metrics").mkdir()
    (tmp_path / "bench").mkdir()
    pq.write_table(pa.table({"source": ["arena", "ifeval"], "text": ["a", "b"]}), tmp_path / "prompts.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["real_models", "prompts.parquet", "bench", "--prompts", "7"])
    main()
    params = read_yaml(Path("params.yaml"))
    check_params(params, "params.yaml")
    assert params["prompts"]["max_prompts"] == 7 and params["prompts"]["languages"] == []
    assert pq.read_table("inputs/prompts.parquet")["text"].to_pylist() == ["a"], "no row of a benchmark"
    assert "smollm2-gpt-seed44" in read_json(Path("metrics/seeds.json"))["seeds"]
