"""The identities of a run's conversations, by their prompts."""

import numpy as np

from stages.lib.generation.identities import Identities

A, B, C = ("a" * 32, "b" * 32, "c" * 32)


def test_they_are_found_by_hash_and_stand_in_the_order_of_the_prompts() -> None:
    identities = Identities([("z", A), ("y", B), ("x", C)])
    assert identities.names.tolist() == [A.encode(), B.encode(), C.encode()]
    assert [identities[name] for name in "xyz"] == [C, B, A]
    assert "z" in identities and "w" not in identities


def test_a_part_of_them_keeps_their_order() -> None:
    part = Identities([("z", A), ("y", B), ("x", C)]).where(np.array([True, False, True]))
    assert part.names.tolist() == [A.encode(), C.encode()] and len(part) == 2
    assert part["x"] == C and part["z"] == A and "y" not in part


def test_of_equal_hashes_the_first_counts() -> None:
    identities = Identities([("z", A), ("y", B), ("z", A), ("x", C)])
    assert identities.names.tolist() == [A.encode(), B.encode(), C.encode()]
    assert [identities[name] for name in "xyz"] == [C, B, A]


def test_there_may_be_none() -> None:
    nothing = Identities([])
    assert not nothing and "a" not in nothing and not nothing.where(np.zeros(0, dtype=bool))
