"""ROUGE-1 and ROUGE-L of all pairs of replies: the numbers of the package rouge-score, to the last bit.

Source: rouge-score 0.1.2, RougeScorer(["rouge1", "rougeL"], use_stemmer=True). It is faster: a reply is stemmed once
and not once per pair, RapidFuzz finds common subsequences on bits, and whole matrices are counted.
"""

import re
import sys
from collections.abc import Sequence

import numpy as np
from rapidfuzz.distance import LCSseq
from rapidfuzz.process import cdist

from stages.lib.core.types import Floats, Ints
from stages.lib.similarity.stems import stem

TOKEN = re.compile("[a-z0-9]+")
LETTERS = re.compile(r"[^\W_]+")  # and digits, of any script
MAX_UNSTEMMED = 3  # letters: tokens of this length and shorter ones are not stemmed


def tokenize(text: str) -> list[str]:
    """Return the stems of a text's runs of a-z and 0-9 in lower case; none for a text in other letters."""
    tokens = TOKEN.findall(text.lower())
    return [kept for token in tokens if (kept := stem(token) if len(token) > MAX_UNSTEMMED else token)]


def count_tokens(text: str) -> int:
    """Count a text's runs of a-z and 0-9 in lower case."""
    return len(TOKEN.findall(text.lower()))


def share_read(text: str) -> float:
    """Return the share of a text's letters and digits that are in a token, 0 for a text without any."""
    if text.isascii():
        return float(any(map(str.isalnum, text)))
    lower = text.lower()
    num_letters = sum(map(len, LETTERS.findall(lower)))
    return sum(map(len, TOKEN.findall(lower))) / num_letters if num_letters else 0.0


def rouge(replies: Sequence[list[str]]) -> tuple[Floats, Floats]:
    """Return ROUGE-1 and ROUGE-L, F1, of every pair of replies, given as tokens: [pair] each.

    Pairs are in the order of itertools.combinations. NaN where a reply has no token.
    """
    one, other = np.triu_indices(len(replies), 1)
    ids: dict[str, int] = {}
    coded = [[ids.setdefault(token, len(ids)) for token in reply] for reply in replies]
    lengths = np.array([len(reply) for reply in replies], dtype=np.int64)
    return (
        f1(count_common_tokens(coded, len(ids))[one, other], lengths[one], lengths[other]),
        f1(longest_subsequences(coded)[one, other], lengths[one], lengths[other]),
    )


def f1(overlaps: Ints, lengths: Ints, other_lengths: Ints) -> Floats:
    """Return F1 of `overlaps` common tokens between replies of these lengths; NaN where one is 0.

    It is symmetric in the two replies.
    """
    known = (lengths > 0) & (other_lengths > 0)
    precision, recall = overlaps / np.maximum(lengths, 1), overlaps / np.maximum(other_lengths, 1)
    total = precision + recall
    values = np.divide(2 * precision * recall, total, out=np.zeros(total.shape), where=total > 0)
    return np.where(known, values, np.nan)


def count_common_tokens(replies: Sequence[list[int]], vocabulary: int) -> Ints:
    """Count the tokens that two replies, of ids below `vocabulary`, have in common: [reply, reply], upper triangle.

    A repeated token counts as often as both have it.
    """
    counts = np.array([np.bincount(np.array(reply, np.int64), minlength=vocabulary) for reply in replies])
    common = np.zeros((len(replies), len(replies)), np.int64)
    for number, row in enumerate(counts):
        common[number, number + 1 :] = np.minimum(row, counts[number + 1 :]).sum(axis=1)
    return common


def longest_subsequences(replies: Sequence[list[int]]) -> Ints:
    """Return the length of the longest common subsequence of every two replies, [reply, reply]."""
    is_text = max((max(reply, default=0) for reply in replies), default=0) <= sys.maxunicode
    texts = ["".join(map(chr, reply)) for reply in replies] if is_text else replies  # RapidFuzz is fastest on strings
    return np.asarray(cdist(texts, texts, scorer=LCSseq.similarity, dtype=np.uint32), np.int64)
