"""Similarity: the numbers of rouge-score and nltk to the last bit, what has no score, all pairs, the paper's way."""

import multiprocessing
import random
from collections.abc import Callable
from itertools import combinations, permutations
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from nltk.translate.meteor_score import meteor_score
from rouge_score.rouge_scorer import RougeScorer

from stages.lib.console.errors import UserError
from stages.lib.core.files import read_json, sha256_folder, write_json
from stages.lib.core.sections import parse
from stages.lib.records.responses import RESPONSE
from stages.lib.records.shards import read_table, write_table
from stages.lib.settings.sections import Similarity
from stages.lib.similarity import pair_scores as likeness
from stages.lib.similarity.aggregates import by_prompt, draw, moments
from stages.lib.similarity.meteor import meteor, no_synonyms, words
from stages.lib.similarity.meteor import score as meteor_formula
from stages.lib.similarity.pair_scores import TurnReplies, processes_for, score_all
from stages.lib.similarity.rouge import rouge, tokens
from stages.lib.similarity.wordnet import open_wordnet, synonyms, wordnet_sha256
from stages.similarity import main, write

SETTINGS = parse(
    Similarity, {"num_prompts": 10, "turns": "first", "synonyms": False, "references": 0, "seed": 1}, "similarity"
)
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
WORDS = (
    "the a of cat cats sat sitting run running big large film movie picture Film, été 猫 мир 😀 x1 I'm U.S. ﬁ".split()
)


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


def random_texts(count: int) -> list[str]:
    """Short and long ones, some empty, of few words that repeat."""
    draw = random.Random(5)
    sizes = [0, 1, 2, 5, 20, 80]
    return [draw.choice([" ", "\n", ", "]).join(draw.choices(WORDS, k=draw.choice(sizes))) for _ in range(count)]


def same(ours: float, theirs: float, scorable: object) -> bool:
    """Equal to the last bit; what the packages call 0 because there is nothing to score has no score here."""
    return ours == theirs if scorable else bool(np.isnan(ours)) and theirs == 0


def check_rouge(texts: list[str]) -> None:
    found = [tokens(text) for text in texts]
    for (one, other), *ours in zip(combinations(range(len(texts)), 2), *rouge(found), strict=True):
        for order in ((one, other), (other, one)):
            theirs = SCORER.score(*(texts[number] for number in order))
            for value, name in zip(ours, ("rouge1", "rougeL"), strict=True):
                assert same(value, theirs[name].fmeasure, found[one] and found[other])


def check_meteor(texts: list[str], source: Any, ours: Callable[[str], frozenset[str]]) -> None:
    found = meteor([words(text) for text in texts], ours)
    for (one, other), *values in zip(combinations(texts, 2), *found, strict=True):
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


def test_rouge_is_that_of_rouge_score_to_the_last_bit_on_literal_texts() -> None:
    check_rouge([*LITERAL, "", " \n"])


@pytest.mark.parametrize("part", range(4))
def test_rouge_is_that_of_rouge_score_to_the_last_bit_on_random_texts(part: int) -> None:
    check_rouge(random_texts(100)[part * 25 : part * 25 + 25])


def test_a_very_long_reply_has_the_packages_numbers_too() -> None:
    draw = random.Random(2)
    texts = [" ".join(str(draw.randrange(3000)) for _ in range(800)) for _ in range(2)]
    check_rouge(texts)
    long = [" ".join(str(draw.randrange(90_000)) for _ in range(60_000)) for _ in range(2)]  # ids beyond 16 bits
    check_meteor(long, NoThesaurus(), no_synonyms)
    [one], [longest] = rouge([tokens(text) for text in long])
    assert 0 < longest < one < 1


@pytest.mark.parametrize(("source", "ours"), [(NoThesaurus(), no_synonyms), (Thesaurus(), of_thesaurus)])
def test_meteor_is_that_of_nltk_to_the_last_bit(source: Any, ours: Callable[[str], frozenset[str]]) -> None:
    check_meteor([*LITERAL, "", " \n"], source, ours)
    texts = random_texts(100)
    for start in range(0, 100, 10):
        check_meteor(texts[start : start + 10], source, ours)


@needs_wordnet
def test_meteor_with_wordnet_is_that_of_nltk_to_the_last_bit() -> None:
    check_meteor([*LITERAL, ""], open_wordnet(), synonyms)
    for start in range(0, 100, 10):
        check_meteor(random_texts(100)[start : start + 10], open_wordnet(), synonyms)


