"""Who gets what: requests that wait, those that each replica has, and where each conversation stays. No Ray here."""

from collections import Counter, deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from stages.lib.engines.base import Request

IDLE_SHARE = 0.25  # of the most that another replica has: one with less helps it out


class Ticket(NamedTuple):
    """A request as a replica gets it; its number is given once, so that a late answer is never taken for another's."""

    number: str
    request: Request


@dataclass(eq=False, slots=True)
class Task:
    """A request that is not answered yet, or whose copies still run."""

    key: str
    ticket: Ticket
    replicas: set[int] = field(default_factory=set)  # that have it
    is_answered: bool = False


class Dispatcher:
    """Hands requests to replicas, by their numbers.

    A conversation stays on its replica, whose prefix cache holds it. A replica has at most `capacity` requests, so a
    slow one never holds the rest. When none waits, an idle replica gets copies of the oldest requests of another: the
    first answer counts, and the conversation stays where it came from.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._num_tickets = 0
        self._waiting = deque[Task]()  # that may go to any replica
        self._at_home: dict[int, deque[Task]] = {}  # that wait for their replica
        self._running: dict[int, dict[str, Task]] = {}  # by replica and number, the oldest first
        self._homes: dict[str, int] = {}
        self._just_answered = set[str]()

    def add(self, replica: int) -> None:
        """Count on a replica."""
        self._running[replica], self._at_home[replica] = {}, deque()

    def remove(self, replica: int) -> int:
        """Take back the requests that a replica leaves unanswered, to be handed out first; return how many."""
        lost = [task for task in self._running.pop(replica).values() if not task.is_answered]
        for task in lost:
            task.replicas.discard(replica)
        again = [task for task in lost if not task.replicas]
        self._waiting.extendleft(reversed([*again, *self._at_home.pop(replica)]))
        self._homes = {key: home for key, home in self._homes.items() if home != replica}
        return len(again)

    def submit(self, key: str, request: Request) -> None:
        """Take a request; a later turn of a conversation waits for the replica that answered the one before."""
        self._num_tickets += 1
        self._just_answered.discard(key)
        task = Task(key, Ticket(str(self._num_tickets), request))
        self._at_home.get(self._homes.get(key, -1), self._waiting).append(task)

    def assign(self, replicas: Collection[int]) -> dict[int, list[Ticket]]:
        """Hand out what these replicas can take now, the one with the fewest first; return it by replica."""
        self._forget_finished()
        handed: dict[int, list[Ticket]] = {replica: [] for replica in replicas}
        for replica in replicas:
            while self._at_home[replica] and self._has_room(replica):
                handed[replica].append(self._hand(self._at_home[replica].popleft(), replica))
        while self._waiting and (free := [replica for replica in replicas if self._has_room(replica)]):
            replica = min(free, key=self._load)
            handed[replica].append(self._hand(self._waiting.popleft(), replica))
        if not self._waiting:
            for replica in replicas:
                handed[replica] += [self._hand(task, replica) for task in self._to_copy(replica)]
        return handed

    def answer(self, replica: int, number: str) -> str | None:
        """Take the answer to a request; return its key, or None if another replica was first."""
        task = self._running[replica].pop(number)
        task.replicas.discard(replica)
        if task.is_answered:
            return None
        task.is_answered = True
        self._homes[task.key] = replica
        self._just_answered.add(task.key)
        return task.key

    def is_working(self, replica: int) -> bool:
        """Tell whether a replica has requests, be it only copies."""
        return bool(self._running[replica])

    def _forget_finished(self) -> None:
        """Forget where conversations stayed that were answered, and ask no further turn."""
        for key in self._just_answered:
            self._homes.pop(key, None)
        self._just_answered.clear()

    def _load(self, replica: int) -> int:
        return len(self._running[replica])

    def _has_room(self, replica: int) -> bool:
        return self._load(replica) < self._capacity

    def _hand(self, task: Task, replica: int) -> Ticket:
        task.replicas.add(replica)
        self._running[replica][task.ticket.number] = task
        return task.ticket

    def _to_copy(self, replica: int) -> list[Task]:
        """Return the requests that an idle replica asks too: the oldest of the one with the most that nobody copies.

        As many as make both equal. What is sent stays where it is: nothing tells an engine to give up a request.
        """
        alone = Counter({other: self._num_alone(other) for other in self._running if other != replica})
        if not alone:
            return []
        [(other, most)] = alone.most_common(1)
        load = self._load(replica)
        if load > IDLE_SHARE * most:
            return []
        number = min((most - load + 1) // 2, self._capacity - load)
        tasks = (task for task in self._running[other].values() if is_alone(task))
        return [task for _, task in zip(range(number), tasks, strict=False)]

    def _num_alone(self, replica: int) -> int:
        return sum(map(is_alone, self._running[replica].values()))


def is_alone(task: Task) -> bool:
    """Tell whether a request is not answered, and one replica alone works on it."""
    return not task.is_answered and len(task.replicas) == 1
