"""The doctor's screen: everything aligned, the commands that mend, and an exit code that tells whether all is well."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from commands.doctor import command, environments, machine, tools
from commands.doctor.environments import look_at_environment, look_at_unused
from commands.doctor.findings import BROKEN, MISSING, OK, Finding, conclude, layout, quote
from commands.doctor.machine import look_at_gpus, look_at_memory, look_at_python, look_at_shm, need_gpus
from commands.doctor.tools import look_at_evalchemy, look_at_wordnet
from requirements import build
from stages.lib.console.machine import GIB, Gpu

ROOT = Path(__file__).parents[2]
GROUPS = [
    ("machine", [Finding("git", OK, "2.39.5"), Finding("GPU", MISSING, "none")]),
    ("environments", [Finding(".venv", BROKEN, "is half built", "make env")]),
]
H200 = Gpu("NVIDIA H200", "570.86", 140 * GIB, 139 * GIB)


def test_states_and_names_stand_in_columns_and_the_command_at_the_end() -> None:
    assert layout(GROUPS, coloured=False) == [
        "machine",
        "  ok       git    2.39.5",
        "  missing  GPU    none",
        "environments",
        "  broken   .venv  is half built  [make env]",
    ]
    assert "\033[31;1mbroken \033[0m" in layout(GROUPS, coloured=True)[-1]


def test_the_last_line_says_what_to_run() -> None:
    assert conclude(GROUPS) == "Broken: .venv. Run `make env`."
    assert conclude(GROUPS[:1]) == "Nothing that is needed is missing or broken."
    twice = [*GROUPS, ("project", [Finding("rwlock", BROKEN, "", "make doctor MEND=yes")])]
    assert conclude(twice) == "Broken: .venv, rwlock. Run `make env`, then `make doctor MEND=yes`."


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout in which nothing was built, and an nltk without data."""
    for name in ("commands", "stages", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tools, "wordnet_places", lambda: [tmp_path / "nltk_data"])
    return tmp_path


def test_a_fresh_clone_lacks_only_its_environments_and_any_python_says_so(fresh: Path) -> None:
    program = [sys.executable, "-S", "-m", "commands.doctor"]
    ended = subprocess.run(program, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": ""})
    assert ended.stderr == "" and ended.returncode == 1
    lines = ended.stdout.splitlines()
    assert lines[-1] == "Broken: .venv, .venv-train. Run `make env`."
    assert "missing DVC's remote not looked at without .venv" in [" ".join(line.split()) for line in lines]
    assert len(lines) < 30 and max(map(len, lines)) < 140


def test_the_exit_code_is_0_when_only_what_is_optional_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "examine", lambda **_: GROUPS[:1])
    command.main([])
    assert capsys.readouterr().out.endswith("\n\nNothing that is needed is missing or broken.\n")
    monkeypatch.setattr(command, "examine", lambda **_: GROUPS)
    with pytest.raises(SystemExit) as ended:
        command.main([])
    assert ended.value.code == 1


def test_an_environment_that_is_half_built_is_broken(fresh: Path) -> None:
    (fresh / ".venv-train/bin").mkdir(parents=True)
    found = look_at_environment(".venv-train", has_gpu=False)
    assert (found.state, found.text, found.mend) == (BROKEN, "is half built", "make env")
    assert look_at_environment(".venv-evalchemy", has_gpu=False).state == MISSING