@needs_wordnet
def test_the_example_of_nltks_documentation_gives_its_number() -> None:
    hypothesis = "It is a guide to action which ensures that the military always obeys the commands of the party"
    reference = "It is a guide to action that ensures that the military will forever heed Party commands"
    [found], _ = meteor([words(hypothesis), words(reference)], synonyms)
    assert round(float(found), 4) == 0.6944
    assert "movie" in synonyms("film") and not any("_" in name for name in synonyms("film"))
    assert len(wordnet_sha256()) == 64


def test_rouge_by_hand() -> None:
    [one], [longest] = rouge([tokens("The cat sat on mats"), tokens("on the cat sitting")])
    # 5 and 4 tokens. In common: on, the, cat (sat and sit differ): P = 3/5, R = 3/4. In order: the cat: 2/5 and 2/4.
    assert one == pytest.approx(2 / 3) and longest == pytest.approx(4 / 9)


def test_meteor_by_hand() -> None:
    [found], [reverse] = meteor([words("the cat sat on a mat"), words("on the cat")], no_synonyms)
    # Matched: "the cat" and "on", 3 words in 2 chunks. Of the first: P = 3/6, R = 3/3.
    mean, penalty = (0.5 * 1) / (0.9 * 0.5 + 0.1 * 1), 0.5 * (2 / 3) ** 3
    assert found == pytest.approx((1 - penalty) * mean)
    assert reverse == pytest.approx((1 - penalty) * (1 * 0.5) / (0.9 * 1 + 0.1 * 0.5))
    assert meteor_formula(0, 0, 3, 3) == 0.0


def test_the_word_before_a_comma_is_another_word_for_meteor_and_the_same_for_rouge() -> None:
    assert words("Yes, sir") == ["yes,", "sir"] and tokens("Yes, sir") == ["yes", "sir"]


def test_numbers_do_not_depend_on_the_order_of_the_replies() -> None:
    texts = LITERAL[:4]
    expected = dict(zip(permutations(range(4), 2), [0.0] * 12, strict=True))
    for number, order in enumerate(permutations(range(4))):
        shuffled = [texts[place] for place in order]
        scores = meteor([words(text) for text in shuffled], of_thesaurus)
        for (one, other), value, reverse in zip(combinations(order, 2), *scores, strict=True):
            for pair, score in (((one, other), value), ((other, one), reverse)):
                assert number == 0 or expected[pair] == score
                expected[pair] = score


def row(name: str, *replies: str | None) -> dict[str, Any]:
    return {"conversation_hash": name, "turns": [{"assistant": reply} for reply in replies]}


def run_on(tmp_path: Path, replies: dict[str, list[str | None]], **changed: Any) -> tuple[Any, Any]:
    """The summary and the pairs of DGMs that gave these first replies."""
    rows = {dgm: [row(f"p{number}", said) for number, said in enumerate(of)] for dgm, of in replies.items()}
    return write_to(tmp_path / "out", rows, **changed)


def write_to(folder: Path, rows: Any, processes: int = 1, **changed: Any) -> tuple[Any, Any]:
    folder.mkdir()
    write(folder, rows, SETTINGS.model_copy(update=changed), processes)
    return read_json(folder / ".summary.json"), read_json(folder / ".pairs.json")


FOUR: dict[str, list[str | None]] = {
    "a": ["the cat sat", "one two", "机器", None],
    "b": ["the cat sat", "one", "机器 a", "x"],
    "c": ["the dog sat", "six", "y", "x"],
    "d": ["no", "one two", "y", "x"],
}


def test_every_pair_has_mean_deviation_error_and_n_over_prompts(tmp_path: Path) -> None:
    _, pairs = run_on(tmp_path, FOUR)
    assert list(pairs) == ["a b", "a c", "a d", "b c", "b d", "c d"]
    # 1 on the first prompt; 2 * 1/2 / (3/2) = 2/3 on the second; "机器" has no token; no reply
    assert pairs["a b"]["rouge1"] == {"n": 2, "mean": 0.8333, "std": 0.2357, "stderr": 0.1667}
    assert pairs["a b"]["unscorable"] == {"no_reply": 1, "no_token": 1}
    assert pairs["a b"]["turns"] == 4 and pairs["a b"]["meteor"]["n"] == 3  # METEOR reads any letters
    assert moments(np.array([0.5, np.nan])) == {"n": 1, "mean": 0.5, "std": None, "stderr": None}
    assert moments(np.array([np.nan]))["mean"] is None


