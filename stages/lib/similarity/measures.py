"""The measures of similarity. To add one, score all pairs of replies in a module of its own and name it here."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.lib.core.types import Floats
from stages.lib.similarity.meteor import meteor, no_synonyms, split_words
from stages.lib.similarity.rouge import rouge, tokenize
from stages.lib.similarity.wordnet import synonyms


class Measure(NamedTuple):
    """A measure, and the columns that hold its scores."""

    name: str  # the column with the second reply of a pair as the reference
    reverse: str  # the column with the first reply as the reference; `name` again for a symmetric measure


MEASURES = (Measure("rouge1", "rouge1"), Measure("rougeL", "rougeL"), Measure("meteor", "meteor_reversed"))
COLUMNS = tuple(dict.fromkeys(column for measure in MEASURES for column in measure))
REASONS = ("", "no_reply", "no_token")  # why a pair has no score: a reply is blank; it has no token of ROUGE's


class PairScores(NamedTuple):
    """The scores of the replies to one turn, pairs in the order of itertools.combinations."""

    values: Floats  # [column, pair]; NaN: no score
    reasons: NDArray[np.int8]  # [pair], places in REASONS


def score_replies(replies: Sequence[str], use_synonyms: bool) -> PairScores:
    """Score all pairs of replies to one turn in every measure."""
    tokens = [tokenize(reply) for reply in replies]
    words = [split_words(reply) for reply in replies]
    values = [*rouge(tokens), *meteor(words, synonyms if use_synonyms else no_synonyms)]
    one, other = np.triu_indices(len(replies), 1)
    has_words, has_tokens = (np.array([bool(reply) for reply in parts]) for parts in (words, tokens))
    reasons = np.where(has_words[one] & has_words[other], np.where(has_tokens[one] & has_tokens[other], 0, 2), 1)
    return PairScores(np.array(values), reasons.astype(np.int8))
