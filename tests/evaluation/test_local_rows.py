"""Rows of benchmarks on this machine: which files are read, and errors before a model is loaded."""

from pathlib import Path

import pytest

from stages.lib.console.errors import UserError
from stages.lib.evaluation.lm_eval_tasks import find_tasks
from tests.support.leaderboard import FILES, LOCAL, section, write_files


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files(Path("rows"))
    Path("scratch").mkdir()
    return Path("rows")


def test_only_those_of_lm_evals_tasks_that_are_needed_are_read(rows, tmp_path):
    manager, num_parts = find_tasks(section(), tmp_path / "scratch")
    assert "leaderboard_bbh" in manager.all_tasks and "gsm8k" not in manager.all_tasks
    assert (num_parts["leaderboard_bbh"], num_parts["leaderboard_ifeval"]) == (24, 1)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("leaderboard_mmlu_pro/validation-00000-of-00001.parquet", "leaderboard_mmlu_pro/validation.jsonl"),
        ("leaderboard_gpqa/gpqa_diamond/train.parquet", "leaderboard_gpqa/gpqa_diamond/train.jsonl"),
        ("leaderboard_musr/murder_mysteries.csv", "leaderboard_musr/murder_mysteries.jsonl"),
    ],
)
def test_a_missing_file_is_named_in_one_line(rows, tmp_path, file, message):
    assert file in FILES
    (rows / file).unlink()
    with pytest.raises(UserError) as error:
        find_tasks(section(), tmp_path / "scratch")
    task = file.partition("/")[0]
    assert str(error.value).startswith(
        f"evaluate.local_data.{task}: rows/{message} (or .parquet, .csv) is not there; put it"
    )
    assert "\n" not in str(error.value)


def test_an_unknown_part_of_a_group_is_named_with_the_known_ones(rows, tmp_path):
    wrong = section(local_data=LOCAL | {"leaderboard_gpqa": ["gpqa_ruby"]})
    with pytest.raises(UserError, match=r"no part 'gpqa_ruby'; it has: gpqa_diamond, gpqa_extended, gpqa_main"):
        find_tasks(wrong, tmp_path / "scratch")


def test_files_of_several_formats_in_one_folder_are_refused(rows, tmp_path):
    (rows / "leaderboard_mmlu_pro/test.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match=r"the files of rows/leaderboard_mmlu_pro have several formats; keep one"):
        find_tasks(section(), tmp_path / "scratch")


def test_an_absent_folder_of_tasks_is_named(tmp_path):
    with pytest.raises(UserError, match="there is no folder nowhere; name one that holds lm-eval's task files"):
        find_tasks(section(tasks_folder="nowhere"), tmp_path)
