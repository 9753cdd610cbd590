"""Environments are compared by content, built beside what is there, and shared."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from requirements import build, environments
from requirements.environments import Environment, choose, device_of, point, shared_folder, unused
from requirements.failure import Failure
from requirements.pythons import Python

ROOT = Path(__file__).parents[2]
HERE = Python(sys.executable, "3.11", "")


def git(*words: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@t")
    subprocess.run(["git", *identity, *words], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with locks; building an environment takes no time and is counted in `builds`."""
    root = tmp_path / "main"
    (root / "requirements").mkdir(parents=True)
    for name in ("main-cpu", "main-gpu", "train-cpu", "math", "torch-cuda"):
        shutil.copy(ROOT / "requirements" / f"{name}.txt", root / "requirements")
    monkeypatch.chdir(root)
    monkeypatch.delenv("REWILD_ENVS", raising=False)
    monkeypatch.setattr(build, "find_python", lambda given: HERE)
    monkeypatch.setitem(environments.SIZES, ("main", "cpu"), 1e-3)
    monkeypatch.setattr(build, "install", fake_install)
    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-q", "-m", "x")
    BUILDS.clear()
    return root


BUILDS: list[str] = []


def fake_install(environment: Environment, folder: Path, python: Python, torch_index: str) -> None:
    BUILDS.append(folder.name)
    site = folder / "lib/python3.11/site-packages"
    (site / f"torch-{environments.pinned_torch()}+cpu.dist-info").mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "bin/python").symlink_to(python.path)
    (folder / "bin/pip").write_text(f"#!{folder}/bin/python\n")
    for copy, lock in environment.copies.items():
        (folder / copy).parent.mkdir(exist_ok=True)
        shutil.copy(lock, folder / copy)


def make(link: str = ".venv", device: str = "") -> Path:
    """Do what `make` does for an environment; return the folder that its link leads to."""
    build.build(choose(link, device), "", "")
    return Path(link).resolve()


def edit(name: str, text: str = "other==1\n") -> str:
    """Add a pin to a lock; return what it held."""
    path = Path("requirements") / name
    before = path.read_text()
    path.write_text(before + text)
    return before


def test_an_environment_is_built_once_and_a_touched_lock_changes_nothing(checkout: Path) -> None:
    first = make()
    os.utime("requirements/main-cpu.txt", (2e9, 2e9))
    assert make() == first and len(BUILDS) == 1
    assert first.parent == checkout / ".venvs"
    assert os.readlink(".venv") == f".venvs/{first.name}"  # so the checkout can be copied with it


def test_another_branch_and_back_builds_one_more_and_keeps_both(checkout: Path) -> None:
    first, before = make(), edit("main-cpu.txt")
    second = make()
    Path("requirements/main-cpu.txt").write_text(before)
    assert make() == first != second
    assert len(BUILDS) == 2 and second.exists()
    assert list(unused(shared_folder())) == [second]


@pytest.mark.parametrize("lock", ["main-cpu.txt", "math.txt"])
def test_a_change_of_either_lock_builds_again(checkout: Path, lock: str) -> None:
    make()
    edit(lock)
    make()
    assert len(BUILDS) == 2


def test_a_change_of_torchs_pin_builds_again(checkout: Path) -> None:
    make()
    pins = Path("requirements/torch-cuda.txt")
    pins.write_text(pins.read_text().replace("torch==", "torch==9."))
    assert choose(".venv", "").fault().startswith("has torch 2.")
    make()
    assert len(BUILDS) == 2


