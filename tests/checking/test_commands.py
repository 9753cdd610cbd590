"""Mistakes as the commands show them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.support.project import NO_TRAINING, ROOT, small_params, write_demo, write_model


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    write_demo(tmp_path, 6)
    for name in ("rich", "plain", "base"):
        write_model(tmp_path, name)
    with (tmp_path / "params.yaml").open("w") as file:
        YAML().dump(small_params(), file)
    (tmp_path / "profiles").mkdir()
    return tmp_path


def run(checkout: Path, *words: str) -> tuple[int, str]:
    """The exit code of a module and what it prints."""
    command = [sys.executable, "-m", *words]
    environment = {**NO_TRAINING, **os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def edit(file: Path, *changes: tuple[str, str]) -> None:
    text = file.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)


def line_of(file: Path, text: str) -> int:
    """The number of the first line that begins so."""
    return next(number for number, line in enumerate(file.read_text().splitlines(), 1) if line.startswith(text))


def test_all_mistakes_are_named_at_once_in_the_order_of_their_lines(checkout: Path) -> None:
    assert run(checkout, "commands.params") == (0, "")
    file = checkout / "params.yaml"
    edit(file, ("  size: 4", "  sise: 4"), ("parquet", "parqet"), ("- plain\n", "- plan\n"))
    prompts, knowledge, plan, size = (
        line_of(file, text) for text in ("  source: demo/prompts", "    source: demo/knowledge", "- plan", "  sise")
    )
    assert prompts < knowledge < plan < size
    hint = "did you mean demo/knowledge.parquet?"
    assert run(checkout, "commands.params") == (
        1,
        f"""params: 4 mistakes:
params.yaml:{prompts}: prompts.source: demo/prompts.parqet is not there; did you mean demo/prompts.parquet?
params.yaml:{knowledge}: auxiliary.knowledge.source: demo/knowledge.parqet is not there; {hint}
params.yaml:{plan}: dgms: there is no dgms/plan.yaml; did you mean plain?
params.yaml:{size}: mix.sise: no such key; did you mean size?
""",
    )


def test_of_many_mistakes_ten_are_named(checkout: Path) -> None:
    edit(checkout / "params.yaml", ("seed:", "sed:"))
    code, output = run(checkout, "commands.params", "sections")
    lines = output.splitlines()
    assert (code, lines[0], len(lines)) == (1, "params: 13 mistakes:", 12)
    first = line_of(checkout / "params.yaml", "  sed:")
    assert (lines[1], lines[-1]) == (f"params.yaml:{first}: prompts.sed: no such key; did you mean seed?", "and 3 more")


def test_a_profile_with_a_mistake_replaces_nothing(checkout: Path) -> None:
    before = (checkout / "params.yaml").read_text()
    (checkout / "profiles" / "mine.yaml").write_text(before.replace("  size: 4", "  size: four"))
    number = line_of(checkout / "profiles" / "mine.yaml", "  size: four")
    line = f"profiles/mine.yaml:{number}: mix.size: should be a whole number, got the text 'four'"
    assert run(checkout, "commands.profile", "mine") == (1, f"profile: {line}\n")
    assert (checkout / "params.yaml").read_text() == before
    assert run(checkout, "commands.profile", "mime") == (
        1, "profile: there is no profile 'mime'; did you mean mine?\n"
    )  # fmt: skip


def test_a_profile_whose_files_are_not_there_yet_is_taken_and_names_them(checkout: Path) -> None:
    text = (checkout / "params.yaml").read_text()
    (checkout / "profiles" / "demo.yaml").write_text(text)
    (checkout / "profiles" / "mine.yaml").write_text(text.replace("demo/questions.jsonl", "inputs/questions.jsonl"))
    subprocess.run(["git", "init", "-q"], cwd=checkout, check=True)
    code, output = run(checkout, "commands.profile", "mine")
    number = line_of(checkout / "profiles" / "mine.yaml", "  questions: ")
    line = f"{number}: answers.questions: inputs/questions.jsonl is not there: there is no folder inputs"
    assert code == 0 and output.endswith(f"Before that:\nprofiles/mine.yaml:{line}\n")
    assert "inputs/questions.jsonl" in (checkout / "params.yaml").read_text()


def test_an_entry_with_mistakes_is_not_pinned_and_each_has_its_line(checkout: Path) -> None:
    edit(checkout / "dgms" / "rich.yaml", ("temperature", "temprature"), ("2000", "8k"))
    assert run(checkout, "commands.pin", "rich", "plan") == (
        1,
        """rich: not pinned: 2 mistakes:
dgms/rich.yaml:4: context_window: should be a whole number, got the text '8k'; write 8000
dgms/rich.yaml:5: sampling.temprature: no such key; did you mean temperature?
plan: not pinned: there is no dgms/plan.yaml; did you mean plain?
pin: 2 of 2 could not be pinned and are as they were; the others are done
""",
    )
