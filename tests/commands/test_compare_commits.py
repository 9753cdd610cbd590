"""`make compare` on one model at two commits: the outs of a commit come from DVC's cache or a remote."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from commands.compare.command import main
from stages.lib.console.errors import UserError
from stages.lib.core.files import read_json
from tests.support.compared import make_checkout, write_choices, write_compared, write_dgm
from tests.support.project import Project

OLD, NEW = "+-" * 40, "+" * 80
REPLIES = [f"Reply {n}: " + "word " * (5 + n % 5) for n in range(80)]


@pytest.fixture(scope="module")
def two_commits(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two commits of a project: at the first the model `one` is wrong more often and writes less; `two` is new."""
    project = Project(tmp_path_factory.mktemp("two_commits") / "root")
    make_checkout(project.root, compare=("one",), dgms=("one",))
    project.run("git", "init", "-q", "-b", "main")
    project.run("dvc", "init", "-q")
    write_compared(project.root, "one", {"quiz": OLD})
    write_dgm(project.root, "one", REPLIES)
    commit(project, "first")
    make_checkout(project.root)
    write_compared(project.root, "one", {"quiz": NEW})
    write_compared(project.root, "two", {"quiz": OLD})
    write_dgm(project.root, "one", [text + " more" * 20 for text in REPLIES])
    write_dgm(project.root, "two", REPLIES)
    write_choices(project.root, "one", "two", ["one", "one"])
    commit(project, "second")
    return project


@pytest.fixture
def project(two_commits: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of the project with two commits, as the working directory."""
    project = two_commits.copy(tmp_path / "root")
    monkeypatch.chdir(project.root)
    return project


def commit(project: Project, tag: str) -> None:
    """Track every folder of data/ with DVC, commit, and tag the commit."""
    data = project.root / "data"
    outs = [path for path in data.glob("*/*") if path.is_dir()] + [
        path for path in data.glob("pairwise") if path.is_dir()
    ]
    project.run("dvc", "add", "-q", *(str(path.relative_to(project.root)) for path in outs))
    project.commit()
    project.run("git", "tag", tag)


def compare(one: str, other: str) -> dict[str, Any]:
    """Run the command; the numbers that it wrote, its lines by name."""
    main([one, other, "--out", "../out"])
    numbers: dict[str, Any] = read_json(Path("../out/comparison.json"))
    return numbers | {part: {line["name"]: line for line in numbers[part]} for part in ("scores", "mixing")}


def test_a_model_is_compared_with_what_it_was_at_a_commit(project: Project) -> None:
    first = project.run("git", "rev-parse", "--short=7", "first").strip()
    numbers = compare("one", "one@first")
    assert numbers["pair"] == ["one", f"one@{first}"]
    assert numbers["scores"]["quiz"]["difference"]["value"] == 0.5
    assert numbers["scores"]["quiz"]["difference"]["verdict"] == "better"
    assert numbers["mixing"]["words per reply"]["difference"]["value"] == 20
    assert numbers["mixable"].startswith("No: they differ in words per reply")
    assert "judge's choices" not in numbers["scores"]


def test_both_sides_may_be_at_commits_and_the_checkout_is_left_alone(project: Project) -> None:
    shutil.rmtree(project.root / "data")
    numbers = compare("one@second", "two@second")
    assert numbers["scores"]["quiz"]["difference"]["value"] == 0.5
    assert numbers["scores"]["judge's choices"]["one"]["value"] == 1
    assert not (project.root / "data").exists() and not list(project.root.glob("compar*"))


def test_the_same_replies_at_two_commits_may_be_mixed(project: Project) -> None:
    numbers = compare("two", "one@first")
    assert numbers["mixable"] == "Yes: on the same 80 prompts both are equivalent in every measure."


def test_the_outs_come_from_a_remote_also_of_a_commit_that_is_older_than_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = project.clone_with_remote(project.root.parent)
    shutil.copytree(project.root / ".dvc/cache/files", project.root.parent / "remote/files", dirs_exist_ok=True)
    monkeypatch.chdir(clone.root)
    assert compare("one@first", "one@second")["scores"]["quiz"]["difference"]["value"] == -0.5


def test_what_a_commit_does_not_have_is_one_line(project: Project) -> None:
    first = project.run("git", "rev-parse", "--short=7", "first").strip()
    mistakes = {
        ("one@nosuch", "one"): "A=one@nosuch: git has no commit 'nosuch' here",
        ("one", "two@first"): f"B=two@first: there is no model 'two' at the commit {first}; the models are one",
        ("one@first", f"one@{first}"): f"A and B are both one@{first}",
    }
    project.run("git", "checkout", "-q", "--orphan", "empty")
    project.run("git", "rm", "-rq", "--cached", ".")
    project.run("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", "x", "--allow-empty")
    project.run("git", "checkout", "-qf", "main")
    mistakes["one", "one@empty"] = "has no params.yaml of a DVC project: name another"
    for words, message in mistakes.items():
        with pytest.raises(UserError) as error:
            compare(*words)
        assert message in str(error.value) and "\n" not in str(error.value)


def test_outs_that_are_neither_in_the_cache_nor_in_a_remote_are_named(project: Project) -> None:
    shutil.rmtree(project.root / ".dvc/cache/files")
    with pytest.raises(UserError, match=r"of the commit \w{7} is neither in DVC's cache nor in a remote: check"):
        compare("one", "one@first")


def test_what_the_pipeline_made_is_compared_with_what_it_made_before(checkout: Project) -> None:
    before = checkout.json("metrics/evaluate/base.json")["scores"]["average"]
    checkout.edit("params.yaml", "limit: 0", "limit: 1")
    checkout.repro("digest_model@base")
    after = checkout.json("metrics/evaluate/base.json")["scores"]["average"]
    output = checkout.run("python", "-m", "commands.compare", "base", "base@HEAD")
    commit = checkout.run("git", "rev-parse", "--short=7", "HEAD").strip()
    line = next(line for line in output.splitlines() if line.startswith("average "))
    assert line.split()[1:3] == [f"{after:.3f}", f"{before:.3f}"]
    assert output.endswith(f"the page: comparison/base-base_{commit}/index.html\n")
    output = checkout.run("python", "-m", "commands.compare", "rich", "rich@HEAD")
    assert "share of replies that are equal word for word: 1.000" in output
    assert checkout.run("git", "status", "--short", "comparison") == ""
