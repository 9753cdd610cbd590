"""Replicas that do not start: on which nodes, how many in a row, and when it is hopeless. No Ray here."""

import time
from collections import Counter
from collections.abc import Collection

from stages.lib.engines.replicas.replica import Failed
from stages.lib.engines.worker import first_error_line

MAX_FAILURES = 3  # in a row, of replicas that did not start or ended before their first reply
SETTLE_SECONDS = 20.0  # after a loss or a change of the nodes, in which actors may still be placed on a dead one


class Failures:
    """The failures of a pool's replicas since one has last given its first reply, or a node has joined."""

    def __init__(self) -> None:
        self.in_a_row = 0
        self._by_node = Counter[str]()
        self._cause = Failed("", is_final=False)  # of the last one
        self._nodes = set[str]()  # that lived at the last look
        self._changed = time.monotonic()  # when nodes or replicas were last lost

    @property
    def are_enough(self) -> bool:
        """Whether no further replica should be tried."""
        return self.in_a_row >= MAX_FAILURES

    def see_nodes(self, nodes: set[str]) -> None:
        """Note nodes that left; those that are new are worth new tries."""
        if self._nodes - nodes:
            self.note_loss()
        if nodes - self._nodes:
            self.forget()
        self._nodes = nodes

    def note_loss(self) -> None:
        """Note that a replica was lost without a word, perhaps with its node."""
        self._changed = time.monotonic()

    def forget(self) -> None:
        """Begin to count again: a replica works, or a node has joined."""
        self.in_a_row = 0

    def count(self, node: str, how: str, cause: Failed | None) -> None:
        """Count a replica that did not start, has given up, or ended before its first reply.

        One that was lost without a word soon after others was perhaps placed on the same dead node.
        """
        if cause is None and time.monotonic() - self._changed < SETTLE_SECONDS:
            return
        self._cause = cause or Failed(f"the actor {how}", is_final=False)
        self.in_a_row += 1
        self._by_node[node] += 1

    def avoided(self, fitting: Collection[str]) -> set[str]:
        """Return those nodes that replicas failed on; none if there is no other."""
        failed = {node for node in fitting if self._by_node[node]}
        return failed if len(failed) < len(fitting) else set()

    def hopeless(self, fitting: Collection[str]) -> str:
        """Say why another try is in vain, given the nodes that a replica fits on; empty: it may not be."""
        refused = self.in_a_row and self._cause.is_final and all(self._by_node[node] for node in fitting)
        if not self.are_enough and not refused:
            return ""
        tries = "try" if self.in_a_row == 1 else "tries"
        return (
            f"no replica starts, after {self.in_a_row} {tries} on {len(+self._by_node)} of {len(fitting)} nodes: "
            f"{self._cause.reason}"
        )


def cause_of(error: Exception) -> Failed | None:
    """Return why an actor could not be made, or what it could not do, from an error of Ray's; None where it is gone."""
    if isinstance(cause := getattr(error, "cause", None), Exception):  # of an error in one of its methods
        return Failed(first_error_line(cause), is_final=False)
    if not getattr(error, "actor_init_failed", False):
        return None
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[-1] if lines else type(error).__name__
    hint = "; each node needs this checkout, at the same path or in PYTHONPATH" if "No module named" in reason else ""
    return Failed(reason + hint, is_final=False)
