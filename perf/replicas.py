"""Replicas on a real Ray cluster of this machine: what each fault costs, how a slow one weighs, vLLM with one and two.

python -m perf.replicas                     everything: about ten minutes on two cores
python -m perf.replicas --only faults       or pace, vllm

The engines of the faults are paced echoes: 900 conversations of one to five turns. After every row, each conversation
is there once, with the replies of a single engine. `noticed` is the time from the fault until the pool takes the
requests back, `replaced` until another replica is at work. `ledger` is the sum of the replicas' seconds over what they
were: the time of each from ready to lost.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from perf.replica_engines import OneSlow, PacedReplies
from perf.workload import DEMO, SHAPES, make_plan
from stages.lib.core.costs import name_hardware
from stages.lib.engines.base import Engine, Reply, Request, Usage
from stages.lib.engines.echo import EchoEngine
from stages.lib.engines.factory import make_engine
from stages.lib.engines.replicas.pool import ReplicaPool
from stages.lib.engines.request import RequestConfig
from stages.lib.generation.conversations import Conversation, run_conversations
from stages.lib.models.catalogue import Model
from stages.lib.models.sampling import Sampling
from stages.lib.settings.runtime import RayCluster, Runtime
from tests.support.conversations import CONFIG
from tests.support.project import ROOT
from tests.support.replicas import USERS, TestCluster, kill_engine, live, pool, run, running_cluster, send

STALL_SECONDS = 5.0
LONG = 20_000  # characters of a reply of the node that dies
CONFIG_LONG = RequestConfig(Sampling(temperature=0.7), max_tokens=2 * LONG, window=20 * LONG, seed=1)
HALF = 1_000  # replies, of about 2,700


class Observed:
    """A pool that notes when replicas go and come, what each has answered and how long it had nothing to do."""

    def __init__(self, engine: ReplicaPool, act: Callable[[], Any] | None = None) -> None:
        self.engine, self._act = engine, act
        self.description = engine.description
        self.acted = self.lost = self.replaced = 0.0
        self.answered = Counter[str]()
        self.idle: dict[int, float] = defaultdict(float)
        self.present: dict[int, float] = defaultdict(float)
        self._known = {member.number for member in live(engine)}
        self._last = time.monotonic()
        engine.usage()

    @property
    def num_replicas(self) -> int:
        return self.engine.num_replicas

    def submit(self, key: str, request: Request) -> None:
        self.engine.submit(key, request)

    def step(self) -> list[tuple[str, Reply]]:
        replies = self.engine.step()
        now = time.monotonic()
        for member in live(self.engine):
            self.present[member.number] += now - self._last
            if not self.engine._dispatcher.is_working(member.number):
                self.idle[member.number] += now - self._last
        self._last = now
        self._note_changes(now)
        self.answered["all"] += len(replies)
        if self._act and not self.acted and self.answered["all"] > HALF:
            self.acted = time.monotonic()
            self._act()
        return replies

    def _note_changes(self, now: float) -> None:
        numbers = {member.number for member in live(self.engine)}
        if self._known - numbers and self.acted:
            self.lost = self.lost or now
        if numbers - self._known and self.acted:
            self.replaced = self.replaced or now
        self._known = numbers

    def usage(self) -> Usage:
        return self.engine.usage()

    def close(self) -> None:
        self.engine.close()


class Row(NamedTuple):
    """One line of the table."""

    case: str
    seconds: float
    noticed: str
    replaced: str
    restarts: int
    ledger: float  # counted over true replica-seconds
    is_equal: bool


def format_row(row: Row) -> str:
    """Format a line of the table."""
    verdict = "all once, replies of one engine" if row.is_equal else "NOT EQUAL"
    return (
        f"{row.case:44} {row.seconds:6.1f} s  noticed {row.noticed:>7}  replaced {row.replaced:>7}  "
        f"restarts {row.restarts}  ledger {row.ledger:.3f}  {verdict}"
    )


def since(moment: float, began: float) -> str:
    """Format the seconds from one moment to another."""
    return f"{moment - began:.1f} s" if moment else "-"


def run_case(
    cluster: TestCluster,
    case: str,
    fault: Callable[[ReplicaPool], Any] | None = None,
    users: dict[str, list[str]] = USERS,
    config: RequestConfig = CONFIG,
    start: Callable[..., Engine] = PacedReplies,
) -> Row:
    """Run all conversations with a fault in the middle, and compare with one engine's."""
    expected = run(EchoEngine(config), users=users, config=config)
    with pool(cluster.address, start, config=config, stall_seconds=STALL_SECONDS) as engine:
        observed = Observed(engine, (lambda: fault(engine)) if fault else None)
        began = time.monotonic()
        is_equal = run(observed, users=users, config=config) == expected
        seconds = time.monotonic() - began
        usage = engine.usage()
    counted = sum(usage.seconds.values()) / sum(observed.present.values())
    lost, replaced = since(observed.lost, observed.acted), since(observed.replaced, observed.acted)
    return Row(case, seconds, lost, replaced, usage.restarts, counted, is_equal)


