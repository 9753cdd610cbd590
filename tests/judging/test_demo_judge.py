"""The demo's judge: the visible features of a reply, the score that they give, and the words that describe them."""

import random
from dataclasses import replace
from functools import partial
from itertools import product

import pytest
import torch
from tokenizers import Tokenizer

from demo.cases import ALL_FEATURES, BY_SCORE, Examiner, renamed, unmarked
from demo.check import measure_pairs, measure_singles
from demo.judging import (
    SAYINGS,
    Features,
    choice,
    choose,
    claims,
    features,
    pair_prompt,
    pair_verdict,
    rating,
    references_of,
    single_prompt,
    single_verdict,
    subjects,
)
from demo.make import judged, load
from demo.tokens import MAX_LENGTH, PAD, SPECIAL
from demo.train import IGNORE, clip, encode_many
from demo.world import all_things
from tests.support.project import ROOT

GOOD = Features(topic=True, structure=True, length="right", complete=True)
PLAIN = Features(topic=True, structure=False, length="right", complete=True)
LYNX = "The lynx lives in forests. The lynx eats small animals. It is very good at hiding."
WORDS = "The lynx hides well and it is rarely seen by day in any forest. "


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(ROOT / "demo" / "models" / "demo-base" / "tokenizer.json"))


@pytest.mark.parametrize(
    ("reply", "topic", "structure", "length", "complete", "score"),
    [
        ("", False, False, "short", False, 1),
        (LYNX, True, False, "right", True, 8),
        (f"## The lynx\n\n{LYNX}", True, True, "right", True, 10),
        ("- **Home:** The lynx lives in forests.\n- **Food:** The lynx eats", True, True, "short", False, 6),
        ("Lynxes hide. They hide well. They hide often. They hi", True, False, "right", False, 6),
        ("The lynx hides. It eats.", True, False, "short", True, 6),
        ("It hides. It eats. It sleeps.", False, False, "right", True, 5),
        ("The lyn", False, False, "short", False, 1),
        ("-> D.", False, False, "short", True, 3),
        (WORDS * 7, True, False, "long", True, 6),
    ],
)
def test_the_features_of_a_reply_that_should_name_the_lynx(reply, topic, structure, length, complete, score):
    visible = features(reply, ["lynx"])
    assert (visible.topic, visible.structure, visible.length, visible.complete) == (topic, structure, length, complete)
    assert visible.score == score


@pytest.mark.parametrize(
    ("ending", "complete"),
    [
        ("It hides.", True),
        ("**It hides.**", True),
        ("> *and all I love is here.*", True),
        ("Best wishes, Sam", True),
        ("| Home | It lives in forests. |", True),
        ("```python\nprint('lynx')\n```", True),
        ("| Home |", False),
        ("```python", False),
        ("It hides.\n2.", False),
        ("- **Home:**", False),
        ("It lives in", False),
    ],
)
def test_a_reply_is_complete_if_it_ends_with_a_sentence_or_a_whole_element(ending, complete):
    assert features(ending, []).complete is complete


def test_the_number_of_a_list_item_and_the_letter_of_a_choice_are_not_sentences():
    assert features("1. one\n2. two\n3. three\nA. x\nB. y\nC. z", []).length == "short"


def test_a_reply_is_long_above_a_number_of_words_whatever_its_sentences():
    assert features("word " * 80, []).length == "short"
    assert features("word " * 81, []).length == "long"


def test_a_reply_must_name_every_subject_and_a_longer_word_is_not_a_name():
    assert features("The lynx and the otters.", ["lynx", "otter"]).topic
    assert not features("The lynx alone.", ["lynx", "otter"]).topic
    assert not features("Instead of it.", ["tea"]).topic


def test_a_turn_without_a_name_has_the_subjects_of_the_turn_before():
    assert subjects(["Compare the lynx and the otter.", "Great, thanks.", "And bread?"]) == [
        ["lynx", "otter"], ["lynx", "otter"], ["bread"]
    ]  # fmt: skip