def test_what_has_no_score_is_counted_and_never_a_zero(tmp_path: Path) -> None:
    summary, _ = run_on(tmp_path, FOUR)
    assert summary["unscorable"] == {"no_reply": 3, "no_token": 3}
    table = read_table(tmp_path / "out").to_pylist()
    assert len(table) == summary["turns"] * summary["pairs"] == 24
    assert all((line["rouge1"] is None) == (line["reason"] != "") for line in table)
    assert all((line["meteor"] is None) == (line["reason"] == "no_reply") for line in table)


def test_a_dgms_mean_is_over_all_others_and_every_score_can_be_traced(tmp_path: Path) -> None:
    summary, _ = run_on(tmp_path, FOUR)
    table = read_table(tmp_path / "out").to_pylist()
    of_a = [line for line in table if "a" in (line["one"], line["other"])]
    first, second = ([line["rouge1"] for line in of_a if line["conversation_hash"] == name] for name in ("p0", "p1"))
    assert first == pytest.approx([1, 2 / 3, 0]) and second == pytest.approx([2 / 3, 0, 1])
    assert summary["dgms"]["a"]["rouge1"] == {"n": 2, "mean": 0.5556, "std": 0.0, "stderr": 0.0}


def test_of_two_roles_in_meteor_a_dgms_mean_takes_the_one_in_which_it_is_scored(tmp_path: Path) -> None:
    summary, pairs = run_on(tmp_path, {"long": ["the cat sat on a mat"], "short": ["the cat"]})
    assert pairs["long short"]["meteor"]["mean"] == summary["dgms"]["long"]["meteor"]["mean"]
    assert pairs["long short"]["meteor_reversed"]["mean"] == summary["dgms"]["short"]["meteor"]["mean"]
    assert summary["dgms"]["long"]["meteor"]["mean"] > summary["dgms"]["short"]["meteor"]["mean"]  # recall counts most


def test_the_spread_tells_prompts_on_which_all_agree_from_those_on_which_none_does(tmp_path: Path) -> None:
    replies: dict[str, list[str | None]] = {"a": ["yes", "b"], "b": ["yes", "c"], "c": ["yes", "d"]}
    spread = run_on(tmp_path, replies)[0]["spread"]["rouge1"]
    assert (spread["mean"]["p05"], spread["mean"]["p50"], spread["mean"]["p95"]) == (0.05, 0.5, 0.95)  # 0 and 1
    assert set(spread["std_between_pairs"].values()) == {0.0}


def test_the_papers_way_holds_every_dgm_against_the_same_others_and_none_against_itself(tmp_path: Path) -> None:
    summary, _ = run_on(tmp_path, {dgm: replies[:1] for dgm, replies in FOUR.items()}, references=2, seed=3)
    found = summary["against_references"]
    one, two = found["references"]
    spare = found["in_reserve"]
    [outside] = set(FOUR) - {one, two, spare}
    lines = read_table(tmp_path / "out").to_pylist()
    scores = {frozenset((line["one"], line["other"])): line["rouge1"] for line in lines}
    for dgm, others in ((outside, (one, two)), (spare, (one, two)), (one, (two, spare)), (two, (one, spare))):
        expected = sum(scores[frozenset((dgm, other))] for other in others) / 2
        assert found["dgms"][dgm]["rouge1"]["mean"] == round(expected, 4)


def test_references_are_drawn_by_seed_and_not_by_order_and_too_few_dgms_are_said(tmp_path: Path) -> None:
    models = [f"m{number}" for number in range(20)]
    assert draw(models, 4, 1) == draw(models[::-1], 4, 1) != draw(models, 4, 2)
    assert draw(models, 4, 1)[:3] == draw(models, 2, 1)  # fewer are a part of more
    summary, _ = run_on(tmp_path, FOUR, references=4)
    assert summary["against_references"] == {"reason": "4 references for each take 5 DGMs, and there are 4"}