def test_a_failed_build_keeps_the_environment_that_was_there(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make()
    edit("main-cpu.txt")

    def fail(environment: Environment, folder: Path, python: Python, torch_index: str) -> None:
        fake_install(environment, folder, python, torch_index)
        raise Failure("could not install")

    monkeypatch.setattr(build, "install", fail)
    with pytest.raises(Failure):
        make()
    assert Path(".venv").resolve() == first and (first / "bin/python").exists()
    assert [path.name for path in first.parent.iterdir() if path.is_dir()] == [first.name]


def test_what_a_killed_build_left_is_built_again(checkout: Path) -> None:
    folder = choose(".venv", "").place(shared_folder(), HERE.path)
    (folder / "bin").mkdir(parents=True)
    assert choose(".venv", "").fault(folder) == "is half built"
    assert make() == folder and len(BUILDS) == 1


def test_a_folder_of_its_own_is_taken_as_it_is_until_its_lock_changes(checkout: Path) -> None:
    fake_install(choose(".venv", ""), Path(".venv").absolute(), HERE, "")
    make()
    assert not Path(".venv").is_symlink() and BUILDS == [".venv"]
    edit("main-cpu.txt")
    (Path(".venv") / "nltk_data").mkdir()
    folder = make()
    assert Path(".venv").is_symlink() and (folder / "nltk_data").is_dir()  # WordNet is taken over
    assert sorted(path.name for path in Path().glob(".venv*")) == [".venv", ".venvs"]


def test_a_worktree_with_the_same_locks_uses_the_same_environment(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make()
    git("worktree", "add", "-q", str(tmp_path / "other"))
    monkeypatch.chdir(tmp_path / "other")
    assert make() == first and len(BUILDS) == 1
    assert list(unused(shared_folder())) == []
    edit("main-cpu.txt")
    second = make()
    assert second.parent == first.parent and len(BUILDS) == 2
    monkeypatch.chdir(checkout)
    assert make() == first and len(BUILDS) == 2


def test_a_worktree_that_was_removed_leaves_a_link_that_is_made_again(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    Path(".venv").symlink_to(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert choose(".venv", "").fault() == f"leads to {tmp_path}/gone, which is not there"
    make()
    assert choose(".venv", "").fault() == ""


def test_rewild_envs_names_the_folder_for_all_checkouts(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REWILD_ENVS", str(tmp_path / "envs"))
    assert make().parent == tmp_path / "envs"
    assert os.readlink(".venv").startswith(str(tmp_path))


def test_a_folder_that_is_no_repository_keeps_its_environments_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REWILD_ENVS", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    assert shared_folder() == tmp_path / ".venvs"


def test_a_disk_that_is_too_small_is_named_before_anything_is_built(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(environments.SIZES, ("main", "cpu"), 1e6)
    with pytest.raises(Failure, match=r"^\.venv takes about 1000000\.0 GB, and the disk of .* free: free some"):
        make()
    assert BUILDS == []


def test_two_makes_at_once_build_one_environment(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    key = choose(".venv", "").key
    with build.exclusive(shared_folder(), key):
        other = threading.Thread(target=make)
        other.start()
        other.join(timeout=0.3)
        assert other.is_alive()
        fake_install(choose(".venv", ""), shared_folder() / f"{key}-x", HERE, "")
    other.join(timeout=10)
    assert len(BUILDS) == 1 and Path(".venv").resolve().name == f"{key}-x"
    assert f"another `make` builds {key} in {shared_folder()}; waiting" in capfd.readouterr().out


def test_without_a_device_an_environment_stays_what_it_is_for(checkout: Path) -> None:
    make(device="gpu")
    assert device_of(Path(".venv")) == "gpu" == choose(".venv", "").device
    assert choose(".venv-train", "").device == "gpu"  # a new one is for what `.venv` is for
    make()
    assert len(BUILDS) == 1
    make(device="cpu")
    assert device_of(Path(".venv")) == "cpu"


def test_an_environment_whose_python_was_removed_is_built_again_and_not_taken_from_those_who_have_it(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make()
    (folder / "bin/python").unlink()
    (folder / "bin/python").symlink_to(tmp_path / "python3.11")
    assert choose(".venv", "").fault() == f"has lost its Python ({tmp_path}/python3.11)"
    (tmp_path / "mine").symlink_to(sys.executable)
    monkeypatch.setattr(build, "find_python", lambda given: Python(str(tmp_path / "mine"), "3.11", ""))
    assert make() != folder and len(BUILDS) == 2 and (folder / "lock").exists()


def test_an_environment_that_was_moved_is_known(checkout: Path) -> None:
    (make() / "bin/pip").write_text("#!/old/place/.venv/bin/python\n")
    assert choose(".venv", "").fault() == "was moved: its programs start /old/place/.venv/bin/python"


def test_the_link_is_never_written_through(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/kept").touch()
    Path(".venv").symlink_to(tmp_path / "elsewhere")
    make()
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["kept"]
    point(Path(".venv"), tmp_path / "elsewhere")
    assert os.readlink(".venv") == str(tmp_path / "elsewhere")


@pytest.mark.parametrize("was", ["a link", "a folder", "nothing"])
def test_files_of_the_users_own_beside_the_link_are_kept(checkout: Path, tmp_path: Path, was: str) -> None:
    for name in (".venv.old", ".venv.new"):
        Path(name).mkdir()
        Path(name, "kept").touch()
    if was == "a link":
        Path(".venv").symlink_to(tmp_path)
    if was == "a folder":
        Path(".venv").mkdir()
    folder = make()
    assert Path(".venv").resolve() == folder
    assert sorted(map(str, Path().glob(".venv*"))) == [".venv", ".venv.new", ".venv.old", ".venvs"]
    assert Path(".venv.old/kept").exists() and Path(".venv.new/kept").exists()


# What an installation runs.


@pytest.fixture
def commands(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of an installation, which do nothing here but make what the next needs."""
    calls: list[list[str]] = []
    monkeypatch.undo()
    monkeypatch.chdir(checkout)

    def note(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        calls.append([word.replace(str(checkout), "") for word in command])
        Path("env/math").mkdir(parents=True, exist_ok=True)
        return subprocess.CompletedProcess(command, 0, stdout="")

    monkeypatch.setattr(subprocess, "run", note)
    return calls


def torch_call(calls: list[list[str]]) -> list[list[str]]:
    return [call[2:] for call in calls if call[1:2] == ["requirements/install_torch.py"]]


def test_a_cpu_environment_takes_torch_from_the_first_place_that_has_it(
    commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_FIND_LINKS", "/a,/b")
    build.install(choose(".venv", "cpu"), Path("env"), HERE, "https://wheels.example/cpu")
    links = ["--find-links", "/a", "--find-links", "/b"]
    assert torch_call(commands) == [["requirements/torch-cuda.txt", *links, "--index", "https://wheels.example/cpu"]]
    locks = [(call[-1], "--target" in call) for call in commands if call[-2:-1] == ["--requirements"]]
    assert locks == [("requirements/math.txt", True), ("requirements/main-cpu.txt", False)]
    assert all(call[8:12] == links for call in commands if "--requirements" in call)


def test_a_gpu_environment_takes_torch_from_its_lock(commands: list[list[str]]) -> None:
    build.install(choose(".venv", "gpu"), Path("env"), HERE, "")
    assert torch_call(commands) == []


@pytest.mark.parametrize("variables", [{"UV_FIND_LINKS": "/a,/b"}, {"PIP_FIND_LINKS": "/a /b"}, {}])
def test_find_links_come_from_uvs_variable_pips_variable_or_pips_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nfind-links =\n    /a\n    /b\n", encoding="utf-8")
    for name in ("UV_FIND_LINKS", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (variables or {"PIP_CONFIG_FILE": str(config)}).items():
        monkeypatch.setenv(name, value)
    assert build.list_find_links(sys.executable) == ["/a", "/b"]


def test_without_any_find_links_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_FIND_LINKS", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert build.list_find_links(sys.executable) == []