def test_the_score_weighs_the_topic_by_three_and_the_other_features_by_two():
    assert GOOD.score == 10
    worse = [
        replace(GOOD, topic=False),
        replace(GOOD, structure=False),
        replace(GOOD, length="long"),
        replace(GOOD, complete=False),
    ]
    assert [visible.score for visible in worse] == [7, 8, 8, 8]


def test_the_reply_with_the_higher_score_wins_and_equal_scores_are_a_tie():
    assert [choose(GOOD, PLAIN), choose(PLAIN, GOOD), choose(PLAIN, PLAIN)] == ["A", "B", "C"]


def test_the_prompts_hold_earlier_turns_under_headings_of_their_own():
    turns = [{"user": "U1", "assistant": "R1"}, {"user": "U2", "assistant": "R2"}]
    assert single_prompt(turns) == (
        "[Earlier question]\nU1\n\n[Earlier answer]\nR1\n\n[Question]\nU2\n\n[Answer]\nR2\n\n"
        "[Task]\nRate the answer from 1 to 10."
    )
    assert pair_prompt(["U1", "U2"], ["A1", "A2"], ["B1", "B2"]) == (
        "[Earlier question]\nU1\n\n[Earlier answer A]\nA1\n\n[Earlier answer B]\nB1\n\n"
        "[Question]\nU2\n\n[Answer A]\nA2\n\n[Answer B]\nB2\n\n[Task]\nWhich answer is better, A or B?"
    )


def test_a_reference_stands_in_the_prompt_only_when_there_is_one():
    turns = [{"user": "U", "assistant": "R"}]
    assert single_prompt(turns, "Right.") == "[Reference]\nRight.\n\n" + single_prompt(turns)


def test_a_judges_reply_describes_the_features_before_the_mark():
    lynx = references_of(["lynx"])
    assert single_verdict(lynx, PLAIN, random.Random(0)) == (
        "The topic is the lynx. The answer speaks of it. It has no structure. It gives enough detail. "
        "It ends well. [[8]]"
    )
    assert pair_verdict(lynx, GOOD, PLAIN, random.Random(0)) == (
        "The user asks about the lynx. Answer A speaks of it. It has a clear structure. It gives enough detail. "
        "It ends well. That makes 10. Answer B is on topic. It has no structure. It is detailed. "
        "It ends well. That makes 8. [[A]]"
    )


@pytest.mark.parametrize("references", [["the lynx"], ["the lynx", "the otter"]])
def test_the_features_can_be_read_back_from_the_judges_reply_whatever_the_phrasing(references):
    for visible, seed in product(ALL_FEATURES, range(10)):
        reply = single_verdict(references, visible, random.Random(seed))
        assert rating(reply) == visible.score
        assert claims(reply) == {name: getattr(visible, name) for name in SAYINGS}


def test_a_mark_counts_only_at_the_end():
    assert (rating("[[7]] or so"), rating("[[7]]\n"), rating("[[A]]")) == (None, 7, None)
    assert (choice("[[B]]"), choice("B"), choice("[[D]]")) == ("B", None, None)


def test_a_reply_that_contradicts_itself_claims_nothing_about_that_feature():
    assert claims("It is complete. It is cut off. It rambles.") == {"length": "long"}


def test_every_score_occurs_about_equally_often_with_the_features_of_the_text(tokenizer):
    examiner = Examiner("held_out", partial(clip, tokenizer), random.Random(1))
    cases = [examiner.single() for _ in range(800)]
    counts = {score: sum(case.found[0].score == score for case in cases) for score in BY_SCORE}
    assert list(counts) == [1, 3, 4, 5, 6, 7, 8, 10]
    assert min(counts.values()) > 60
    for case in cases:
        users = [part.split("\n\n[")[0] for part in case.prompt.split("uestion]\n")[1:]]
        reply = case.prompt.split("[Answer]\n")[1].removesuffix("\n\n[Task]\nRate the answer from 1 to 10.")
        assert features(reply, subjects(users)[-1]) == case.found[0]


