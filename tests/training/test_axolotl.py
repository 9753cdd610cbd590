"""Axolotl's process: its environment and commands, the work folder, and why there is no model."""

from pathlib import Path

import pytest

from stages.lib.console.errors import UserError
from stages.lib.training import axolotl
from stages.lib.training.protocol import COMPLETE, OUTPUT, REFUSAL
from tests.support.training import log_entry, write_log


def test_a_missing_training_environment_is_one_plain_line(tmp_path, monkeypatch):
    monkeypatch.setenv("REWILD_TRAIN_ENV", str(tmp_path))
    with pytest.raises(UserError, match=r"^the training environment is missing: run `make env`; `make doctor` shows"):
        axolotl.train_python()


def test_a_temporary_experiment_finds_the_environment_of_the_main_checkout(tmp_path, monkeypatch):
    (tmp_path / ".venv-train/bin").mkdir(parents=True)
    (tmp_path / ".venv-train/bin/python").touch()
    monkeypatch.delenv("REWILD_TRAIN_ENV", raising=False)
    (tmp_path / "copy/.dvc").mkdir(parents=True)
    config = f"[core]\n    no_scm = true\n[cache]\n    dir = {tmp_path}/.dvc/cache\n"
    (tmp_path / "copy/.dvc/config").write_text(config)  # DVC gives the copy the cache of the main checkout
    monkeypatch.chdir(tmp_path / "copy")
    assert axolotl.train_python() == tmp_path / ".venv-train/bin/python"


@pytest.mark.parametrize(("num_gpus", "visible"), [(0, ""), (2, "4,5")])
def test_training_on_a_cpu_sees_no_gpu_whatever_the_machine_has(num_gpus, visible, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    variables = axolotl.environment(Path("env/bin/python"), Path("work"), num_gpus, offline=True)
    assert variables["CUDA_VISIBLE_DEVICES"] == visible


def test_the_data_is_prepared_first_for_several_gpus_and_a_launcher_replaces_axolotls_launch(tmp_path, monkeypatch):
    monkeypatch.delenv("REWILD_LAUNCHER", raising=False)
    one, (prepare, launch) = (axolotl.commands(Path("python"), tmp_path, number) for number in (1, 4))
    assert [command[3:] for command in one] == [["train", f"{tmp_path}/axolotl.yaml", "--launcher", "python"]]
    assert prepare[3:] == ["preprocess", f"{tmp_path}/axolotl.yaml"]
    assert launch[5:] == ["--launcher", "torchrun", "--", "--standalone", "--nproc_per_node", "4"]
    monkeypatch.setenv("REWILD_LAUNCHER", "/lab/launch.sh")
    assert axolotl.commands(Path("python"), tmp_path, 16) == [prepare, ["/lab/launch.sh", f"{tmp_path}/axolotl.yaml"]]
    (tmp_path / "prepared/0123").mkdir(parents=True)
    assert axolotl.commands(Path("python"), tmp_path, 16) == [["/lab/launch.sh", f"{tmp_path}/axolotl.yaml"]]


def test_whole_checkpoints_are_kept_for_the_same_training_and_deleted_for_another(tmp_path):
    work = tmp_path / "work"
    axolotl.prepare_work(work, {"seed": 1}, "mix")
    for name in ("checkpoint-4", "checkpoint-8"):
        (work / "out" / name).mkdir(parents=True)
    (work / f"out/checkpoint-4/{COMPLETE}").touch()
    axolotl.prepare_work(work, {"seed": 1}, "mix")
    assert [path.name for path in work.glob("out/*")] == ["checkpoint-4"]
    axolotl.prepare_work(work, {"seed": 1}, "another mix")
    assert not list(work.glob("out/*"))


def test_axolotls_exit_code_0_after_ctrl_c_is_not_a_success(tmp_path):
    write_log(tmp_path, [log_entry(8), log_entry(9)])
    assert str(axolotl.explain(0, tmp_path)) == "training stopped at step 9 of 13; run it again to resume"


def test_an_error_of_axolotl_is_one_line_that_names_the_file_with_its_output(tmp_path):
    (tmp_path / OUTPUT).write_text("Traceback\n  File x\nValueError: no \x1b[1m bf16\nW1125 a warning\n")
    message = str(axolotl.explain(1, tmp_path))
    assert message.startswith(r"Axolotl ended with exit code 1: ValueError: no \x1b[1m bf16 (its whole output is in ")
    assert message.endswith("axolotl.txt)")


def test_without_an_error_the_message_has_the_last_line_of_output(tmp_path):
    (tmp_path / OUTPUT).write_text("one\nKilled\n\n")
    assert "exit code -9: Killed (its" in str(axolotl.explain(-9, tmp_path))


def test_the_user_reads_the_reason_for_a_refusal(tmp_path):
    (tmp_path / REFUSAL).write_text("3 conversations make 1 step")
    assert str(axolotl.explain(2, tmp_path)) == "3 conversations make 1 step"
