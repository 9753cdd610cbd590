"""What `make` is given is checked before anything is built."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from requirements.arguments import SWITCHED, check_arguments, needed, read_given, usages
from requirements.failure import Failure

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("goals", "given", "line"),
    [
        ("analyse", "", "RESPONSES is missing: make analyse RESPONSES=file.parquet [OUT=folder]"),
        ("analyse", "OUT=x RESPONSES=", "RESPONSES is missing: make analyse RESPONSES=file.parquet [OUT=folder]"),
        ("analyse", "RESPONSES=nowhere.parquet", "RESPONSES: nowhere.parquet is not there"),
        ("compare", "A=rewild", "B is missing: make compare A=rewild B=only-rich"),
        ("retry", "", "DGM is missing: make retry DGM=llama-3-1-8b-instruct"),
        ("add", "ID=muse", "MODEL is missing: make add MODEL=owner/name [ID=its-id] [NUM=200] [CALLS=400]"),
        ("accept", "", "STAGE is missing: make accept STAGE=train"),
        ("profile", "NAME=papr", "NAME=papr: there is no profiles/papr.yaml; did you mean paper?"),
        ("profile", "NAME=x", "NAME=x: there is no profiles/x.yaml; there are: demo, paper, small"),
        ("profile", "NAMES=paper", "NAMES= is no argument of make here; did you mean NAME?"),
        ("env", "DEVICE=tpu", "DEVICE=tpu: it is cpu or gpu"),
        ("env", "DEVIC=gpu", "DEVIC= is no argument of make here; did you mean DEVICE?"),
        (
            "pin",
            r"ID=demo-rich\ demo-rch",
            "ID=demo-rch: there is no dgms/demo-rch.yaml; did you mean demo-rich?",
        ),
        ("pilot", "DGM=demo-plan", "DGM=demo-plan: there is no dgms/demo-plan.yaml; did you mean demo-plain?"),
        ("wordnet", "FROM=/nowhere", "FROM: /nowhere is not there"),
        ("analyse", r"RESPONSES=Anna's\ replies.parquet", "RESPONSES: Anna's replies.parquet is not there"),
        ("doctor", "MEDN=yes", "MEDN= is no argument of make here; did you mean MEND?"),
        ("doctor", "MEND=1", "MEND=1: it is yes or no"),
        ("doctor", "ALL=true", "ALL=true: it is yes or no"),
        ("watch", "ONCE=y", "ONCE=y: it is yes or no"),
        ("pilot", "TUNE=YES", "TUNE=YES: it is yes or no"),
    ],
)
def test_an_argument_that_is_missing_or_wrong_gets_one_line(
    monkeypatch: pytest.MonkeyPatch, goals: str, given: str, line: str
) -> None:
    monkeypatch.chdir(ROOT)
    device = read_given(f"-- {given}").get("DEVICE", "")
    with pytest.raises(Failure) as error:
        check_arguments(goals.split(), f"s -- {given}", device)
    assert str(error.value) == line


@pytest.mark.parametrize(
    ("goals", "makeflags"),
    [
        ("demo", ""),
        ("demo", "w -j --jobserver-auth=3,4"),
        ("env", "-- DEVICE=gpu PYTHON=python3.11 TORCH_INDEX=https://a.example/x"),
        ("profile", "-- NAME=paper"),
        ("pilot", r"-- TUNE=yes DGM=demo-rich\ demo-plain"),
        ("pin", ""),
        ("doctor", "-- MEND=no ALL="),
        ("add", "-- MODEL=lab/Muse-1B ID=muse NUM=20"),
        ("compare", "-- A=rewild B=rewild@HEAD~3 NUM=500 OUT=x"),
        ("test check", "-- REWILD_ENVS=/x UV_FIND_LINKS=/y"),
        ("evalchemy", "-- EVALCHEMY_HOME=/x EVALCHEMY_SOURCE=/y"),
    ],
)
def test_what_is_right_passes(monkeypatch: pytest.MonkeyPatch, goals: str, makeflags: str) -> None:
    monkeypatch.chdir(ROOT)
    check_arguments(goals.split(), makeflags, read_given(makeflags).get("DEVICE", ""))


def test_an_argument_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("NAME", "paper")
    check_arguments(["profile"], "", "")


def test_a_switch_in_the_environment_counts_for_the_command_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("ALL", "1")
    check_arguments(["demo"], "", "")
    with pytest.raises(Failure, match=r"^ALL=1: it is yes or no$"):
        check_arguments(["doctor"], "", "")


@pytest.mark.parametrize("value", ["Anna's replies", 'a "b', "a\\b \\", "$$HOME", "a\t#b", "a -- b=c"])
def test_what_make_passes_on_is_read_as_it_was_given(tmp_path: Path, value: str) -> None:
    (tmp_path / "Makefile").write_text("all:\n\t@printf '%s' \"$$MAKEFLAGS\"\n")
    command = [str(shutil.which("make")), "-s", "-C", str(tmp_path), f"A={value}", "B=1"]
    passed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert read_given(passed) == {"A": value, "B": "1"}


def test_the_line_of_a_command_says_what_it_needs() -> None:
    calls = usages(
        "a: .venv/lock ## do it: make a ONE=x [TWO=y], or so: THREE=z\n"
        "b: ## nothing\n"
        "c: a ## as `make a`: make c [D=1]\n"
    )
    assert calls == {"a": "make a ONE=x [TWO=y]", "c": "make c [D=1]"}
    assert needed(calls["a"]) == ["ONE"] and needed(calls["c"]) == []


def make(*words: str, path: str = "") -> subprocess.CompletedProcess[str]:
    command = [str(shutil.which("make")), "--no-print-directory", "-C", str(ROOT), *words]
    environment = os.environ | ({"PATH": path} if path else {})
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_make_itself_checks_before_it_builds() -> None:
    ended = make("compare", "A=rewild")
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[0] == "make: B is missing: make compare A=rewild B=only-rich"


@pytest.mark.parametrize(
    ("goal", "switch", "word"),
    [
        ("doctor", "MEND", "--mend"),
        ("doctor", "ALL", "--all"),
        ("watch", "ONCE", "--once"),
        ("pilot", "TUNE", "commands.pilot.tune"),
    ],
)
def test_a_switch_is_on_with_yes_alone(goal: str, switch: str, word: str) -> None:
    shown = {value: make("--dry-run", "--old-file=.venv/lock", goal, f"{switch}={value}").stdout for value in SWITCHED}
    assert {value: word in recipe for value, recipe in shown.items()} == {"yes": True, "no": False, "": False}


def test_the_doctor_looks_at_its_arguments_first() -> None:
    ended = make("doctor", "MEDN=yes")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines()[0] == "make: MEDN= is no argument of make here; did you mean MEND?"


def test_without_any_python_make_says_both_ways() -> None:
    ended = make("--old-file=.venv/lock", "doctor", path="/nowhere")
    assert ended.stderr.splitlines()[0] == (
        "make: neither Python nor uv is here: install Python 3.11, or uv, which brings it"
    )


def test_make_gives_the_program_pytorchs_public_index_by_default() -> None:
    recipe = make("--dry-run", ".venv-train/lock").stdout
    assert '-m requirements.build .venv-train --device "" --python "" ' in recipe
    assert '--torch-index "https://download.pytorch.org/whl/cpu"' in recipe
