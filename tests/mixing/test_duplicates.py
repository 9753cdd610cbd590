"""Duplicates: rows that repeat an earlier one, exactly or nearly, in the order in which they are given."""

import numpy as np
import pytest

from stages.lib.mixing.duplicates import (
    BANDS,
    Duplicates,
    NearDuplicates,
    compute_signature,
    estimate_similarity,
    take_fingerprint,
)

WORDS = [f"word{number}" for number in range(104)]  # 100 pieces of 5 words
TEXT = " ".join(WORDS)
# A changed word changes 5 of the 100 pieces.
ONE_OTHER_WORD = " ".join([*WORDS[:50], "other", *WORDS[51:]])
THREE_OTHER_WORDS = " ".join("other" if number in {20, 50, 80} else word for number, word in enumerate(WORDS))
HALF_OTHER_WORDS = " ".join([*WORDS[:52], *(f"other{number}" for number in range(52))])


def find_repeats(how, *texts, threshold=0.8):
    """The text that each text repeats; they are named a, b, c and so on."""
    similarity = 1 if how == "exact" else threshold
    duplicates = Duplicates(similarity)
    fingerprints = (take_fingerprint(text, similarity) for text in texts)
    return [
        duplicates.find_or_add(name, fingerprint) for name, fingerprint in zip("abcdefgh", fingerprints, strict=False)
    ]


def find_repeats_of_all(texts):
    """The text that each text repeats, for all texts twice; they are named by number."""
    duplicates = Duplicates(0.8)
    return [
        duplicates.find_or_add(str(number), take_fingerprint(text, 0.8)) for number, text in enumerate([*texts, *texts])
    ]


@pytest.mark.parametrize("how", ["exact", "near"])
def test_an_equal_text_repeats_the_first_one_but_for_case_and_white_space(how):
    assert find_repeats(how, "What is 2 + 2?", "Four.", "what is  2 + 2?\n", "Four.") == [None, None, "a", "b"]


@pytest.mark.parametrize("how", ["exact", "near"])
def test_punctuation_makes_a_difference(how):
    assert find_repeats(how, "What is 2 + 2?", "What is 2 - 2?") == [None, None]


@pytest.mark.parametrize("how", ["exact", "near"])
def test_short_and_empty_texts_repeat_only_equal_texts(how):
    assert find_repeats(how, "", "Yes.", "No.", "", "Yes.", "é", "🙂") == [None, None, None, "a", "b", None, None]


def test_a_near_duplicate_is_found_above_the_threshold_and_not_below():
    assert find_repeats("near", TEXT, ONE_OTHER_WORD) == [None, "a"]  # 95 / 105 = 0.90
    assert find_repeats("near", TEXT, THREE_OTHER_WORDS, threshold=0.9) == [None, None]  # 85 / 115 = 0.74
    assert find_repeats("near", TEXT, HALF_OTHER_WORDS) == [None, None]  # 48 / 152 = 0.32
    assert find_repeats("exact", TEXT, ONE_OTHER_WORD) == [None, None]


def test_the_estimated_similarity_is_near_the_true_one():
    estimates = (
        estimate_similarity(compute_signature(TEXT)[None, :], compute_signature(ONE_OTHER_WORD)),
        estimate_similarity(compute_signature(TEXT)[None, :], compute_signature("other")),
    )
    assert estimates[0][0] == pytest.approx(95 / 105, abs=0.08)  # three standard errors
    assert estimates[1][0] == pytest.approx(0, abs=0.03)


def test_chinese_text_is_compared_by_its_characters():
    text = "长江是中国最长的河流,全长约六千三百公里,流经十一个省份,最后注入东海。"
    changed = text.replace("最后", "终于")
    assert find_repeats("near", text, changed, threshold=0.5) == [None, "a"]
    assert find_repeats("near", text, text[::-1], threshold=0.5) == [None, None]


@pytest.mark.parametrize("how", ["exact", "near"])
def test_the_first_of_several_similar_rows_is_returned_and_duplicates_are_not_added(how):
    assert find_repeats(how, "A b c.", "Other words here.", "a b c.", "A B C.") == [None, None, "a", "a"]


def test_a_row_similar_to_two_different_rows_repeats_the_first():
    two, four = ({20, 50}, {10, 20, 50, 80})
    texts = [" ".join("other" if number in set_ else word for number, word in enumerate(WORDS)) for set_ in (two, four)]
    assert find_repeats("near", TEXT, texts[1], texts[0], threshold=0.75) == [None, None, "a"]  # 0.67, 0.82 and 0.82
    assert find_repeats("near", texts[1], TEXT, texts[0], threshold=0.75) == [None, None, "a"]


def test_rows_of_a_chain_repeat_only_rows_that_are_kept():
    steps = [" ".join([*WORDS[4 * step :], *(f"new{number}" for number in range(4 * step))]) for step in range(8)]
    repeated = find_repeats("near", *steps)
    kept = {name for name, earlier in zip("abcdefgh", repeated, strict=True) if earlier is None}
    assert len(kept) > 1 and {earlier for earlier in repeated if earlier} <= kept


def test_the_same_rows_give_the_same_result_twice():
    texts = [TEXT, THREE_OTHER_WORDS, HALF_OTHER_WORDS, ONE_OTHER_WORD, TEXT.upper()]
    assert find_repeats("near", *texts) == find_repeats("near", *texts)
    assert compute_signature(TEXT)[:4].tolist() == [110, 147, 231, 122]  # the same on every machine


def test_bytes_that_are_equal_by_chance_are_subtracted():
    assert estimate_similarity(np.zeros((1, 128), np.uint8), np.zeros(128, np.uint8)) == [1.0]
    half = np.arange(128, dtype=np.uint8) // 64
    assert estimate_similarity(half[None, :], np.zeros(128, np.uint8)) == [
        pytest.approx(127 / 255)
    ]  # (1/2 - 1/256) / (255/256)


def test_all_rows_of_a_bucket_are_compared(monkeypatch):
    monkeypatch.setattr("stages.lib.mixing.duplicates.SHIFT", np.uint64(63))  # two buckets for all
    texts = [" ".join(f"{number * word % 7919}" for word in range(1, 30)) for number in range(1, 101)]
    assert find_repeats_of_all(texts) == [None] * 100 + [str(number) for number in range(100)]


def test_every_repeat_among_thousands_of_rows_is_found():
    texts = [" ".join(f"{number * word % 7919}" for word in range(1, 30)) for number in range(1, 3001)]
    assert find_repeats_of_all(texts) == [None] * 3000 + [str(number) for number in range(3000)]


def test_a_row_takes_little_memory():
    near = NearDuplicates(0.8)
    for number in range(1000):
        text = f"row {number} is like {number + 1} no other {number + 2} row of {number + 3} these"
        near.find_or_add(str(number), take_fingerprint(text, 0.8))
    assert len(near._names) == 1001
    assert len(near._signatures) + len(near._links) == 1001 * (128 + 4 * BANDS)
