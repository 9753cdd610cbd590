"""A replica: a supervised engine inside an actor of Ray's. What goes wrong comes back as a value, with its place."""

import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from stages.lib.console.errors import MachineError, UserError
from stages.lib.console.needs import Needs, check_machine
from stages.lib.core.costs import name_hardware
from stages.lib.engines.base import Reply, Usage
from stages.lib.engines.replicas.dispatch import Ticket
from stages.lib.engines.supervisor import SupervisedEngine
from stages.lib.engines.worker import StartEngine, first_error_line
from stages.lib.settings.runtime import Runtime

CODE = Path(__file__).absolute().parents[4]  # the checkout


@dataclass(frozen=True, slots=True)
class ReplicaSpec:
    """What each replica of a pool runs."""

    name: str  # of the model, for messages
    start: StartEngine
    runtime: Runtime
    num_gpus: int = 0  # of each replica
    is_wide: bool = False  # whether its engine takes all cores that it gets, as vLLM does on a CPU
    needs: Needs | None = None  # of the machine that it runs on
    path: str = ""  # of a model in a folder, which must be there on each node
    folder: str = ""  # that relative paths are in: the driver's


class Place(NamedTuple):
    """Where an actor runs."""

    node: str  # its id in the cluster
    host: str
    pid: int


class Started(NamedTuple):
    """A replica that is ready."""

    description: str  # of its engine
    hardware: str


class Failed(NamedTuple):
    """A replica that cannot start, or has given up."""

    reason: str
    is_final: bool  # whether another try on the same node would end in the same way


class Worked(NamedTuple):
    """What a replica has to tell since the last call."""

    replies: list[tuple[str, Reply]]
    usage: Usage


@dataclass(eq=False, slots=True)
class Member:
    """A replica as this process sees it: placed by the cluster, then started, then live."""

    number: int
    actor: Any
    place: Place | None = None
    hardware: str = ""
    is_live: bool = False
    is_calling: bool = False  # whether `work` is under way
    is_pinged: bool = False
    has_replied: bool = False
    last_sign: float = field(default_factory=time.monotonic)
    paid_until: float = 0.0  # the time up to which its seconds are counted

    @property
    def host(self) -> str:
        """The name of its machine."""
        return self.place.host if self.place else "no node yet"


class Replica:
    """The actor. `work` is called again and again, by one caller; `ping` shows meanwhile that it is not frozen."""

    def __init__(self, spec: ReplicaSpec) -> None:
        self._spec = spec
        self._engine: SupervisedEngine | None = None

    def locate(self) -> Place:
        """Return where this is."""
        import ray  # only the processes of a cluster have it loaded

        return Place(ray.get_runtime_context().get_node_id(), os.uname().nodename, os.getpid())

    def start(self) -> Started | Failed:
        """Start the engine; what it prints goes to a log on this node."""
        spec = self._spec
        try:
            enter(spec.folder)
            if not spec.is_wide:
                os.environ.pop("OMP_NUM_THREADS", None)  # Ray sets it to an actor's CPUs, of which this asks for one
            check_path(spec.path)
            if spec.needs:
                check_machine(spec.needs)
            host = re.sub(r"[^A-Za-z0-9_-]", "-", os.uname().nodename)
            self._engine = SupervisedEngine(spec.start, spec.runtime, f"{spec.name}-{host}-{os.getpid()}")
        except (UserError, OSError) as error:
            return to_failed(error)
        return Started(self._engine.description, name_hardware(spec.num_gpus))

    def work(self, tickets: list[Ticket]) -> Worked | Failed:
        """Queue requests, then wait shortly for replies."""
        assert self._engine
        for ticket in tickets:
            self._engine.submit(ticket.number, ticket.request)
        try:
            return Worked(self._engine.step(), self._engine.usage())
        except UserError as error:
            return to_failed(error)

    def ping(self) -> None:
        """Answer."""

    def close(self) -> None:
        """Stop the engine."""
        if self._engine:
            self._engine.close()


def enter(folder: str) -> None:
    """Change to the driver's folder, or where this node has none of that name, to that of the code."""
    os.chdir(folder if os.path.isdir(folder) else CODE)


def check_path(path: str) -> None:
    """Raise UserError when this node lacks the folder of a model."""
    if path and not Path(path).exists():
        raise UserError(f"there is no {path} in {Path.cwd()}: each node of the cluster needs the model's files")


def to_failed(error: Exception) -> Failed:
    """Describe an error; one about the machine may be gone the next time."""
    is_final = isinstance(error, UserError) and not isinstance(error, MachineError)
    return Failed(str(error) if isinstance(error, UserError) else first_error_line(error), is_final)