def test_the_same_seed_gives_the_same_cases_and_swapping_mirrors_a_pair(tokenizer):
    one, two = (Examiner("train", partial(clip, tokenizer), random.Random(3)).pair() for _ in range(2))
    assert one == two
    answers, swapped = (
        [part.split("\n\n[")[0][3:].strip() for part in prompt.split("\n[Answer ")[1:]]
        for prompt in (one.prompt, one.swapped)
    )
    assert answers == swapped[::-1]


def test_prompts_with_the_longest_replies_leave_room_for_the_judges_reply(tokenizer):
    reply = clip(tokenizer, "Qzx " * 1000)
    assert len(tokenizer.encode(reply).ids) <= 256 < len(tokenizer.encode("Qzx " * 1000).ids)
    user = "Tell me about the lynx, " * 10
    prompt = pair_prompt([user, user], [reply, reply], [reply, reply])
    assert len(tokenizer.encode(prompt).ids) + 10 < MAX_LENGTH - 128


def test_texts_never_continue_in_the_next_row_and_padding_is_not_trained_on(tokenizer):
    ids, labels = encode_many("x", lambda rng: [("word " * rng.randint(1, 9), True)], 20, tokenizer, 16, 0)
    assert len(ids) % 16 == 0
    assert ((ids == SPECIAL.index(PAD)) == (labels == IGNORE)).all()
    rows = ids.reshape(-1, 16)
    assert (rows[:, 0] != SPECIAL.index(PAD)).all()


def test_a_thing_is_renamed_with_a_capital_only_at_the_beginning_of_a_sentence():
    otter = next(thing for thing in all_things() if thing.name == "otter")
    text = "## The otter\n\nThe otter eats. I saw the otter."
    assert renamed(text, otter, "the lynx") == "## The lynx\n\nThe lynx eats. I saw the lynx."


def test_a_text_loses_its_markdown_and_keeps_its_words():
    text = "## Title\n\n| Aspect | Fact |\n| --- | --- |\n| Home | Woods. |\n\n- **One:** *two*\n\n```python\nx\n```"
    assert unmarked(text) == "Title\n\nAspect: Fact\nHome: Woods.\n\nOne: two\n\nx\n"


def test_the_figures_of_a_judge_that_errs_once_equal_those_counted_by_hand(tokenizer):
    examiner = Examiner("held_out", partial(clip, tokenizer), random.Random(5))
    singles, pairs = [examiner.single() for _ in range(4)], [examiner.pair() for _ in range(2)]
    replies = [singles[0].verdict, singles[1].verdict, "no mark", f"It rambles. [[{singles[3].found[0].score + 2}]]"]
    figures = measure_singles(singles, replies)
    assert (figures["no_mark"], figures["exact"]) == (1, 0.5)
    assert figures["mean_error"] == pytest.approx(2 / 3)
    back = {"A": "B", "B": "A", "C": "C"}
    other = [f"[[{back[pairs[0].mark]}]]", "[[?]]"]
    assert measure_pairs(pairs, [pairs[0].verdict, pairs[1].verdict], other) == {
        "cases": 2, "no_mark": 1, "right": 1.0, "same_when_swapped": 0.5
    }  # fmt: skip


@pytest.mark.skipif(not (ROOT / "demo/models/demo-judge").exists(), reason="the judge is not trained yet")
def test_the_committed_judge_scores_most_replies_right(tokenizer):
    """Bounds below the README's figures: they tell a broken model from a good one on few cases."""
    torch.set_num_threads(1)
    examiner = Examiner("held_out", partial(clip, tokenizer), random.Random(9))
    singles, pairs = [examiner.single() for _ in range(24)], [examiner.pair() for _ in range(12)]
    figures = judged(load(ROOT / "demo/models/demo-judge")[0], tokenizer, "few", singles, pairs)
    assert figures["judge: few, single"]["exact"] >= 0.8, figures
    assert figures["judge: few, pair"]["right"] >= 0.7, figures
