"""Planted secrets, in the environment, in DVC's configuration and in the catalogue, are in no file and in no line.

The project of all tests is built with them in its environment: every stage has run.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.lib.console.errors import UserError
from tests.support.project import Project, allow_doctor, ran
from tests.support.secrets import ADDRESSES, MARK, PLANTED, files_with_secrets, lines_with_secrets
from tests.support.server import FakeServer

ADDRESS = f"user:{MARK}@127.0.0.1:9"
CONFIG = f"""
['remote "locked"']
    url = s3://bucket/x
    endpointurl = http://{ADDRESS}
    access_key_id = {MARK}
    secret_access_key = {MARK}
['remote "closed"']
    url = ssh://{ADDRESS}/x
    password = {MARK}
"""
GIVEN = (".dvc/config.local", "dgms/leaky.yaml")  # where the tests put a secret


@pytest.fixture(scope="module")
def planted(built: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the built project whose DVC has secrets in its configuration."""
    project = built.copy(tmp_path_factory.mktemp("planted") / "project")
    allow_doctor(project)
    (project.root / ".dvc/config.local").write_text(CONFIG)
    return project


def run(project: Project, *words: str, codes: tuple[int, ...] = (0,)) -> str:
    """Run a command with all secrets in its environment; what it prints. Its exit code is one of these."""
    output = project.run(*words, code=codes, **PLANTED, **ADDRESSES)
    assert lines_with_secrets(output) == []
    return output


def test_all_stages_have_run_and_neither_their_outs_nor_what_they_print_hold_a_secret(built: Project) -> None:
    output = (built.root.parent / "output.txt").read_text()
    stages = {stage.partition("@")[0] for stage in ran(output)}
    assert {
        "prompts",
        "generate",
        "validate",
        "gate",
        "mix",
        "train",
        "answers",
        "evaluate",
        "judge",
        "report",
    } <= stages
    assert lines_with_secrets(output) == []
    assert list(files_with_secrets(built.root)) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ssh://me:pw@host/a is not there", "ssh://host/a is not there"),
        ("https:/me:pw@host/a", "https:/host/a"),  # as a path has it
        ("ssh://me@host/a, http://host:80/a@b", "ssh://me@host/a, http://host:80/a@b"),
    ],
)
def test_a_password_in_an_address_is_left_out_of_errors(text: str, shown: str) -> None:
    assert str(UserError(text)) == shown


COMMANDS = [
    ("params",),
    ("leftovers",),
    ("pin",),
    ("pilot", "-n", "2"),
    ("store", "list"),
    ("store", "verify"),
    ("store", "add"),
    ("store", "prune"),
    ("watch", "--once"),
    ("experiments",),
    ("compare", "blend", "only"),
    ("analyse", "demo/prompts.parquet", "analysis"),
    ("progress",),
    ("doctor",),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_prints_or_writes_a_secret(planted: Project, words: tuple[str, ...]) -> None:
    run(planted, "python", "-m", f"commands.{words[0]}", *words[1:], codes=(0, 1))
    assert list(files_with_secrets(planted.root, *GIVEN)) == []


@pytest.mark.parametrize("remote", ["locked", "closed"])
def test_the_doctor_and_the_store_name_a_remote_without_its_password(planted: Project, remote: str) -> None:
    planted.run("dvc", "config", "--local", "core.remote", remote)
    assert f"{remote}, " in run(planted, "python", "-m", "commands.doctor", codes=(1,))
    run(planted, "python", "-m", "commands.store", "add", "--from", f"https://{ADDRESS}/rewild", codes=(1,))
    assert list(files_with_secrets(planted.root, *GIVEN)) == []


ENTRIES: dict[str, dict[str, Any]] = {
    "server": {"server": {"address": f"http://{ADDRESS}/v1", "model": "x"}, "context_window": 9},
    "key": {"server": {"address": "http://127.0.0.1:9/v1", "model": "x", "api_key": MARK}, "context_window": 9},
    "repository": {"repository": f"https://{ADDRESS}/a/b", "context_window": 9},
    "path": {"path": f"https://{ADDRESS}/a", "context_window": 9},
    "import": {"import": f"https://{ADDRESS}/a.parquet"},
}


@pytest.mark.parametrize("kind", ENTRIES)
def test_a_secret_in_the_catalogue_is_not_repeated_by_what_refuses_it(planted: Project, kind: str) -> None:
    leaky = planted.root / "dgms/leaky.yaml"
    leaky.write_text(json.dumps({"name": "Leaky", **ENTRIES[kind]}))
    before = planted.params()
    planted.write_params(before | {"dgms": ["rich", "leaky"]})
    for module in ("commands.params", "commands.pin"):
        run(planted, "python", "-m", module, codes=(0, 1))
    output = run(planted, "python", "-m", "stages.resolve", "leaky", codes=(1,))
    assert output.startswith("resolve: ") and "Traceback" not in output
    planted.write_params(before)
    assert list(files_with_secrets(planted.root, *GIVEN)) == []
    leaky.unlink()


@pytest.fixture
def server() -> Iterator[FakeServer]:
    server = FakeServer().start()
    server.window = 4000
    yield server
    server.stop()


@pytest.mark.parametrize("knows_the_key", [False, True])
def test_a_server_that_repeats_the_key_in_its_errors_does_not_bring_it_into_ours(
    planted: Project, server: FakeServer, knows_the_key: bool
) -> None:
    server.key = PLANTED["REWILD_API_KEY"] if knows_the_key else "another"
    entry = {"name": "Served", "server": {"address": server.address, "model": "wise"}, "context_window": 2000}
    (planted.root / "dgms/served.yaml").write_text(json.dumps(entry))
    run(planted, "python", "-m", "stages.resolve", "served")
    codes = (0,) if knows_the_key else (1,)
    output = run(planted, "python", "-m", "stages.generate", "served", codes=codes)
    assert ("12 to generate" in output) if knows_the_key else "Traceback" not in output
    assert list(files_with_secrets(planted.root, *GIVEN)) == []


def test_a_secret_that_is_printed_or_written_is_found(planted: Project, tmp_path: Path) -> None:
    code = "import os; print(os.environ['HF_TOKEN'])"
    with pytest.raises(AssertionError):
        run(planted, "python", "-c", code)
    pq.write_table(pa.table({"reply": [f"my key is {MARK}"] * 9}), tmp_path / "a.parquet", compression="zstd")
    assert list(files_with_secrets(tmp_path)) == ["a.parquet"]
