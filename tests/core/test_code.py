"""Code digests: they follow every name of ours, change with every edit, and stay when a module moves."""

import shutil
from pathlib import Path

import pytest

from stages.lib.console.errors import UserError
from stages.lib.core.code import Code, stage_names
from tests.support.project import ROOT

FILES = {
    "stages/__init__.py": '"""The stages."""\n',
    "stages/train.py": "from stages.lib.runner import START\n\nSTART\n",
    "stages/mix.py": "from stages.lib.rows import pick\n\npick()\n",
    "stages/lib/__init__.py": "",
    "stages/lib/rows.py": "def pick(): return 1\n",
    "stages/lib/runner.py": "from stages.lib import rows\n\nSTART = '-m', 'stages.lib.child', rows.pick\n",
    "stages/lib/child.py": "from stages.lib.table import read\n\nread()\n",
    "stages/lib/table.py": "def read(): return 'table.yaml'\n",
    "stages/lib/table.yaml": "cell: 1\n",
}


def write(root: Path, changes: dict[str, str] | None = None) -> Code:
    for name, text in {**FILES, **(changes or {})}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Code(root)


def digests(root: Path) -> dict[str, str]:
    code = Code(root)
    return {stage: code.digest(f"stages.{stage}") for stage in ("train", "mix")}


def changed(root: Path, changes: dict[str, str]) -> list[str]:
    before = digests(root)
    write(root, changes)
    after = digests(root)
    return [stage for stage in before if before[stage] != after[stage]]


def test_the_digest_of_a_stage_covers_what_it_imports_and_what_it_starts_as_a_program(tmp_path: Path) -> None:
    modules = write(tmp_path).modules("stages.train")
    assert modules == {"stages.train", *(f"stages.lib.{name}" for name in ("runner", "rows", "child", "table"))}


@pytest.mark.parametrize(
    ("edit", "stages"),
    [
        ({"stages/lib/rows.py": "def pick(): return 2\n"}, ["train", "mix"]),
        ({"stages/lib/child.py": "from stages.lib.table import read\n\nread(1)\n"}, ["train"]),
        ({"stages/lib/table.py": "def read(): return 2\n"}, ["train"]),
        ({"stages/lib/table.yaml": "cell: 2\n"}, ["train"]),
        ({"stages/mix.py": "from stages.lib.rows import pick as start\n\nstart()\n"}, ["mix"]),
        ({"stages/lib/rows.py": '"""Rows."""\n# a comment\ndef pick():\n    """Pick."""\n    return 1\n'}, []),
    ],
    ids=["shared", "started as a program", "behind a program", "data", "a stage", "comments, docstrings, layout"],
)
def test_an_edit_changes_the_digests_of_the_stages_that_use_it(
    tmp_path: Path, edit: dict[str, str], stages: list[str]
) -> None:
    write(tmp_path)
    assert changed(tmp_path, edit) == stages


def test_a_module_that_is_imported_moves_without_a_new_digest(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "stages/lib/rows.py").unlink()
    moved = {
        "stages/lib/mixing/__init__.py": "",
        "stages/lib/mixing/rows.py": FILES["stages/lib/rows.py"],
        "stages/mix.py": FILES["stages/mix.py"].replace("lib.rows", "lib.mixing.rows"),
        "stages/lib/runner.py": FILES["stages/lib/runner.py"].replace("stages.lib import", "stages.lib.mixing import"),
    }
    before = write(tmp_path / "before")
    write(tmp_path, moved)
    (tmp_path / "stages/lib/rows.py").unlink()
    assert digests(tmp_path) == {stage: before.digest(f"stages.{stage}") for stage in ("train", "mix")}


def test_a_module_that_is_started_as_a_program_moves_with_its_data_without_a_new_digest(tmp_path: Path) -> None:
    before = write(tmp_path / "before").digest("stages.train")
    moved = {
        name.replace("stages/lib/", "stages/lib/training/"): text.replace("stages.lib", "stages.lib.training")
        for name, text in FILES.items()
    }
    root = tmp_path / "after"
    for name, text in moved.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    assert Code(root).digest("stages.train") == before


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("from stages.lib.gone import x", "stages.lib.gone.x"),
        ("from stages.lib import gone", "stages.lib.gone"),
        ("import stages.lib.gone", "stages.lib.gone"),
        ("from .gone import x", "stages.lib.gone.x"),
        ("PLUGIN = 'stages.lib.gone.Plugin'", "stages.lib.gone.Plugin"),
        ("COMMAND = ['-m', 'commands.gone']", "commands.gone"),
    ],
)
def test_a_name_of_ours_that_is_no_module_is_an_error_with_its_line(tmp_path: Path, line: str, named: str) -> None:
    code = write(tmp_path, {"stages/lib/rows.py": f"\n{line}\n"})
    with pytest.raises(UserError, match=r"rows\.py:2") as error:
        code.digest("stages.mix")
    assert named in str(error.value)