def freeze_node(cluster: TestCluster) -> Callable[[ReplicaPool], None]:
    """Return a fault that stops the raylet of the last node, and the actor on it."""

    def fault(engine: ReplicaPool) -> None:
        node = cluster.nodes[-1]
        pids = [process.process.pid for processes in node.all_processes.values() for process in processes]
        pids += [member.place.pid for member in live(engine) if member.place and member.place.node == node.node_id]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)

    return fault


def ray_kill(engine: ReplicaPool) -> None:
    """End an actor in Ray's own way."""
    import ray

    ray.kill(live(engine)[0].actor)


def times(number: int) -> dict[str, list[str]]:
    """Return that many times the conversations."""
    return {f"{key}-{copy}": users for key, users in USERS.items() for copy in range(number)}


def show(row: Row) -> None:
    """Print a row as soon as it is there."""
    print(format_row(row), flush=True)


def run_faults() -> None:
    """Print a row for each fault."""
    with running_cluster(2) as cluster:
        show(run_case(cluster, "nothing"))
        show(run_case(cluster, "kill -9 of an actor", lambda engine: send(engine, signal.SIGKILL)))
        show(run_case(cluster, "ray.kill", ray_kill))
        show(run_case(cluster, "engine killed inside its actor", kill_engine))
        frozen = f"actor frozen, stall_seconds {STALL_SECONDS:g}"
        show(run_case(cluster, frozen, lambda engine: send(engine, signal.SIGSTOP), times(4)))
        show(run_case(cluster, "a node joins", lambda _: cluster.add_node()))
        show(run_case(cluster, "raylet killed: a node dies", lambda _: cluster.kill_node()))
        cluster.add_node()
        long = {key: [f"{key} " + "x" * LONG, *users[1:]] for key, users in USERS.items()}
        show(run_case(cluster, "the same, replies of 20 KB", lambda _: cluster.kill_node(), long, CONFIG_LONG))
        cluster.add_node()
        show(run_case(cluster, "node frozen", freeze_node(cluster), times(4)))
    print(f"kill -9 of the driver: its actors and engines were gone after {kill_driver():.1f} s", flush=True)


