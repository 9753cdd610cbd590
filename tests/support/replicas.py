"""A real Ray cluster of two nodes on this machine, and pools of replicas on it."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from stages.lib.engines.base import Engine
from stages.lib.engines.replicas.pool import ReplicaPool
from stages.lib.engines.replicas.replica import Member, ReplicaSpec
from stages.lib.engines.request import RequestConfig
from stages.lib.generation.conversations import Conversation, run_conversations
from stages.lib.settings.runtime import RayCluster, Runtime
from tests.support.conversations import CONFIG
from tests.support.faulty import SlowEcho
from tests.support.project import ROOT

AT_ONCE = 16
STARTS = 3  # of a cluster: its start may take longer than Ray waits for it
HEALTH = {"period_ms": 1000, "timeout_ms": 1000, "failure_threshold": 3, "initial_delay_ms": 0}
STORE = 80 << 20
USERS = {str(number): ["One?", "Two?", "Three?", "Four?", "Five?"][: 1 + number % 5] for number in range(900)}


class TestCluster:
    """A cluster whose head has no CPU; its other nodes have one each, for one replica."""

    __test__ = False

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        settings = {f"health_check_{name}": value for name, value in HEALTH.items()}
        head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False, "_system_config": settings}
        self.cluster = Cluster(initialize_head=True, connect=False, head_node_args=head)
        self.nodes: list[Any] = []

    @property
    def address(self) -> str:
        """Where it is."""
        return str(self.cluster.address)

    def add_node(self) -> None:
        """Let a node join, and wait for it."""
        self.nodes.append(self.cluster.add_node(num_cpus=1, object_store_memory=STORE))

    def kill_node(self) -> None:
        """Kill all processes of the last node that joined; return before it is noticed."""
        node = self.nodes.pop()
        threading.Thread(target=self.cluster.remove_node, args=(node,), kwargs={"allow_graceful": False}).start()

    def close(self) -> None:
        """End it."""
        self.cluster.shutdown()


@contextmanager
def running_cluster(num_nodes: int) -> Iterator[TestCluster]:
    """Start a cluster with some nodes; it ends with the block."""
    os.environ |= {
        "ECHO_START": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": str(ROOT),
    }
    for starts_left in reversed(range(STARTS)):
        made = None
        try:
            made = TestCluster()
            for _ in range(num_nodes):
                made.add_node()
            break
        except Exception:
            if made:
                made.close()
            if not starts_left:
                raise
    assert made
    try:
        yield made
    finally:
        made.close()


@contextmanager
def pool(
    address: str,
    start: Callable[..., Engine] = SlowEcho,
    replicas: int = 0,
    config: RequestConfig = CONFIG,
    **runtime: Any,
) -> Iterator[ReplicaPool]:
    """Replicas of an engine on a cluster."""
    ray = RayCluster(address=address, replicas=replicas)
    settings = Runtime(max_concurrent=AT_ONCE, ray=ray).model_copy(update=runtime)
    with closing(ReplicaPool(ReplicaSpec("m", partial(start, config), settings, folder=str(Path.cwd())))) as engine:
        yield engine


Event = tuple[Callable[[int], bool], Callable[[], Any]]  # whether it is time, by the number of finished conversations


def run(
    engine: Engine, *events: Event, users: dict[str, list[str]] = USERS, config: RequestConfig = CONFIG
) -> dict[str, list[str]]:
    """The replies of all conversations, each finished once; the events happen one after the other meanwhile."""
    finished: dict[str, list[str]] = {}
    waiting = list(events)
    conversations = [Conversation(key, messages) for key, messages in users.items()]
    for conversation in run_conversations(engine, conversations, config, AT_ONCE):
        assert conversation.key not in finished and conversation.status == "ok"
        finished[conversation.key] = [turn["assistant"] for turn in conversation.turns]
        if waiting and waiting[0][0](len(finished)):
            waiting.pop(0)[1]()
    assert finished.keys() == users.keys() and not waiting
    return finished


def live(engine: ReplicaPool) -> list[Member]:
    """The replicas at work."""
    return [member for member in engine._members.values() if member.is_live]


def send(engine: ReplicaPool, number: signal.Signals) -> None:
    """Send a signal to the actor of the first replica."""
    os.kill(actor_pid(engine), number)


def kill_engine(engine: ReplicaPool) -> None:
    """Kill the engine of the first replica, in its own process."""
    tasks = Path(f"/proc/{actor_pid(engine)}/task").glob("*/children")
    children = [pid for path in tasks for pid in path.read_text().split()]
    [child] = [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(int(child), signal.SIGKILL)


def actor_pid(engine: ReplicaPool) -> int:
    place = live(engine)[0].place
    assert place
    return place.pid