def test_an_environment_elsewhere_is_looked_at_there(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REWILD_TRAIN_ENV", str(fresh))
    found = look_at_environment(".venv-train", has_gpu=False)
    assert (found.state, found.text) == (BROKEN, f"REWILD_TRAIN_ENV={fresh} has no bin/python")


def test_environments_that_no_worktree_uses_are_named_with_the_command_that_frees_their_disk(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REWILD_ENVS", raising=False)
    (fresh / ".venvs/main-cpu-1").mkdir(parents=True)
    (fresh / ".venvs/main-cpu-2").mkdir()
    (fresh / ".venv").symlink_to(".venvs/main-cpu-1")
    (found,) = look_at_unused()
    assert found.text == "1 that no worktree uses, 1 of them half built; to free their disk"
    assert found.mend == "rm -r .venvs/main-cpu-2"


def test_an_environment_that_is_being_built_is_not_called_unused(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REWILD_ENVS", raising=False)
    with build.exclusive(fresh / ".venvs", "main-cpu-1"):
        (fresh / ".venvs/main-cpu-1-2").mkdir()
        assert look_at_unused() == []
        (fresh / ".venvs/main-cpu-3-2").mkdir()
        assert look_at_unused()[0].mend == "rm -r .venvs/main-cpu-3-2"
    assert look_at_unused()[0].mend == "rm -r .venvs/main-cpu-1-2 .venvs/main-cpu-3-2"


def test_paths_in_commands_are_quoted(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(fresh.parent))
    assert quote("it's here") == """'it'"'"'s here'"""
    assert quote(fresh.parent / "my own") == "~/'my own'"
    assert quote("/a b") == "'/a b'" and quote("/a") == "/a"


def test_a_torch_that_sees_no_gpu_is_broken(fresh: Path) -> None:
    python = fresh / "env/bin/python"
    python.parent.mkdir(parents=True)
    for answer, problem in (
        ("echo True 13.0", ""),
        ("echo False 13.0", "its torch for CUDA 13.0 sees no GPU: the driver may be too old"),
        ("echo 'ImportError: libcudart' >&2; exit 1", "its torch does not start (ImportError: libcudart)"),
    ):
        python.write_text(f"#!/bin/sh\n{answer}\n")
        python.chmod(0o755)
        assert environments.ask_cuda(fresh / "env") == problem


def test_gpus_are_compared_with_what_params_ask_for() -> None:
    assert look_at_gpus([H200] * 2, 0, "").text == "NVIDIA H200 x2, 278 of 280 GiB free, driver 570.86"
    assert look_at_gpus([], 0, "").text == "none; the active params.yaml asks for none"
    assert look_at_gpus([], 0, None).text == "none"
    found = look_at_gpus([H200], 8, "train.num_gpus")
    assert (found.state, found.text) == (BROKEN, "1, and params.yaml asks for 8 (train.num_gpus)")
    assert look_at_gpus(None, 8, "train.num_gpus").state == MISSING


def test_gpus_of_dgms_count_where_vllm_is_built_for_gpus() -> None:
    facts = {"gpus": [1, "train.num_gpus"], "gpus_to_generate": [4, "tensor_parallel of x"]}
    assert need_gpus(facts, "cpu") == (1, "train.num_gpus")
    assert need_gpus(facts, "gpu") == (4, "tensor_parallel of x")
    assert need_gpus({}, "gpu") == (0, None)


def test_a_small_shared_memory_counts_where_one_model_has_several_gpus(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "LEAST_SHM", 1e30)
    assert look_at_shm(1, fresh) == []
    assert look_at_shm(2, fresh)[0].state == BROKEN
    monkeypatch.setattr(machine, "LEAST_SHM", 1)
    assert look_at_shm(2, fresh)[0].state == OK


def test_wordnet_is_broken_where_params_need_it_or_it_is_torn(fresh: Path) -> None:
    assert look_at_wordnet(needed=False).state == MISSING
    found = look_at_wordnet(needed=True)
    assert (found.state, found.mend) == (BROKEN, "make wordnet")
    (fresh / "nltk_data/corpora/wordnet").mkdir(parents=True)
    assert look_at_wordnet(needed=False).text == "nltk_data/corpora/wordnet has no data.noun"
    (fresh / "nltk_data/corpora/wordnet/data.noun").write_text("x")
    assert look_at_wordnet(needed=True).state == OK


def test_a_clone_of_evalchemy_without_the_commit_is_broken(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVALCHEMY_HOME", raising=False)
    assert look_at_evalchemy().state == MISSING
    subprocess.run(["git", "init", "-q", ".evalchemy"], check=True)
    assert look_at_evalchemy().text.startswith(".evalchemy has no commit ")


def test_a_disk_without_room_for_bytes_or_files_is_broken(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.describe_disk("disk", fresh).state == OK
    monkeypatch.setattr(machine, "LEAST_DISK", 1e18)
    assert machine.describe_disk("disk", fresh).text.endswith("free: free some space")


def test_the_machine_says_what_it_has() -> None:
    assert look_at_python().text.startswith("3.11.")
    assert " of memory available" in look_at_memory().text
    assert machine.describe_links(Path("nowhere")) in {
        "DVC uses reflinks",
        "no reflinks, DVC uses hard links: never edit an out in place",
    }


def test_what_takes_too_long_or_fails_is_said_and_waited_for_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\necho \'{"name": "lab"}\'; exec sleep 9\n')
    program.chmod(0o755)
    monkeypatch.setitem(command.FACTS_SECONDS, "remote", 1)
    assert command.ask(str(program), "remote") == {"name": "lab", "problem": "no answer within 1 s"}
    program.write_text("#!/bin/sh\necho 'Unable to locate credentials' >&2; exit 1\n")
    assert command.ask(str(program), "remote") == {"problem": "Unable to locate credentials"}


def answer(fresh: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let a script answer in place of the environment's Python."""
    program = fresh / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(command, "find_environment_python", lambda: str(program))


@pytest.mark.parametrize("is_built", [True, False])
def test_nothing_is_mended_while_it_is_not_known_how_dvc_locks(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, is_built: bool
) -> None:
    if is_built:
        answer(fresh, monkeypatch, "echo 'config file error: line 7' >&2; exit 1")
    (fresh / ".dvc/tmp").mkdir(parents=True)
    torn = fresh / ".dvc/cache/files/md5/ab" / ("0" * 30)
    torn.parent.mkdir(parents=True)
    for path in (torn, fresh / ".dvc/tmp/rwlock"):
        path.touch()
    found = {finding.name: finding for _, group in command.examine(mend=True, everything=False) for finding in group}
    assert torn.exists() and (fresh / ".dvc/tmp/rwlock").exists()
    assert found["DVC's cache"].state == found["DVC's locks"].state == BROKEN
    if is_built:
        text = "cannot be asked, so nothing is mended: config file error: line 7"
        assert (found["DVC"].state, found["DVC"].text) == (BROKEN, text)
    else:
        assert found[".venv"].state == BROKEN and "DVC" not in found


def project(fresh: Path) -> subprocess.CompletedProcess[str]:
    shutil.copytree(ROOT / "dgms", fresh / "dgms", dirs_exist_ok=True)
    program = [sys.executable, "-W", "ignore", "-m", "commands.doctor.facts", "project"]
    return subprocess.run(program, capture_output=True, text=True, check=False)


def test_an_unreadable_configuration_of_dvc_is_one_line(fresh: Path) -> None:
    (fresh / ".dvc").mkdir()
    (fresh / ".dvc/config").write_text("[core]\n[[[\n[[[\n")
    ended = project(fresh)
    assert ended.returncode == 1 and ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("config file error: Parsing failed with several errors. First error at line 2.")


def test_a_number_of_gpus_that_is_a_word_is_a_fault_of_params(fresh: Path) -> None:
    (fresh / ".dvc").mkdir()
    subprocess.run(["git", "init", "-q"], check=True)
    params = (fresh / "params.yaml").read_text()
    section = params.index("\ntrain:")
    edited = re.sub(r"(\n  device:) cpu", r"\1 gpu", params[section:], count=1)
    edited = re.sub(r"(\n  num_gpus:) 0", r"\1 two", edited, count=1)
    (fresh / "params.yaml").write_text(params[:section] + edited)
    facts = json.loads(project(fresh).stdout)
    assert facts["params"] == "params.yaml cannot be read: train.num_gpus: 'two' is no whole number"
    assert "gpus" not in facts and look_at_gpus([H200], *need_gpus(facts, "gpu")).state == OK
