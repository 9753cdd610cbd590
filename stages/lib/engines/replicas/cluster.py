"""The cluster: how this process joins it, what its nodes have, and how an actor is placed."""

import logging
import os
import signal
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from stages.lib.console.errors import MachineError
from stages.lib.console.interrupts import SIGNALS
from stages.lib.engines.replicas.replica import Replica, ReplicaSpec
from stages.lib.engines.worker import first_error_line

LOCAL = "local"
LOCAL_OPTIONS = {"include_dashboard": False, "object_store_memory": 128 << 20}  # replies are small
MAX_STARTS = 3  # of a local cluster: on a busy machine its start may take longer than Ray waits
NODE_LABEL = "ray.io/node-id"


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the cluster that lives, and what it has in all, in use or not."""

    id: str
    host: str
    cpus: float
    gpus: float


@dataclass(frozen=True, slots=True)
class Share:
    """What each replica takes of its node."""

    cpus: int
    gpus: int

    def fits(self, node: Node) -> int:
        """Return how many replicas a node holds."""
        by_cpus = int(node.cpus // self.cpus)
        return min(by_cpus, int(node.gpus // self.gpus)) if self.gpus else by_cpus

    @property
    def described(self) -> str:
        """What it is, in words."""
        return f"{self.gpus} GPUs" if self.gpus > 1 else "a GPU" if self.gpus else f"{self.cpus} CPUs"


def join(address: str) -> None:
    """Join the cluster at an address, or start one on this machine; raise MachineError when that fails.

    Nothing of Ray's appears on the screen: the pool says what happens to its replicas.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray").setLevel(logging.ERROR)
    import ray
    from ray._private import worker as driver

    # With log_to_driver=False, this prints Ray's own messages alone, into the middle of a progress bar.
    driver.print_to_stdstream = lambda *_, **__: None
    options: dict[str, Any] = LOCAL_OPTIONS if address == LOCAL else {}
    for starts_left in reversed(range(MAX_STARTS if address == LOCAL else 1)):
        try:
            with own_signals():
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
            return
        except Exception as error:  # Ray raises nearly every kind, Exception itself too
            with suppress(Exception):
                ray.shutdown()
            if starts_left and not isinstance(error, (ValueError, ConnectionError)):
                time.sleep(1)
                continue
            what = "starts" if address == LOCAL else "answers"
            hint = "" if address == LOCAL else "; one with a token needs RAY_AUTH_MODE=token, and the token, here too"
            raise MachineError(
                f"runtime.ray.address: no Ray cluster {what} at {address} ({first_error_line(error)}){hint}"
            ) from None


@contextmanager
def own_signals() -> Iterator[None]:
    """Keep this process's handlers of signals in the block, in which Ray sets its own."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def list_nodes() -> list[Node]:
    """Return the nodes that live, in the order of their ids."""
    import ray

    nodes = [
        Node(
            node["NodeID"],
            node["NodeManagerHostname"],
            node["Resources"].get("CPU", 0.0),
            node["Resources"].get("GPU", 0.0),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]
    return sorted(nodes, key=lambda node: node.id)


def share_of(spec: ReplicaSpec, replicas: int, nodes: Collection[Node]) -> Share:
    """Return what each replica takes. An engine that uses all cores gets those of a node, or its part of them."""
    cores = [int(node.cpus) for node in nodes if node.cpus >= 1]
    if not spec.is_wide or not cores:
        return Share(1, spec.num_gpus)
    on_each = -(-max(replicas, 1) // len(cores))
    return Share(max(1, min(cores) // on_each), spec.num_gpus)


def make_actor(spec: ReplicaSpec, share: Share, avoided: Collection[str]) -> Any:
    """Make an actor, on another node than these. It is never restarted: the pool makes another one."""
    import ray
    from ray.util.scheduling_strategies import NodeLabelSchedulingStrategy, NotIn

    strategy = NodeLabelSchedulingStrategy({NODE_LABEL: NotIn(*sorted(avoided))}) if avoided else "SPREAD"
    return (
        ray
        .remote(Replica)
        .options(
            num_cpus=share.cpus,
            num_gpus=share.gpus,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=2,  # `ping` answers while `work` waits
            scheduling_strategy=strategy,
        )
        .remote(spec)
    )
