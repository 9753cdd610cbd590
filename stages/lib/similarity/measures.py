"""The measures of similarity. To add one, score all pairs of replies in a module of its own and name it here."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.lib.core.types import Floats
from stages.lib.similarity.meteor import meteor, no_synonyms, split_words
from stages.lib.similarity.rouge import rouge, share_read, tokenize
from stages.lib.similarity.wordnet import synonyms


class Measure(NamedTuple):
    """A measure, and the columns that hold its scores."""

    name: str  # the column with the second reply of a pair as the reference
    reverse: str  # the column with the first reply as the reference; `name` again for a symmetric measure


MEASURES = (Measure("rouge1", "rouge1"), Measure("rougeL", "rougeL"), Measure("meteor", "meteor_reversed"))
COLUMNS = tuple(dict.fromkeys(column for measure in MEASURES for column in measure))
# Why a pair has no score: a reply is blank; it has no token of ROUGE's; ROUGE reads too little of it, as of a Chinese
# text with a few Latin words. METEOR has a score for the last two.
REASONS = ("", "no_reply", "no_token", "other_script")
# Of a reply's letters, below which ROUGE gives no score: the words that it reads are not what the reply says.
MIN_SHARE_READ = 0.5


class PairScores(NamedTuple):
    """The scores of the replies to one turn, pairs in the order of itertools.combinations."""

    values: Floats  # [column, pair]; NaN: no score
    reasons: NDArray[np.int8]  # [pair], places in REASONS
    shares: Floats  # [pair], of the letters that ROUGE reads, in the reply of which it reads less; NaN: no reply


def score_replies(replies: Sequence[str], use_synonyms: bool) -> PairScores:
    """Score all pairs of replies to one turn in every measure."""
    tokens = [tokenize(reply) for reply in replies]
    words = [split_words(reply) for reply in replies]
    shares, has_words, has_tokens = (
        take_smaller(np.array(values, np.float64))
        for values in (list(map(share_read, replies)), list(map(bool, words)), list(map(bool, tokens)))
    )
    reasons = np.select([has_words == 0, has_tokens == 0, shares < MIN_SHARE_READ], [1, 2, 3])
    of_rouge = np.where(reasons == 0, rouge(tokens), np.nan)
    values = [*of_rouge, *meteor(words, synonyms if use_synonyms else no_synonyms)]
    return PairScores(np.array(values), reasons.astype(np.int8), np.where(has_words, shares, np.nan))


def take_smaller(values: Floats) -> Floats:
    """Return the smaller value of each pair of replies."""
    one, other = np.triu_indices(len(values), 1)
    return np.minimum(values[one], values[other])
