"""ROUGE-1 and ROUGE-L of many replies against one another: the numbers of the package rouge-score, to the last bit.

Source: rouge-score 0.1.2, RougeScorer(["rouge1", "rougeL"], use_stemmer=True). What is faster here: a reply is cut into
stems once and not once per pair, common subsequences are found by RapidFuzz on bits, and whole matrices are counted.
"""

import re
from collections.abc import Sequence

import numpy as np
from rapidfuzz.distance import LCSseq
from rapidfuzz.process import cdist

from stages.lib.core.types import Floats, Ints
from stages.lib.similarity.stems import stem

TOKEN = re.compile("[a-z0-9]+")
SHORT = 3  # letters: shorter tokens and those of so many are not stemmed


def tokens(text: str) -> list[str]:
    """The stems of a text's runs of a-z and 0-9 in lower case; of a text in other letters none."""
    found = TOKEN.findall(text.lower())
    return [short for word in found if (short := stem(word) if len(word) > SHORT else word)]


def f1(overlaps: Ints, one: Ints, other: Ints) -> Floats:
    """F1 of so many common tokens between replies of so many tokens; NaN where one has none. Equal for both orders."""
    known = (one > 0) & (other > 0)
    precision, recall = overlaps / np.maximum(one, 1), overlaps / np.maximum(other, 1)
    both = precision + recall
    values = np.divide(2 * precision * recall, both, out=np.zeros(both.shape), where=both > 0)
    return np.where(known, values, np.nan)


def rouge(replies: Sequence[list[str]]) -> tuple[Floats, Floats]:
    """ROUGE-1 and ROUGE-L, F1, of every pair of replies, given as tokens, in the order of itertools.combinations.

    NaN where a reply has no token.
    """
    one, other = np.triu_indices(len(replies), 1)
    ids: dict[str, int] = {}
    coded = [[ids.setdefault(token, len(ids)) for token in reply] for reply in replies]
    lengths = np.array([len(reply) for reply in replies], dtype=np.int64)
    return (
        f1(common(coded, len(ids))[one, other], lengths[one], lengths[other]),
        f1(subsequences(coded)[one, other], lengths[one], lengths[other]),
    )


def common(replies: Sequence[list[int]], vocabulary: int) -> Ints:
    """How many tokens each two replies, of ids below `vocabulary`, have in common; repeated ones as often as both."""
    counts = np.array([np.bincount(np.array(reply, np.int64), minlength=vocabulary) for reply in replies])
    found = np.zeros((len(replies), len(replies)), np.int64)
    for number, row in enumerate(counts):
        found[number, number + 1 :] = np.minimum(row, counts[number + 1 :]).sum(axis=1)
    return found


def subsequences(replies: Sequence[list[int]]) -> Ints:
    """The length of the longest common subsequence of each two replies."""
    texts = ["".join(map(chr, reply)) for reply in replies]  # RapidFuzz reads letters fastest
    return np.asarray(cdist(texts, texts, scorer=LCSseq.similarity, dtype=np.uint32), np.int64)