@pytest.mark.parametrize(
    "line", ["NAME = f'stages.lib.{__name__}'", "NAME = f'run stages.{__name__}'", "NAME = 'stages.lib.' + __name__"]
)
def test_a_module_name_that_is_completed_at_run_time_is_an_error(tmp_path: Path, line: str) -> None:
    code = write(tmp_path, {"stages/lib/rows.py": f"\n{line}\n"})
    with pytest.raises(
        UserError, match=r"rows\.py:2 completes the name 'stages\.(lib\.)?' at run time: write it in full"
    ):
        code.digest("stages.mix")


def test_a_sentence_may_end_with_the_word_stages(tmp_path: Path) -> None:
    assert write(tmp_path, {"stages/lib/rows.py": "NOTE = 'It runs all stages.'\ndef pick(): pass\n"}).digest(
        "stages.mix"
    )


def test_an_import_circle_is_an_error_that_names_it(tmp_path: Path) -> None:
    code = write(tmp_path, {"stages/lib/rows.py": "def pick():\n    from stages.lib.runner import START\n"})
    with pytest.raises(UserError, match=r"stages\.lib\.runner -> stages\.lib\.rows -> stages\.lib\.runner"):
        code.digest("stages.train")


def test_a_module_may_name_itself_as_the_program_that_it_starts(tmp_path: Path) -> None:
    code = write(tmp_path, {"stages/lib/rows.py": "COMMAND = ['-m', 'stages.lib.rows']\ndef pick(): pass\n"})
    assert code.digest("stages.mix")


def test_a_syntax_error_is_named_by_file_and_line(tmp_path: Path) -> None:
    code = write(tmp_path, {"stages/lib/rows.py": "\ndef pick(:\n"})
    with pytest.raises(UserError, match=r"rows\.py:2: "):
        code.digest("stages.mix")


STAGES = set(stage_names(ROOT)) - {"check"}
EDITS = [  # file, old text, new text: which stages have another digest
    ("console/formats.py", '(3600.0, "h")', '(3600.0, "hours")', set()),
    ("settings/sections.py", "max_dropped_share: float = Field(ge=0, le=1)", "max_dropped_share: float", set()),
    ("training/screen.py", "tokens/s", "tokens per second", set()),
    ("similarity/pair_scores.py", '".pairs.json"', '".all_pairs.json"', {"similarity", "report"}),
    (
        "evaluation/results.py",
        "FAILED_ABOVE = 0.01, 0.05",
        "FAILED_ABOVE = 0.01, 0.06",
        {
            "agreement",
            "benchmarks",
            "differences",
            "evaluate",
            "judge",
            "pairwise",
            "preference",
            "report",
            "throughput",
        },
    ),
    ("records/pairings.py", '("turn", pa.int64())', '("turn", pa.int32())', {"pairwise", "preference", "report"}),
    (
        "models/sampling.py",
        '"min_p": 0.0, "rep',
        '"min_p": 0.1, "rep',
        {"answers", "generate", "judge", "pairwise", "suitability", "throughput", "validate"},
    ),
    ("report/sections/style.py", "Is style inherited?", "Do fine-tunes inherit style?", {"report"}),
]


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    """The digests of the project's stages."""
    code = Code(ROOT)
    return {stage: code.digest(f"stages.{stage}") for stage in STAGES}


@pytest.mark.parametrize(("path", "old", "new", "stages"), EDITS, ids=[path for path, *_ in EDITS])
def test_an_edit_of_the_project_changes_exactly_the_stages_that_use_it(
    tmp_path: Path, before: dict[str, str], path: str, old: str, new: str, stages: set[str]
) -> None:
    shutil.copytree(ROOT / "stages", tmp_path / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "stages" / "lib" / path
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    after = Code(tmp_path)
    assert {stage for stage in STAGES if after.digest(f"stages.{stage}") != before[stage]} == stages
