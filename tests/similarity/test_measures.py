"""ROUGE and METEOR: the numbers of rouge-score and nltk to the last bit, and cases computed by hand."""

import random
from collections.abc import Callable
from itertools import combinations, permutations
from typing import Any, ClassVar

import numpy as np
import pytest
from nltk.translate.meteor_score import meteor_score
from rouge_score.rouge_scorer import RougeScorer

from stages.lib.console.errors import UserError
from stages.lib.similarity.meteor import meteor, meteor_formula, no_synonyms, split_words
from stages.lib.similarity.rouge import rouge, tokenize
from stages.lib.similarity.wordnet import open_wordnet, synonyms, wordnet_sha256
from tests.support.texts import random_texts

SCORER = RougeScorer(["rouge1", "rougeL"], use_stemmer=True)
LITERAL = [
    "the cat sat",
    "The cats were sitting; the cat sat.",
    "the the the cat",
    "cat the",
    "film x1",
    "sat mat cat x1",
    "yes, gas and ads",
    "ye ga an ad",
    "naïve café, it's U.S.A. 3.14",
    "機械学習 is fun 機械学習",
    "K İstanbul ΣΑΣ ﬁne ſtyle",
    "<|im_end|> **bold** `code_with_underscores` \x1c\u2028 _",
    "generously generating generators' generations",
    "a b c d e f g a b c d e f g",
    "g f e d c b a",
    "the movie was a film about a big large huge picture",
]


class Thesaurus:
    """A WordNet of a few words, as nltk asks it. A synonym can be several words, capitalised, or lead one way only."""

    SENSES: ClassVar = {
        "film": ["cat", "sat", "movie"],
        "movi": ["film", "of"],
        "big": ["large", "Huge", "well_grown"],
        "larg": ["big"],
    }

    class Lemma(str):
        def name(self) -> str:
            return str(self)

    class Sense(list["Thesaurus.Lemma"]):
        def lemmas(self) -> list["Thesaurus.Lemma"]:
            return self

    def synsets(self, word: str) -> list["Thesaurus.Sense"]:
        return [self.Sense([self.Lemma(name)]) for name in self.SENSES.get(word, [])]


class NoThesaurus:
    """A WordNet without a word."""

    def synsets(self, word: str) -> list[Any]:
        return []


def of_thesaurus(word: str) -> frozenset[str]:
    return frozenset(name for name in Thesaurus.SENSES.get(word, []) if "_" not in name)


def same(ours: float, theirs: float, scorable: object) -> bool:
    """Whether scores are equal to the last bit; where the packages give 0 for nothing to score, ours is NaN."""
    return ours == theirs if scorable else bool(np.isnan(ours)) and theirs == 0


def check_rouge(texts: list[str]) -> None:
    tokens = [tokenize(text) for text in texts]
    for (one, other), *ours in zip(combinations(range(len(texts)), 2), *rouge(tokens), strict=True):
        for order in ((one, other), (other, one)):
            theirs = SCORER.score(*(texts[number] for number in order))
            for value, name in zip(ours, ("rouge1", "rougeL"), strict=True):
                assert same(value, theirs[name].fmeasure, tokens[one] and tokens[other])


def check_meteor(texts: list[str], source: Any, ours: Callable[[str], frozenset[str]]) -> None:
    scores = meteor([split_words(text) for text in texts], ours)
    for (one, other), *values in zip(combinations(texts, 2), *scores, strict=True):
        for value, (text, reference) in zip(values, ((one, other), (other, one)), strict=True):
            theirs = meteor_score([reference.split()], text.split(), wordnet=source)
            assert same(value, theirs, text.split() and reference.split())


def has_wordnet() -> bool:
    try:
        open_wordnet()
    except UserError:
        return False
    return True


needs_wordnet = pytest.mark.skipif(not has_wordnet(), reason="WordNet is not there: `make wordnet`")


def test_rouge_equals_rouge_scores_to_the_last_bit_on_literal_texts() -> None:
    check_rouge([*LITERAL, "", " \n"])


