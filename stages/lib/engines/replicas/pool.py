"""Replicas of one engine on the GPUs and machines of a Ray cluster, behind the interface of an engine."""

import time
from collections import Counter
from contextlib import suppress
from typing import Any

from stages.lib.console.errors import MachineError, UserError
from stages.lib.console.interrupts import check_signals
from stages.lib.console.shell import log_line
from stages.lib.engines.base import Reply, Request, Usage
from stages.lib.engines.replicas.cluster import Node, join, list_nodes, make_actor, share_of
from stages.lib.engines.replicas.dispatch import Dispatcher
from stages.lib.engines.replicas.failures import Failures, cause_of
from stages.lib.engines.replicas.replica import Failed, Member, Place, ReplicaSpec, Started, Worked

POLL_SECONDS = 1.0
PING_SECONDS = 5.0  # without a sign of life, until a replica is asked for one
CHECK_SECONDS = 3.0  # between two looks at the nodes of the cluster, and two tries to start a replica
CLOSE_SECONDS = 5.0
PATIENCE = 0.5  # of the time that the first replica took to start: how long the others are waited for
LEAST_PATIENCE = 5.0


class ReplicaPool:
    """An engine that hands its requests to replicas; each has an engine in a process of its own, and restarts it.

    What an actor or a node had when it died or froze is asked again elsewhere, and another replica takes its place;
    nodes that join get one too. When this process ends, so do all replicas.
    """

    def __init__(self, spec: ReplicaSpec) -> None:
        self._spec, self._wanted = spec, spec.runtime.ray.replicas
        self._dispatcher = Dispatcher(spec.runtime.max_concurrent)
        self._members: dict[int, Member] = {}
        self._num_made = 0
        self._calls: dict[Any, tuple[Member, str]] = {}  # by Ray's reference to the result: the call's name
        self._usage = Usage()
        self._failures = Failures()
        self._checked = self._alive = time.monotonic()  # the last look at the nodes; when a replica was last live
        self.description = ""
        join(spec.runtime.ray.address)
        try:
            self._share = share_of(spec, self._wanted, list_nodes())
            self._check_fit(list_nodes())
            self._make_missing()
            self._wait_for_replicas()
        except BaseException:
            self.close()
            raise

    @property
    def num_replicas(self) -> int:
        """How many replicas are live."""
        return len(self._live())

    def submit(self, key: str, request: Request) -> None:
        """Queue a request."""
        self._dispatcher.submit(key, request)

    def step(self) -> list[tuple[str, Reply]]:
        """Hand out requests and wait shortly for replies; replace the replicas that died, and use nodes that joined."""
        if time.monotonic() - self._checked > CHECK_SECONDS:
            self._make_missing()
        self._hand_out()
        replies = self._receive()
        self._lose_frozen()
        self._check_alive()
        return replies

    def usage(self) -> Usage:
        """Return what the replicas used since the last call, with the seconds of each kind of machine."""
        for member in self._live():
            self._count_seconds(member)
        usage, self._usage = self._usage, Usage()
        return usage

    def close(self) -> None:
        """Let the engines end, and end the actors."""
        import ray

        with suppress(Exception):  # a cluster that is gone has no actors either
            closing = [member.actor.close.remote() for member in self._live()]
            if closing:
                ray.wait(closing, num_returns=len(closing), timeout=CLOSE_SECONDS)
            for member in self._members.values():
                ray.kill(member.actor)
        self._members.clear()
        self._calls.clear()
        ray.shutdown()

    def _live(self) -> list[Member]:
        return [member for member in self._members.values() if member.is_live]

    def _call(self, member: Member, name: str, *arguments: Any) -> None:
        self._calls[getattr(member.actor, name).remote(*arguments)] = (member, name)

    # Replicas that start

    def _check_fit(self, nodes: list[Node]) -> None:
        """Raise MachineError when nothing says how many replicas there will be: no node holds one now."""
        if not self._wanted and not any(map(self._share.fits, nodes)):
            raise MachineError(
                f"{self._spec.name}: a replica takes {self._share.described}, which none of the {len(nodes)} nodes at "
                f"{self._spec.runtime.ray.address} has (runtime.ray.address)"
            )

    def _make_missing(self) -> None:
        """Make as many replicas as are missing, unless they keep failing."""
        self._checked = time.monotonic()
        nodes = list_nodes()
        self._failures.see_nodes({node.id for node in nodes})
        if self._failures.are_enough:
            return
        avoided = self._failures.avoided([node.id for node in nodes if self._share.fits(node)])
        wanted = self._wanted or sum(self._share.fits(node) for node in nodes if node.id not in avoided)
        if self._failures.in_a_row:  # one at a time, until one is known to work
            wanted = min(wanted, self.num_replicas + 1)
        for _ in range(wanted - len(self._members)):
            self._num_made += 1
            member = Member(self._num_made, make_actor(self._spec, self._share, avoided))
            self._members[member.number] = member
            self._call(member, "locate")

    def _wait_for_replicas(self) -> None:
        """Wait for the first replica, and then for those that would be ready soon: so they share the work evenly."""
        began = first = time.monotonic()
        while True:
            check_signals()
            self.step()
            now = time.monotonic()
            if not self._live():
                first = now
            elif self._num_starting() == 0 or now - first > max(LEAST_PATIENCE, PATIENCE * (first - began)):
                break
        hosts = Counter(member.host for member in self._live())
        names = ", ".join(f"{number} on {host}" for host, number in sorted(hosts.items()))
        log_line(f"{self._spec.name}: replicas: {names}")

    def _num_starting(self) -> int:
        """Count the replicas that have their place, or may get it at once."""
        fits = sum(map(self._share.fits, list_nodes()))
        return min(len(self._members), fits) - len(self._live())

    # One turn of the pool

    def _hand_out(self) -> None:
        """Give requests to the replicas that are not in a call."""
        free = {member.number: member for member in self._live() if not member.is_calling}
        for number, tickets in self._dispatcher.assign(list(free)).items():
            if self._dispatcher.is_working(number):
                free[number].is_calling = True
                self._call(free[number], "work", tickets)

    def _receive(self) -> list[tuple[str, Reply]]:
        """Wait shortly for calls that have returned; return the replies among what they returned."""
        import ray

        if not self._calls:
            time.sleep(POLL_SECONDS)
            return []
        ended, _ = ray.wait(list(self._calls), num_returns=1, timeout=POLL_SECONDS)
        if ended:
            ended, _ = ray.wait(list(self._calls), num_returns=len(self._calls), timeout=0)
        replies = list[tuple[str, Reply]]()
        for reference in ended:
            member, name = self._calls.pop(reference, (None, ""))
            if member and member.number in self._members:
                replies += self._take(member, name, reference)
        return replies

    def _take(self, member: Member, name: str, reference: Any) -> list[tuple[str, Reply]]:
        """Take what a call returned; an error of Ray's says that the actor is gone."""
        import ray
        from ray.exceptions import RayError

        try:
            result = ray.get(reference)
        except RayError as error:
            self._lose(member, f"is gone ({type(error).__name__})", cause_of(error))
            return []
        member.last_sign = time.monotonic()
        if isinstance(result, Failed):
            self._lose(member, "has given up" if member.is_live else "did not start", result)
        elif isinstance(result, Place):
            member.place = result
            self._call(member, "start")
        elif isinstance(result, Started):
            self._welcome(member, result)
        elif isinstance(result, Worked):
            member.is_calling = False
            return self._accept(member, result)
        else:
            member.is_pinged = False
        return []

    def _welcome(self, member: Member, started: Started) -> None:
        """Count on a replica that is ready."""
        self.description = self.description or started.description
        member.hardware, member.is_live = started.hardware, True
        self._alive = member.paid_until = time.monotonic()
        self._usage.hardware = started.hardware
        self._dispatcher.add(member.number)
        if self._num_made > 1 and any(other.has_replied for other in self._members.values()):
            log_line(f"{self._spec.name}: a replica joins on {member.host}, {self.num_replicas} are at work")

    def _accept(self, member: Member, worked: Worked) -> list[tuple[str, Reply]]:
        """Return the replies that came first, with the hardware that they came from."""
        if worked.usage.restarts:
            log_line(f"{self._spec.name}: the engine on {member.host} has restarted; its log there says why")
        worked.usage.hardware = ""
        self._usage.add(worked.usage)
        replies = []
        for number, reply in worked.replies:
            key = self._dispatcher.answer(member.number, number)
            if key is not None:
                replies.append((key, reply._replace(hardware=member.hardware)))
        if worked.replies and not member.has_replied:
            member.has_replied = True
            self._failures.forget()
        return replies

    def _count_seconds(self, member: Member) -> None:
        now = time.monotonic()
        seconds = self._usage.seconds
        seconds[member.hardware] = seconds.get(member.hardware, 0.0) + now - member.paid_until
        member.paid_until = now

    # Replicas that end

    def _lose(self, member: Member, how: str, cause: Failed | None) -> None:
        """Take back what a replica had, and end its actor; raise UserError when replicas keep failing.

        `cause` is what the replica said; None for what has hit the actor or its node from outside.
        """
        import ray

        del self._members[member.number]
        num_lost = 0
        if member.is_live:
            self._count_seconds(member)
            self._usage.restarts += 1
            num_lost = self._dispatcher.remove(member.number)
        with suppress(Exception):  # it may be gone already
            ray.kill(member.actor)
        if cause or not member.has_replied:
            self._failures.count(member.place.node if member.place else "", how, cause)
        else:
            self._failures.note_loss()
        reason = f": {cause.reason}" if cause else ""
        again = f"; {num_lost} replies are requested again" if num_lost else ""
        log_line(f"{self._spec.name}: the replica on {member.host} {how}{again}, {self.num_replicas} are left{reason}")
        self._raise_if_hopeless()

    def _raise_if_hopeless(self) -> None:
        """Raise UserError with the cause when replicas keep failing, and none is live or may still start."""
        if self._live() or any(member.place for member in self._members.values()):
            return
        if why := self._failures.hopeless([node.id for node in list_nodes() if self._share.fits(node)]):
            raise UserError(f"{self._spec.name}: {why}")

    def _lose_frozen(self) -> None:
        """Ask replicas for a sign of life; give up those that have given none for stall_seconds."""
        limit = self._spec.runtime.stall_seconds
        for member in list(self._members.values()):
            silent = time.monotonic() - member.last_sign
            if member.place is None or silent < min(PING_SECONDS, limit / 2):
                continue
            if not member.is_pinged:
                member.is_pinged = True
                self._call(member, "ping")
            elif silent > limit:
                self._lose(member, f"gave no sign of life for {limit:.0f} s", None)

    def _check_alive(self) -> None:
        """Raise MachineError when no replica has been live for start_seconds."""
        if self._live():
            self._alive = time.monotonic()
            return
        seconds = self._spec.runtime.start_seconds
        if time.monotonic() - self._alive > seconds:
            raise MachineError(
                f"{self._spec.name}: no replica was ready in {seconds:.0f} s: each takes {self._share.described} of a "
                f"node, at {self._spec.runtime.ray.address} (runtime.ray.address)"
            )
