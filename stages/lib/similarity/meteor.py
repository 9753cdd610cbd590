"""METEOR of many replies against one another: the numbers of nltk's meteor_score, to the last bit.

Source: nltk 3.10, nltk.translate.meteor_score with its defaults (Lavie and Agarwal 2007). nltk takes words that were
cut before: here by str.split, as in the paper's code, so that a comma stays on its word. They are matched in three
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
ALPHA, BETA, GAMMA = 0.9, 3.0, 0.5  # nine parts recall to one of precision; of the penalty, shape and weight


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return [word.lower() for word in text.split()]


def no_synonyms(_: str) -> frozenset[str]:
    """METEOR without WordNet."""
    return frozenset()


def score(matches: int, chunks: int, length: int, reference_length: int) -> float:
    """METEOR of replies of so many words that match in so many words and chunks (Lavie and Agarwal 2007, sec. 2)."""
    if not matches:
        return 0.0
    precision, recall = matches / length, matches / reference_length
    mean = (precision * recall) / (ALPHA * precision + (1 - ALPHA) * recall)
    return float((1 - GAMMA * (chunks / matches) ** BETA) * mean)


class Replies:
    """The replies to one prompt, as numbers that are made once and used in all pairs."""

    def __init__(self, replies: Sequence[list[str]], synonyms: Synonyms) -> None:
        """`replies` are the words of each; `synonyms` gives those of a stem."""
        self.lengths = [len(reply) for reply in replies]
        names: dict[str, int] = {}
        self._stems = [[names.setdefault(stem(word), len(names)) for word in reply] for reply in replies]
        self._near = Near(names, synonyms)
        self._places = places(replies)

    def score(self, one: int, other: int) -> float:
        """METEOR of one reply with another as its reference."""
        links = self._align(one, other)
        matched = links >= 0
        matches = int(np.count_nonzero(matched))
        joined = int(np.count_nonzero(matched[:-1] & (links[1:] == links[:-1] + 1)))
        return score(matches, matches - joined, self.lengths[one], self.lengths[other])

    def _align(self, one: int, other: int) -> Ints:
        """The place in the reference of each word of a reply; -1: it matches none."""
        mine, theirs = self._places[one], self._places[other]
        equal = np.flatnonzero((mine >= 0) & (theirs >= 0))
        links = np.full(self.lengths[one], -1)
        links[mine[equal]] = theirs[equal]
        free = np.ones(self.lengths[other], np.bool_)
        free[theirs[equal]] = False
        found = self._match_rest(one, np.flatnonzero(links < 0).tolist(), other, np.flatnonzero(free).tolist())
        if found:
            links[list(found)] = list(found.values())
        return links

    def _match_rest(self, one: int, mine: list[int], other: int, theirs: list[int]) -> dict[int, int]:
        """Match the words at the places that are left: equal stems, then synonyms."""
        stems, near = self._stems[one], self._near
        free: dict[int, list[int]] = {}  # places in the reference by stem, the last of them to be taken first
        for place in theirs:
            free.setdefault(self._stems[other][place], []).append(place)
        found, rest = {}, []
        for place in reversed(mine):
            name = stems[place]
            if equal := free.get(name):
                found[place] = equal.pop()
            elif near[name]:
                rest.append(place)
        for place in rest:
            candidates = [equal for name in near[stems[place]] if (equal := free.get(name))]
            if candidates:
                found[place] = max(candidates, key=itemgetter(-1)).pop()
        return found


class Near(dict[int, list[int]]):
    """Which other stems of the replies to a prompt are synonyms of one, looked up when it is asked for."""

    def __init__(self, names: dict[str, int], synonyms: Synonyms) -> None:
        super().__init__()
        self._names, self._spelled, self._known, self._synonyms = names, list(names), frozenset(names), synonyms

    def __missing__(self, name: int) -> list[int]:
        near = self._known & self._synonyms(self._spelled[name])
        self[name] = [other for word in near if (other := self._names[word]) != name]
        return self[name]


def places(replies: Sequence[list[str]]) -> Ints:
    """[reply, k]: where a reply has what k stands for: a word, and how often it comes again after it; -1: nowhere.

    Two replies match the words that are equal, from the end on, exactly where both have a place.
    """
    names: dict[tuple[str, int], int] = {}
    coded = []
    for reply in replies:
        later: dict[str, int] = defaultdict(int)
        codes = []
        for word in reversed(reply):
            codes.append(names.setdefault((word, later[word]), len(names)))
            later[word] += 1
        coded.append(codes)
    found = np.full((len(replies), len(names)), -1)
    for row, codes in zip(found, coded, strict=True):
        row[codes] = np.arange(len(codes))[::-1]
    return found


def meteor(replies: Sequence[list[str]], synonyms: Synonyms) -> tuple[Floats, Floats]:
    """METEOR of every pair of replies, given as words, in the order of itertools.combinations, and with roles changed.

    In the first the second reply of a pair is the reference, in the second the first. NaN where a reply has no word.
    """
    one, other = np.triu_indices(len(replies), 1)
    numbered = Replies(replies, synonyms)
    pairs = list(zip(one.tolist(), other.tolist(), strict=True))
    known = [bool(replies[first] and replies[second]) for first, second in pairs]
    scores = [
        [numbered.score(*pair) if scorable else np.nan for pair, scorable in zip(order, known, strict=True)]
        for order in (pairs, [pair[::-1] for pair in pairs])
    ]
    return np.array(scores[0], np.float64), np.array(scores[1], np.float64)