@pytest.mark.parametrize("part", range(4))
def test_rouge_equals_rouge_scores_to_the_last_bit_on_random_texts(part: int) -> None:
    check_rouge(random_texts(100)[part * 25 : part * 25 + 25])


def test_very_long_replies_have_the_packages_numbers_too() -> None:
    draw = random.Random(2)
    texts = [" ".join(str(draw.randrange(3000)) for _ in range(800)) for _ in range(2)]
    check_rouge(texts)
    long = [" ".join(str(draw.randrange(90_000)) for _ in range(60_000)) for _ in range(2)]  # ids beyond 16 bits
    check_meteor(long, NoThesaurus(), no_synonyms)
    [one], [longest] = rouge([tokenize(text) for text in long])
    assert 0 < longest < one < 1


@pytest.mark.parametrize(("source", "ours"), [(NoThesaurus(), no_synonyms), (Thesaurus(), of_thesaurus)])
def test_meteor_equals_nltks_to_the_last_bit(source: Any, ours: Callable[[str], frozenset[str]]) -> None:
    check_meteor([*LITERAL, "", " \n"], source, ours)
    texts = random_texts(100)
    for start in range(0, 100, 10):
        check_meteor(texts[start : start + 10], source, ours)


@needs_wordnet
def test_meteor_with_wordnet_equals_nltks_to_the_last_bit() -> None:
    check_meteor([*LITERAL, ""], open_wordnet(), synonyms)
    for start in range(0, 100, 10):
        check_meteor(random_texts(100)[start : start + 10], open_wordnet(), synonyms)


@needs_wordnet
def test_the_example_of_nltks_documentation_has_its_number() -> None:
    hypothesis = "It is a guide to action which ensures that the military always obeys the commands of the party"
    reference = "It is a guide to action that ensures that the military will forever heed Party commands"
    [score], _ = meteor([split_words(hypothesis), split_words(reference)], synonyms)
    assert round(float(score), 4) == 0.6944
    assert "movie" in synonyms("film") and not any("_" in name for name in synonyms("film"))
    assert len(wordnet_sha256()) == 64


def test_rouge_equals_the_score_computed_by_hand() -> None:
    [one], [longest] = rouge([tokenize("The cat sat on mats"), tokenize("on the cat sitting")])
    # 5 and 4 tokens. In common: on, the, cat (sat and sit differ): P = 3/5, R = 3/4. In order: the cat: 2/5 and 2/4.
    assert one == pytest.approx(2 / 3) and longest == pytest.approx(4 / 9)


def test_meteor_equals_the_score_computed_by_hand() -> None:
    [score], [reverse] = meteor([split_words("the cat sat on a mat"), split_words("on the cat")], no_synonyms)
    # Matched: "the cat" and "on", 3 words in 2 chunks. Of the first: P = 3/6, R = 3/3.
    mean, penalty = (0.5 * 1) / (0.9 * 0.5 + 0.1 * 1), 0.5 * (2 / 3) ** 3
    assert score == pytest.approx((1 - penalty) * mean)
    assert reverse == pytest.approx((1 - penalty) * (1 * 0.5) / (0.9 * 1 + 0.1 * 0.5))
    assert meteor_formula(0, 0, 3, 3) == 0.0


def test_a_comma_belongs_to_its_word_in_meteor_and_not_in_rouge() -> None:
    assert split_words("Yes, sir") == ["yes,", "sir"] and tokenize("Yes, sir") == ["yes", "sir"]


def test_scores_do_not_depend_on_the_order_of_the_replies() -> None:
    texts = LITERAL[:4]
    expected = dict(zip(permutations(range(4), 2), [0.0] * 12, strict=True))
    for number, order in enumerate(permutations(range(4))):
        shuffled = [texts[place] for place in order]
        scores = meteor([split_words(text) for text in shuffled], of_thesaurus)
        for (one, other), value, reverse in zip(combinations(order, 2), *scores, strict=True):
            for pair, score in (((one, other), value), ((other, one), reverse)):
                assert number == 0 or expected[pair] == score
                expected[pair] = score
