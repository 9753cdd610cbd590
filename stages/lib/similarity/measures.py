"""The measures of similarity. To add one, score all pairs of replies in a module of its own and name it here."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.lib.core.types import Floats
from stages.lib.similarity.meteor import Synonyms, meteor, no_synonyms, split_words
from stages.lib.similarity.rouge import count_tokens, rouge, share_read, tokenize


class Measure(NamedTuple):
    """A measure, and the columns that hold its scores."""

    name: str  # the column with the second reply of a pair as the reference
    reverse: str  # the column with the first reply as the reference; `name` again for a symmetric measure


MEASURES = (Measure("rouge1", "rouge1"), Measure("rougeL", "rougeL"), Measure("meteor", "meteor_reversed"))
COLUMNS = tuple(dict.fromkeys(column for measure in MEASURES for column in measure))
# Why a pair has no score: a reply is blank; it has no token of ROUGE's; ROUGE reads too little of it, as of a Chinese
# text with a few Latin words; a reply has more than MAX_WORDS. METEOR scores `no_token` and `few_letters_read`.
REASONS = ("", "no_reply", "no_token", "few_letters_read", "too_long")
MAX_WORDS = 20_000  # the time of a pair grows with the product of its words
# Of a reply's letters, below which ROUGE gives no score: the words that it reads are not what the reply says.
MIN_SHARE_READ = 0.5


class PairScores(NamedTuple):
    """The scores of the replies to one turn, pairs in the order of itertools.combinations."""

    values: Floats  # [column, pair]; NaN: no score
    reasons: NDArray[np.int8]  # [pair], places in REASONS
    shares: Floats  # [pair], of the letters that ROUGE reads, in the reply of which it reads less; NaN: no reply


def score_replies(replies: Sequence[str], use_synonyms: bool) -> PairScores:
    """Score all pairs of replies to one turn in every measure."""
    is_short = [not is_too_long(reply) for reply in replies]
    known = [reply if short else "" for reply, short in zip(replies, is_short, strict=True)]
    tokens = [tokenize(reply) for reply in known]
    words = [split_words(reply) for reply in known]
    shares, has_words, has_tokens, are_short = (
        take_smaller(np.array(values, np.float64))
        for values in (list(map(share_read, known)), list(map(bool, words)), list(map(bool, tokens)), is_short)
    )
    conditions = {
        "too_long": are_short == 0,
        "no_reply": has_words == 0,
        "no_token": has_tokens == 0,
        "few_letters_read": shares < MIN_SHARE_READ,
    }
    reasons = np.select([*conditions.values()], [REASONS.index(reason) for reason in conditions])
    of_rouge = np.where(reasons == 0, rouge(tokens), np.nan)
    values = [*of_rouge, *meteor(words, choose_synonyms(use_synonyms))]
    return PairScores(np.array(values), reasons.astype(np.int8), np.where(has_words, shares, np.nan))


def choose_synonyms(use_wordnet: bool) -> Synonyms:
    """Return WordNet's synonyms, or none."""
    if not use_wordnet:
        return no_synonyms
    from stages.lib.similarity.wordnet import synonyms  # nltk takes two seconds to import

    return synonyms


def is_too_long(text: str) -> bool:
    """Whether a text has more than MAX_WORDS words of METEOR's or tokens of ROUGE's."""
    return len(text) > MAX_WORDS and max(len(text.split()), count_tokens(text)) > MAX_WORDS


def take_smaller(values: Floats) -> Floats:
    """Return the smaller value of each pair of replies."""
    one, other = np.triu_indices(len(values), 1)
    return np.minimum(values[one], values[other])
