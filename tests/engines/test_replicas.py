"""Replicas on a real Ray cluster, whose actors, nodes and engines die, freeze, join and leave."""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stages.lib.console.errors import UserError
from stages.lib.core.files import sha256_folder
from stages.lib.core.sections import parse
from stages.lib.engines.echo import EchoEngine
from stages.lib.generation.store import Store
from stages.lib.records.shards import read_rows, read_shard
from stages.lib.settings.runtime import Runtime
from tests.support.conversations import CONFIG
from tests.support.faulty import PacedEcho, UnstartableEcho
from tests.support.project import BIN, ROOT, Project, make_project
from tests.support.replicas import TestCluster, kill_engine, live, pool, run, running_cluster, send
from tests.support.training import wait_until

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.filterwarnings("ignore")]  # Ray leaves files and sockets open
UNDISTURBED = run(EchoEngine(CONFIG))
SECRET = "-".join(["planted", "secret", "4712"])


@pytest.fixture(scope="module")
def cluster() -> Iterator[TestCluster]:
    with running_cluster(2) as made:
        yield made


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def after(number: int) -> Callable[[int], bool]:
    return lambda finished: finished >= number


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "http://head:6379", "head:port"])
def test_an_address_that_is_none_is_refused_in_one_line(address: str) -> None:
    with pytest.raises(UserError, match=r"^params.yaml: runtime.ray.address: [^\n]*host:port[^\n]*$"):
        parse(Runtime, {"ray": {"address": address}}, "params.yaml: runtime")


def test_they_give_the_replies_of_one_engine_and_the_time_of_each_counts(cluster: TestCluster) -> None:
    with pool(cluster.address) as engine:
        assert engine.num_replicas == 2 and engine.description == "echo"
        engine.usage()
        began = time.monotonic()
        assert run(engine) == UNDISTURBED
        [seconds] = engine.usage().seconds.values()
        assert seconds == pytest.approx(2 * (time.monotonic() - began), rel=0.05)


def test_killed_and_frozen_actors_and_killed_engines_lose_nothing(
    cluster: TestCluster, capfd: pytest.CaptureFixture[str]
) -> None:
    with pool(cluster.address, PacedEcho, stall_seconds=2.0) as engine:
        freeze = (after(10), lambda: send(engine, signal.SIGSTOP))
        kill = (lambda _: live(engine)[-1].number == 3, lambda: send(engine, signal.SIGKILL))
        assert run(engine, freeze, kill, (after(600), lambda: kill_engine(engine))) == UNDISTURBED
        assert engine.usage().restarts == 3
    lines = capfd.readouterr().err
    assert "gave no sign of life for 2 s" in lines and "is gone (ActorDiedError)" in lines
    assert "m: the engine on" in lines and "has restarted" in lines


def test_a_node_that_joins_in_the_middle_gets_a_replica_and_one_that_dies_loses_nothing(
    cluster: TestCluster, capfd: pytest.CaptureFixture[str]
) -> None:
    with pool(cluster.address, PacedEcho) as engine:
        join = (after(10), cluster.add_node)
        leave = (lambda _: engine.num_replicas == 3, cluster.kill_node)
        assert run(engine, join, leave) == UNDISTURBED
        assert engine.usage().restarts == 1
    lines = capfd.readouterr().err
    assert "a replica joins" in lines and "3 are at work" in lines and "2 are left" in lines
    assert "raylet" not in lines


def test_an_engine_that_starts_nowhere_ends_in_one_line_with_the_cause(cluster: TestCluster) -> None:
    with (
        pytest.raises(
            UserError, match=r"^m: no replica starts, after 3 tries on 2 of 2 nodes: .*no such weights[^\n]*$"
        ),
        pool(cluster.address, UnstartableEcho),
    ):
        pass


PACED = """
import stages.lib.engines.factory as factory
from stages.generate import main
from stages.lib.settings.reading import run
from tests.support.faulty import PacedEcho

factory.EchoEngine = PacedEcho
run(main)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that has come as far as `generate`, with a stage whose engine takes its time."""
    project = make_project(tmp_path_factory.mktemp("replicas") / "project", 400)
    params = project.params()
    params["prompts"]["max_prompts"] = 10_000
    params["runtime"] |= {"max_concurrent": 8, "flush_conversations": 8}
    project.write_params(params)
    (project.root / "paced.py").write_text(PACED, encoding="utf-8")
    (project.root / "tests").symlink_to(ROOT / "tests")
    project.run("python", "-m", "stages.prompts")
    project.run("python", "-m", "stages.resolve", "rich")
    return project


def stored(project: Project) -> Counter[str]:
    """How often each identity is in the store."""
    segments = Store(project.root / ".dvc/store", "rich").segments()
    return Counter(row["identity"] for segment in segments for row in read_shard(segment))


def start(project: Project) -> "subprocess.Popen[str]":
    """Start the stage with secrets in its environment, and wait until some conversations are stored."""
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "REWILD_STORE": str(project.root / ".dvc/store")}
    secrets = dict.fromkeys(["HF_TOKEN", "OPENAI_API_KEY", "RAY_AUTH_TOKEN"], SECRET)
    before = stored(project).total()
    running = subprocess.Popen(
        ["python", "paced.py", "rich"], cwd=project.root, env=env | secrets, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    wait_until(lambda: stored(project).total() > before + 40, seconds=120)
    return running


def test_a_stage_that_is_ended_and_killed_goes_on_and_gives_the_same_bytes(
    cluster: TestCluster, project: Project
) -> None:
    project.run("python", "-m", "stages.generate", "rich", REWILD_STORE=str(project.root / "one"))
    responses = project.root / "data/responses/rich"
    expected = sha256_folder(responses)
    project.edit("params.yaml", "address: ''", f"address: {cluster.address}")
    ended = start(project)
    ended.terminate()
    output, _ = ended.communicate(timeout=60)
    kept = stored(project)
    assert ended.returncode == 128 + signal.SIGTERM
    assert f"{kept.total()} of 400 conversations of rich are in the store" in output.splitlines()[-1]
    killed = start(project)
    killed.kill()
    output += killed.communicate(timeout=60)[0]
    assert not kept - stored(project)
    output += project.run("python", "paced.py", "rich", REWILD_STORE=str(project.root / ".dvc/store"), HF_TOKEN=SECRET)
    assert set(stored(project).values()) == {1} and len(stored(project)) == 400
    assert sha256_folder(responses) == expected
    ledger = list(read_rows(project.root / "data/ledger/rich"))
    assert {row["engine"] for row in ledger} == {"echo"} and all(" CPU x" in row["hardware"] for row in ledger)
    assert SECRET not in output and "raylet" not in output
    logs = [path for path in project.root.rglob("*.log") if path.is_file()]
    assert logs and not [path for path in logs if SECRET in path.read_text(errors="replace")]
