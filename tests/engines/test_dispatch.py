"""Which replica gets which request: pure bookkeeping, without a cluster."""

import random
from collections import Counter, defaultdict

from stages.lib.engines.base import Request
from stages.lib.engines.replicas.dispatch import Dispatcher, Ticket

REQUEST = Request([{"role": "user", "content": "Hi?"}], 1)


def dispatcher(capacity: int, *replicas: int, keys: str = "") -> Dispatcher:
    """A dispatcher with these replicas, and a request for each key."""
    made = Dispatcher(capacity)
    for replica in replicas:
        made.add(replica)
    for key in keys:
        made.submit(key, REQUEST)
    return made


def numbers(tickets: list[Ticket]) -> list[str]:
    return [ticket.number for ticket in tickets]


def test_requests_are_spread_evenly_and_none_has_more_than_it_takes() -> None:
    few = dispatcher(8, 1, 2, keys="abcdef").assign([1, 2])
    assert {replica: numbers(tickets) for replica, tickets in few.items()} == {1: ["1", "3", "5"], 2: ["2", "4", "6"]}
    many = dispatcher(2, 1, 2, keys="abcdef")
    assert sum(map(len, many.assign([1, 2]).values())) == 4
    assert many.assign([1, 2]) == {1: [], 2: []}


def test_the_next_turn_of_a_conversation_stays_where_the_last_was_answered() -> None:
    made = dispatcher(2, 1, 2, keys="abcdefgh")
    handed = made.assign([1, 2])
    key = made.answer(2, handed[2][0].number)
    assert key == "b"
    made.submit(key, REQUEST)
    assert numbers(made.assign([1, 2])[2]) == ["9"]  # before those that were waiting


def test_a_slow_replica_holds_nothing_back_but_what_it_has() -> None:
    made = dispatcher(2, 1, 2)
    answered, turns = Counter[int](), Counter[str]()
    for key in "abcdefghijklmnopqrst":
        made.submit(key, REQUEST)
    running: dict[int, list[str]] = {1: [], 2: []}
    for moment in range(200):
        for replica, tickets in made.assign([1, 2]).items():
            running[replica] += numbers(tickets)
        for replica, pace in ((1, 1), (2, 10)):  # the second takes ten times as long
            if running[replica] and moment % pace == 0 and (done := made.answer(replica, running[replica].pop(0))):
                answered[replica] += 1
                turns[done] += 1
                if turns[done] < 3:
                    made.submit(done, REQUEST)
    assert set(turns.values()) == {3} and len(turns) == 20
    assert answered[1] > 8 * answered[2] > 0


def test_what_a_lost_replica_had_is_handed_out_first_and_may_go_anywhere() -> None:
    made = dispatcher(2, 1, 2, keys="abcde")
    first = made.assign([1, 2])
    made.answer(1, first[1][0].number)
    assert made.remove(1) == 1
    made.submit("a", REQUEST)  # its conversation stayed on the first, which is gone
    made.add(3)
    assert numbers(made.assign([3])[3]) == ["3", "5"]
    assert made.answer(3, "3") == "c"


def test_an_idle_replica_copies_the_oldest_requests_and_the_first_answer_counts() -> None:
    made = dispatcher(4, 1, keys="abcd")
    made.assign([1])
    made.add(2)
    copies = made.assign([2])[2]
    assert numbers(copies) == ["1", "2"]
    assert made.assign([2]) == {2: []}  # half of what the first had is copied, and it is not idle
    assert made.answer(2, "1") == "a" and made.answer(1, "1") is None
    assert made.answer(1, "2") == "b" and made.answer(2, "2") is None
    made.submit("a", REQUEST)
    assert numbers(made.assign([1, 2])[2])[:1] == ["5"]  # where the copy won


def test_a_late_answer_is_never_taken_for_the_next_turn() -> None:
    made = dispatcher(4, 1, keys="a")
    made.assign([1])
    made.add(2)
    made.assign([2])
    assert made.answer(2, "1") == "a"
    made.submit("a", REQUEST)
    assert numbers(made.assign([2])[2]) == ["2"]
    assert made.answer(1, "1") is None
    assert made.answer(2, "2") == "a"


def test_a_request_whose_copy_runs_elsewhere_is_not_asked_again() -> None:
    made = dispatcher(4, 1, keys="a")
    made.assign([1])
    made.add(2)
    made.assign([2])
    assert made.remove(1) == 0 and made.is_working(2)
    assert made.remove(2) == 1
    made.add(3)
    assert numbers(made.assign([3])[3]) == ["1"]


def test_replicas_that_come_and_go_at_random_answer_every_turn_once() -> None:
    rng = random.Random(3)
    made, live, number = dispatcher(3, 1, 2), {1, 2}, 2
    turns = {str(key): rng.randint(1, 5) for key in range(200)}
    answers: dict[str, int] = defaultdict(int)
    running: dict[int, list[str]] = {1: [], 2: []}
    for key in turns:
        made.submit(key, REQUEST)
    while sum(answers.values()) < sum(turns.values()):
        if rng.random() < 0.02 and live:
            lost = rng.choice(sorted(live))
            made.remove(lost)
            live.discard(lost)
        if rng.random() < 0.03 or not live:
            number += 1
            made.add(number)
            live.add(number)
            running[number] = []
        for replica, tickets in made.assign(sorted(live)).items():
            running[replica] += numbers(tickets)
        for replica in sorted(live):
            if running[replica] and rng.random() < 0.5:
                done = made.answer(replica, running[replica].pop(rng.randrange(len(running[replica]))))
                if done is not None:
                    answers[done] += 1
                    if answers[done] < turns[done]:
                        made.submit(done, REQUEST)
    assert answers == turns