def kill_driver() -> float:
    """Kill a process with a local cluster and two replicas; return how long anything of it lived on."""
    command = [sys.executable, "-m", "perf.replicas", "--only", "driver"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert driver.stdout
    pids = list(map(int, driver.stdout.readline().split()))
    driver.kill()
    began = time.monotonic()
    while any(map(is_running, pids)):
        time.sleep(0.05)
    return time.monotonic() - began


def is_running(pid: int) -> bool:
    """Tell whether a process runs, and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def be_driver() -> None:
    """Start two replicas, print the ids of their processes, and work until killed."""
    with pool("local", PacedReplies, replicas=2) as engine:
        actors = [member.place.pid for member in live(engine) if member.place]
        tasks = [path for pid in actors for path in Path(f"/proc/{pid}/task").glob("*/children")]
        print(*actors, *(pid for path in tasks for pid in path.read_text().split()), flush=True)
        while True:
            run(engine)


def run_pace() -> None:
    """Print how a slow replica weighs, and how many replies this process can hand out."""
    with running_cluster(3) as cluster:
        many = times(4)
        with pool(cluster.address, OneSlow) as engine:
            observed = Observed(engine)
            began = time.monotonic()
            run(observed, users=many)
            seconds = time.monotonic() - began
            usage = engine.usage()
            idle = {number: observed.idle[number] / observed.present[number] for number in observed.present}
        shares = ", ".join(f"{share:.1%}" for share in idle.values())
        turns = sum(map(len, many.values()))
        ideal = turns * PacedReplies.seconds / 2.25
        print(f"one of three replicas 4 times as slow: {turns} replies in {seconds:.1f} s (at best {ideal:.1f} s)")
        print(f"  without anything to do: {shares} of the time; ledger: {sum(usage.seconds.values()):.1f} s of three")
        Path("slow").unlink()
        with pool(cluster.address, EchoEngine, max_concurrent=256) as engine:
            conversations = (Conversation(str(number), ["Hi?"]) for number in range(20_000))
            began = time.monotonic()
            total = sum(1 for _ in run_conversations(engine, conversations, CONFIG_LONG, 256))
            print(f"replies at no cost: {total / (time.monotonic() - began):,.0f} a second", flush=True)


def run_vllm() -> None:
    """Print the speed of vLLM with the demo's model in this process, and as one and two replicas."""
    shape = SHAPES["demo"]
    plan = make_plan(shape, 240)
    config = RequestConfig(Sampling(temperature=0.0), max_tokens=120, window=shape.window, seed=1)
    model = Model(
        id="bench", name="demo", location=str(DEMO), kind="local", commit="none", parameters_billions=0.0012,
        context_window=shape.window, dtype="float32",
    )  # fmt: skip
    print(f"vLLM on {name_hardware(0)}, {len(plan.users)} conversations, greedy:")
    texts: dict[str, list[list[str]]] = {}
    for name, ray in {
        "in this process": RayCluster(),
        "one replica": RayCluster(address="local", replicas=1),
        "two replicas": RayCluster(address="local", replicas=2),
    }.items():
        runtime = Runtime(max_concurrent=32, ray=ray)
        began = time.monotonic()
        with closing(make_engine("vllm", model, config, runtime)) as engine:
            start = time.monotonic() - began
            list(run_conversations(engine, [Conversation("0", ["Hi?"])], config, 32))
            began = time.monotonic()
            chats = (Conversation(key, users) for key, users in plan.users.items())
            done = {each.key: each for each in run_conversations(engine, chats, config, 32)}
            seconds = time.monotonic() - began
        turns = [turn for each in done.values() for turn in each.turns]
        tokens = sum(turn["completion_tokens"] for turn in turns)
        cached = sum(each.cached_tokens for each in done.values()) / sum(turn["prompt_tokens"] for turn in turns)
        texts[name] = [[turn["assistant"] for turn in done[key].turns] for key in plan.users]
        same = sum(map(list.__eq__, texts[name], texts["in this process"])) / len(done)
        print(
            f"  {name:16} {tokens / seconds:7.0f} output tokens/s, {seconds:5.1f} s, {cached:.0%} of prompts cached, "
            f"start {start:.0f} s; {same:.1%} of the conversations as in this process",
            flush=True,
        )


PARTS = {"faults": run_faults, "pace": run_pace, "vllm": run_vllm, "driver": be_driver}


def main() -> None:
    """Run in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS)
    only = parser.parse_args().only
    os.environ["PYTHONPATH"] = str(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name in [only] if only else ["faults", "pace", "vllm"]:
            PARTS[name]()


if __name__ == "__main__":
    main()
