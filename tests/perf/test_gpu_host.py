"""Stages on a host without DVC, and their outs taken over at home."""

import json
import shutil
import tarfile
from pathlib import Path

import pytest

from stages.lib.core.files import sha256_file
from tests.support.project import ROOT, Project

RUN_EVERYTHING = ("run", "--stages", "train,answers,evaluate", "--jobs", "2")


def call(project: Project, *arguments: str, code: int = 0) -> str:
    return project.run("python", "-m", "perf.gpu_host", *arguments, code=code)


@pytest.fixture
def host(project: Project, tmp_path: Path) -> Project:
    return carry(project, tmp_path)


def carry(project: Project, tmp_path: Path, *options: str) -> Project:
    """A folder with what `prepare` packs at home, and the weights of the catalogue's models."""
    shutil.copytree(ROOT / "perf", project.root / "perf")
    call(project, "prepare", str(tmp_path / "carried"), *options)
    with tarfile.open(tmp_path / "carried") as tar:
        tar.extractall(tmp_path / "host", filter="data")
    shutil.copytree(project.root / "demo/models", tmp_path / "host/demo/models")
    return Project(tmp_path / "host")


def forget(project: Project) -> None:
    """Delete at home what the host makes."""
    for out in ("data/answers", "data/costs", "data/evaluations", "models/blend", "models/only"):
        shutil.rmtree(project.root / out)


def test_outs_come_home_without_weights_and_dvc_takes_them_over(project: Project, host: Project) -> None:
    output = call(host, *RUN_EVERYTHING)
    assert "train blend: done in" in output and output.splitlines()[-1].endswith("3 of 3 models are done")
    call(host, "pack", "packed")
    assert not list(host.root.glob("models/*/weights.json"))  # the digest of a model counts every file of its folder
    forget(project)
    command = call(project, "unpack", str(host.root / "packed")).splitlines()[-1]
    assert command.startswith("dvc commit --force answers@base answers@blend answers@only evaluate@base")
    assert command.endswith("train@blend train@only")
    project.run(*command.split())
    stages = project.repro()
    assert {"digest_run@blend", "digest_run@only"} <= set(stages)
    assert not [stage for stage in stages if stage.startswith(("train", "answers", "evaluate", "judge"))]
    assert "up to date" in project.run("dvc", "status") and project.repro("--allow-missing") == []
    weights = host.root / "models/blend/model.safetensors"
    digests = {"model.safetensors": {"sha256": sha256_file(weights), "bytes": weights.stat().st_size}}
    assert project.json("models/blend/weights.json") == digests
    assert not list((project.root / "models/blend").glob("*.safetensors"))
    assert project.json("metrics/costs/train/blend.json") == project.json("data/costs/train/blend.json")


def test_a_base_model_reads_the_replies_on_the_host(project: Project, tmp_path: Path) -> None:
    host = carry(project, tmp_path, "--replies")
    made = project.json("data/suitability/base/.summary.json")
    assert "suitability base: done in" in call(host, "run", "--stages", "suitability")
    call(host, "pack", "packed")
    shutil.rmtree(project.root / "data/suitability")
    command = call(project, "unpack", str(host.root / "packed")).splitlines()[-1]
    assert command == "dvc commit --force suitability@base"
    project.run(*command.split())
    assert project.json("data/suitability/base/.summary.json") == made
    assert "up to date" in project.run("dvc", "status")


def test_another_seed_is_trained_and_evaluated_and_dvc_takes_it_over(project: Project, tmp_path: Path) -> None:
    params = project.params()
    params["mix"]["runs"]["only"]["seeds"] = [42, 43]
    project.write_params(params)
    project.repro("check", code=255)
    project.repro("check")
    host = carry(project, tmp_path)
    output = call(host, "run", "--models", "only-seed43")
    assert "train only-seed43: done in" in output and "evaluate only-seed43: done in" in output
    assert "answers" not in output and output.splitlines()[-1].endswith("1 of 1 models are done")
    call(host, "pack", "packed")
    command = call(project, "unpack", str(host.root / "packed")).splitlines()[-1]
    assert command == "dvc commit --force evaluate_seed@only-seed43 train_seed@only-seed43"
    project.run(*command.split())
    stages = project.repro("digest_seed@only-seed43")
    assert [stage for stage in stages if "@" in stage] == ["digest_seed@only-seed43"]


def test_what_is_there_is_not_run_again_and_a_failure_ends_its_model_only(host: Project) -> None:
    (host.root / "models/blend.tmp").touch()  # where the stage wants a folder
    output = call(host, *RUN_EVERYTHING, code=1)
    assert output.count("train blend: FAILED") == 3 and "answers blend" not in output
    assert "evaluate only: done" in output and "2 of 3 models are done" in output
    assert "train only: is there" in call(host, *RUN_EVERYTHING, code=1)
    assert (host.root / ".dvc/tmp/gpu_host/train-blend.log").exists()


def test_what_a_failing_stage_has_written_is_not_taken_for_its_out(host: Project) -> None:
    call(host, "run", "--stages", "train", "--models", "only")
    stage = host.root / "stages/evaluate.py"
    stage.write_text(stage.read_text() + "\nraise SystemExit(1)\n")  # as where no task has a score
    output = call(host, "run", "--stages", "evaluate", "--models", "only", code=1)
    assert "evaluate only: FAILED" in output and "is there" not in output
    assert not (host.root / "data/evaluations/only").exists()
    assert not (host.root / "data/costs/evaluate/only.json").exists()


def test_an_out_that_is_being_written_stays_on_the_host(project: Project, host: Project) -> None:
    call(host, "run", "--stages", "train", "--models", "only")
    (host.root / "data/answers/only.tmp").mkdir(parents=True)
    (host.root / "data/answers/only.tmp/shard-00000.parquet").touch()
    call(host, "pack", "packed")
    forget(project)
    assert "dvc commit --force train@only" in call(project, "unpack", str(host.root / "packed"))


def test_a_name_that_no_stage_has_is_refused(host: Project) -> None:
    message = "gpu_host: nosuch is in none of these stages, which have: blend, only"
    assert message in call(host, "run", "--stages", "train", "--models", "nosuch", code=1)


def test_finished_conversations_come_home_in_the_store(project: Project, host: Project) -> None:
    call(host, "run", "--stages", "generate")
    call(host, "pack", "packed")
    shutil.rmtree(project.root / ".dvc/store")
    assert "the stores of 2 models are in place" in call(project, "unpack", str(host.root / "packed"))
    output = project.run("dvc", "repro", "--force", "-s", "generate@rich")
    assert "12 conversations are in the store, 0 to generate" in output


def test_weights_at_home_are_not_replaced_and_a_changed_file_is_noticed(project: Project, host: Project) -> None:
    call(host, "run", "--stages", "train")
    config = host.root / "models/blend/model.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"commit": "other"}))
    call(host, "pack", "packed")
    output = call(project, "unpack", str(host.root / "packed"), code=1)
    assert "models/blend has weights here, which would be lost: move it away first" in output
    forget(project)
    output = call(project, "unpack", str(host.root / "packed"), code=1)
    assert "models/blend: its files and weights.json do not make the commit of its model.json" in output
