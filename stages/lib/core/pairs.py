"""Pairs of models, and their names in the files that we write."""

from collections.abc import Iterable
from itertools import combinations

Pair = tuple[str, str]  # two models


def all_pairs(models: Iterable[str]) -> list[Pair]:
    """Return every pair of models, in their order."""
    return list(combinations(models, 2))


def pair_key(pair: Pair) -> str:
    """Return the name of a pair: `one other`."""
    return " ".join(pair)
