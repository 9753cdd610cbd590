"""METEOR of all pairs of replies: the numbers of nltk's meteor_score, to the last bit.

Source: nltk 3.10, nltk.translate.meteor_score with its defaults (Lavie and Agarwal 2007). nltk takes tokenized texts:
here they are split by str.split, as in the paper's code, so that a comma stays on its word. Words are matched in three
steps, equal words, equal stems, synonyms, each from the end of the reply on; and as in nltk the third step looks up the
stems, not the words.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from operator import itemgetter

import numpy as np

from stages.lib.core.types import Floats, Ints
from stages.lib.similarity.stems import stem

Synonyms = Callable[[str], frozenset[str]]
ALPHA = 0.9  # nine parts recall to one of precision
BETA = 3.0  # shape of the penalty
GAMMA = 0.5  # weight of the penalty


def split_words(text: str) -> list[str]:
    """Split a text into its words, in lower case."""
    return [word.lower() for word in text.split()]


def no_synonyms(_: str) -> frozenset[str]:
    """Return no synonyms: METEOR without WordNet."""
    return frozenset()


def meteor_formula(matches: int, num_chunks: int, length: int, reference_length: int) -> float:
    """Compute METEOR from the number of matched words, of the chunks that they form, and of the words on both sides.

    Lavie and Agarwal 2007, sec. 2.
    """
    if not matches:
        return 0.0
    precision, recall = matches / length, matches / reference_length
    mean = (precision * recall) / (ALPHA * precision + (1 - ALPHA) * recall)
    return float((1 - GAMMA * (num_chunks / matches) ** BETA) * mean)


class Replies:
    """The replies to one prompt as numbers, which are made once and used for all pairs."""

    def __init__(self, replies: Sequence[list[str]], synonyms: Synonyms) -> None:
        """`replies` are the words of each; `synonyms` returns those of a stem."""
        self.lengths = [len(reply) for reply in replies]
        ids: dict[str, int] = {}
        self._stems = [[ids.setdefault(stem(word), len(ids)) for word in reply] for reply in replies]
        self._synonyms = StemSynonyms(ids, synonyms)
        self._places = locate_words(replies)

    def score(self, reply: int, reference: int) -> float:
        """Return METEOR of one reply with another as its reference."""
        links = self._align(reply, reference)
        is_matched = links >= 0
        matches = int(np.count_nonzero(is_matched))
        num_joined = int(np.count_nonzero(is_matched[:-1] & (links[1:] == links[:-1] + 1)))
        return meteor_formula(matches, matches - num_joined, self.lengths[reply], self.lengths[reference])

    def _align(self, reply: int, reference: int) -> Ints:
        """Return for each word of a reply the place of its match in the reference; -1: none."""
        mine, theirs = self._places[reply], self._places[reference]
        equal = np.flatnonzero((mine >= 0) & (theirs >= 0))
        links = np.full(self.lengths[reply], -1)
        links[mine[equal]] = theirs[equal]
        is_free = np.ones(self.lengths[reference], np.bool_)
        is_free[theirs[equal]] = False
        unmatched, free = np.flatnonzero(links < 0).tolist(), np.flatnonzero(is_free).tolist()
        matched = self._match_rest(reply, unmatched, reference, free)
        if matched:
            links[list(matched)] = list(matched.values())
        return links

    def _match_rest(self, reply: int, unmatched: list[int], reference: int, free: list[int]) -> dict[int, int]:
        """Match the words at the remaining places: equal stems, then synonyms."""
        stems = self._stems[reply]
        free_by_stem: dict[int, list[int]] = {}  # places in the reference, the last of them to be taken first
        for place in free:
            free_by_stem.setdefault(self._stems[reference][place], []).append(place)
        matched, with_synonyms = {}, []
        for place in reversed(unmatched):
            if equal := free_by_stem.get(stems[place]):
                matched[place] = equal.pop()
            elif self._synonyms[stems[place]]:
                with_synonyms.append(place)
        for place in with_synonyms:
            candidates = [places for other in self._synonyms[stems[place]] if (places := free_by_stem.get(other))]
            if candidates:
                matched[place] = max(candidates, key=itemgetter(-1)).pop()
        return matched


class StemSynonyms(dict[int, list[int]]):
    """For each stem, by its id, the other stems of a prompt's replies that are its synonyms, looked up on demand."""

    def __init__(self, ids: dict[str, int], synonyms: Synonyms) -> None:
        super().__init__()
        self._ids, self._stems, self._known, self._synonyms = ids, list(ids), frozenset(ids), synonyms

    def __missing__(self, stem_id: int) -> list[int]:
        known = self._known & self._synonyms(self._stems[stem_id])
        self[stem_id] = [other for word in known if (other := self._ids[word]) != stem_id]
        return self[stem_id]


def locate_words(replies: Sequence[list[str]]) -> Ints:
    """Return where each reply has what k stands for, [reply, k]; -1: nowhere.

    k stands for a word and how often it comes again after it. Two replies match the words that are equal, from the end
    on, exactly where both have a place.
    """
    ids: dict[tuple[str, int], int] = {}
    coded = []
    for reply in replies:
        num_later: dict[str, int] = defaultdict(int)
        codes = []
        for word in reversed(reply):
            codes.append(ids.setdefault((word, num_later[word]), len(ids)))
            num_later[word] += 1
        coded.append(codes)
    places = np.full((len(replies), len(ids)), -1)
    for row, codes in zip(places, coded, strict=True):
        row[codes] = np.arange(len(codes))[::-1]
    return places


def meteor(replies: Sequence[list[str]], synonyms: Synonyms) -> tuple[Floats, Floats]:
    """Return METEOR of every pair of replies, given as words, and METEOR with roles changed: [pair] each.

    Pairs are in the order of itertools.combinations. In the first array the second reply of a pair is the reference, in
    the second the first. NaN where a reply has no word.
    """
    one, other = np.triu_indices(len(replies), 1)
    scorer = Replies(replies, synonyms)
    pairs = list(zip(one.tolist(), other.tolist(), strict=True))
    scorable = [bool(replies[first] and replies[second]) for first, second in pairs]
    scores = [
        [scorer.score(*pair) if is_scorable else np.nan for pair, is_scorable in zip(order, scorable, strict=True)]
        for order in (pairs, [pair[::-1] for pair in pairs])
    ]
    return np.array(scores[0], np.float64), np.array(scores[1], np.float64)