def test_all_turns_count_as_their_mean_and_only_the_first_prompts_do(tmp_path: Path) -> None:
    rows = {
        "a": [row("p0", "x y", "x"), row("p1", "x"), row("p2", "x")],
        "b": [row("p0", "x y", "z"), row("p1", "x", "w"), row("p2", "z")],
    }
    summary, pairs = write_to(tmp_path / "all", rows, turns="all", num_prompts=2)
    assert (summary["prompts"], summary["turns"], pairs["a b"]["turns"]) == (2, 4, 4)
    assert pairs["a b"]["rouge1"] == {"n": 2, "mean": 0.75, "std": 0.3536, "stderr": 0.25}  # (1 + 0) / 2, and 1
    assert pairs["a b"]["unscorable"] == {"no_reply": 1, "no_token": 0}
    assert write_to(tmp_path / "first", rows, num_prompts=3)[1]["a b"]["rouge1"]["mean"] == 0.6667
    found = by_prompt(np.array([[1.0], [np.nan], [np.nan]]), ["p", "p", "q"])
    assert found[:, 0] == pytest.approx([1, np.nan], nan_ok=True)


def test_responses_to_other_prompts_are_an_error(tmp_path: Path) -> None:
    rows = {"a": [row("p0", "x"), row("p1", "x")], "b": [row("p0", "x"), row("p2", "x")]}
    with pytest.raises(UserError, match="a and b do not hold the same prompts in the same order"):
        write_to(tmp_path / "out", rows)


def test_one_dgm_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    assert run_on(tmp_path, {"a": ["x"]}) == ({}, {})


def test_without_prompts_or_with_blank_replies_only_there_is_a_summary_without_means(tmp_path: Path) -> None:
    for name, replies in (("none", []), ("blank", [" ", None])):
        summary, pairs = write_to(tmp_path / name, {dgm: [row("p", said) for said in replies] for dgm in "abc"})
        assert pairs["a b"]["rouge1"] == {"n": 0, "mean": None, "std": None, "stderr": None}
        assert summary["dgms"]["a"]["meteor"]["n"] == 0 and summary["spread"]["rouge1"]["mean"]["p50"] is None
        assert summary["unscorable"]["no_reply"] == 3 * len(replies)


def test_two_processes_give_the_bytes_of_one_over_several_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(likeness, "BATCH", 7)
    texts = random_texts(60)
    rows = {dgm: [row(f"p{number}", text) for number, text in enumerate(texts[at::3])] for at, dgm in enumerate("abc")}
    for processes in (1, 2):
        write_to(tmp_path / str(processes), rows, processes, num_prompts=20)
    assert sha256_folder(tmp_path / "1") == sha256_folder(tmp_path / "2")
    assert processes_for(100) == 1 <= processes_for(10**6)


def test_a_killed_process_is_an_error_in_one_line() -> None:
    def asked():
        yield from (TurnReplies(f"p{number}", 1, ["x", "y"]) for number in range(likeness.BATCH))
        for child in multiprocessing.active_children():
            child.kill()
        yield TurnReplies("last", 1, ["x", "y"])

    with pytest.raises(UserError, match="a process that scored replies was killed"):
        list(score_all(asked(), False, 2))


def test_without_wordnet_the_stage_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nltk.data.path", [str(tmp_path)])
    wordnet_sha256.cache_clear()
    open_wordnet.cache_clear()
    with pytest.raises(UserError, match=r"WordNet is not there: run `make wordnet`, or put `synonyms: false`"):
        run_on(tmp_path, {"a": ["x"], "b": ["x"]}, synonyms=True)


def test_the_stage_reads_responses_and_writes_all_its_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    digests = {}
    for dgm, said in (("one", "the cat sat"), ("two", "the cat ran")):
        turns = [{"user": "?", "assistant": said, "finish_reason": "stop"}]
        rows = [{"conversation_hash": f"p{number}", "dgm": dgm, "turns": turns} for number in range(3)]
        Path(f"data/responses/{dgm}").mkdir(parents=True)
        write_table(Path(f"data/responses/{dgm}"), pa.Table.from_pylist(rows, schema=RESPONSE))
        digests[dgm] = {"responses": sha256_folder(Path(f"data/responses/{dgm}"))}
    write_json(Path("metrics/recipes.json"), {"dgms": digests})
    Path("params.yaml").write_text(f"similarity: {SETTINGS.model_dump_json()}\n", encoding="utf-8")
    main()
    assert read_json(Path("data/similarity/.pairs.json"))["one two"]["rouge1"]["mean"] == 0.6667
    assert read_json(Path("data/similarity/.summary.json"))["wordnet_sha256"] is None
    assert read_table(Path("data/similarity")).num_rows == 3
