"""Similarity over all pairs of DGMs: aggregates that can be counted by hand, references, processes, the stage."""

import multiprocessing
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stages.lib.console.errors import UserError
from stages.lib.core.files import read_json, sha256_folder, write_json
from stages.lib.core.sections import parse
from stages.lib.records.responses import RESPONSE
from stages.lib.records.shards import read_table, write_table
from stages.lib.settings.sections import Similarity
from stages.lib.similarity import pair_scores
from stages.lib.similarity.aggregates import average_turns, draw_references, moments
from stages.lib.similarity.measures import REASONS, score_replies
from stages.lib.similarity.pair_scores import TurnReplies, score_turns
from stages.lib.similarity.rouge import longest_subsequences, share_read
from stages.lib.similarity.wordnet import open_wordnet, wordnet_sha256
from stages.similarity import main, write_similarity
from tests.support.texts import random_texts

SETTINGS = parse(
    Similarity, {"num_prompts": 10, "turns": "first", "synonyms": False, "references": 0, "seed": 1}, "similarity"
)


def row(name: str, *replies: str | None) -> dict[str, Any]:
    return {"conversation_hash": name, "turns": [{"assistant": reply} for reply in replies]}


def run_on(tmp_path: Path, replies: dict[str, list[str | None]], **changed: Any) -> tuple[Any, Any]:
    """The summary and the pairs of DGMs that gave these first replies."""
    rows = {dgm: [row(f"p{number}", text) for number, text in enumerate(texts)] for dgm, texts in replies.items()}
    return write_to(tmp_path / "out", rows, **changed)


def write_to(folder: Path, rows: Any, num_processes: int = 1, **changed: Any) -> tuple[Any, Any]:
    folder.mkdir()
    write_similarity(folder, rows, SETTINGS.model_copy(update=changed), num_processes)
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
    assert pairs["b c"]["unscorable"] == {
        "no_reply": 0,
        "no_token": 0,
        "few_letters_read": 1,
        "too_long": 0,
    }  # a third of "机器 a"
    assert pairs["b c"]["rouge1"]["n"] == 3 and pairs["b c"]["share_read"] == 0.8333
    assert pairs["a b"]["rouge1"] == {"n": 2, "mean": 0.8333, "std": 0.2357, "stderr": 0.1667}
    assert pairs["a b"]["unscorable"] == {"no_reply": 1, "no_token": 1, "few_letters_read": 0, "too_long": 0}
    assert pairs["a b"]["turns"] == 4 and pairs["a b"]["meteor"]["n"] == 3  # METEOR reads any letters
    assert moments(np.array([0.5, np.nan])) == {"n": 1, "mean": 0.5, "std": None, "stderr": None}
    assert moments(np.array([np.nan]))["mean"] is None


def test_a_missing_score_is_null_and_counted_and_never_a_zero(tmp_path: Path) -> None:
    summary, _ = run_on(tmp_path, FOUR)
    assert summary["unscorable"] == {"no_reply": 3, "no_token": 3, "few_letters_read": 2, "too_long": 0}
    table = read_table(tmp_path / "out").to_pylist()
    assert len(table) == summary["turns"] * summary["pairs"] == 24
    assert all((line["rouge1"] is None) == (line["reason"] != "") for line in table)
    assert all((line["meteor"] is None) == (line["reason"] == "no_reply") for line in table)
    assert all((line["share_read"] is None) == (line["reason"] == "no_reply") for line in table)
    assert all(line["share_read"] < 0.5 for line in table if line["reason"] in ("no_token", "few_letters_read"))


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ("AI 的发展很快", "我不喜欢 AI 写的诗", "few_letters_read"),
        ("Я пишу на Python", "Кошка спит (Python)", "few_letters_read"),
        ("机器学习很有趣", "机器学习很有趣", "no_token"),
        ("हिन्दी की कविता 2024", "नदी का पानी 2024", "few_letters_read"),
        ("The same in English", "同样的内容, in Chinese 用中文写的内容", "few_letters_read"),
        ("L'été à la mer était très agréable", "L'hiver à la montagne était très froid", ""),
        ("Tôi thích đọc sách vào buổi tối", "Tôi thích nghe nhạc vào buổi sáng", ""),
        ("naïve café — “quoted” 🙂🙂🙂", "naïve cafés", ""),
        ("x_1 = foo(bar)  # 注释", "x_2 = foo(baz)", ""),
        ("🙂", "🙂", "no_token"),
    ],
    ids=[
        "Chinese",
        "Russian",
        "only Chinese",
        "Hindi",
        "one reply",
        "French",
        "Vietnamese",
        "emoji",
        "code",
        "no letter",
    ],
)
def test_rouge_scores_a_pair_only_if_it_reads_half_of_both_replies(one: str, other: str, reason: str) -> None:
    pairs = score_replies([one, other], use_synonyms=False)
    assert [REASONS[code] for code in pairs.reasons] == [reason]
    assert np.isnan(pairs.values[:2]).all() == bool(reason) and not np.isnan(pairs.values[2:]).any()


def test_the_share_that_rouge_reads_is_of_letters_and_digits() -> None:
    assert share_read("Yes, _all_ of it: 3.14!") == share_read("„Yes“, it is 100 €") == 1
    assert share_read("AI 的发展很快") == 2 / 7 and share_read("été") == 1 / 3
    assert share_read("") == share_read("...") == share_read("🙂 …") == 0


def test_a_dgms_mean_is_over_all_others_and_every_score_can_be_traced(tmp_path: Path) -> None:
    summary, _ = run_on(tmp_path, FOUR)
    table = read_table(tmp_path / "out").to_pylist()
    of_a = [line for line in table if "a" in (line["one"], line["other"])]
    first, second = ([line["rouge1"] for line in of_a if line["conversation_hash"] == name] for name in ("p0", "p1"))
    assert first == pytest.approx([1, 2 / 3, 0]) and second == pytest.approx([2 / 3, 0, 1])
    assert summary["dgms"]["a"]["rouge1"] == {"n": 2, "mean": 0.5556, "std": 0.0, "stderr": 0.0}


def test_a_dgms_meteor_is_the_one_with_the_other_as_the_reference(tmp_path: Path) -> None:
    summary, pairs = run_on(tmp_path, {"long": ["the cat sat on a mat"], "short": ["the cat"]})
    assert pairs["long short"]["meteor"]["mean"] == summary["dgms"]["long"]["meteor"]["mean"]
    assert pairs["long short"]["meteor_reversed"]["mean"] == summary["dgms"]["short"]["meteor"]["mean"]
    assert summary["dgms"]["long"]["meteor"]["mean"] > summary["dgms"]["short"]["meteor"]["mean"]  # recall counts most


def test_the_spread_shows_prompts_on_which_all_agree_and_prompts_on_which_none_does(tmp_path: Path) -> None:
    replies: dict[str, list[str | None]] = {"a": ["yes", "b"], "b": ["yes", "c"], "c": ["yes", "d"]}
    spread = run_on(tmp_path, replies)[0]["spread"]["rouge1"]
    assert (spread["mean"]["p05"], spread["mean"]["p50"], spread["mean"]["p95"]) == (0.05, 0.5, 0.95)  # 0 and 1
    assert set(spread["std_between_pairs"].values()) == {0.0}


def test_every_dgm_is_compared_with_the_same_references_and_none_with_itself(tmp_path: Path) -> None:
    summary, _ = run_on(tmp_path, {dgm: replies[:1] for dgm, replies in FOUR.items()}, references=2, seed=3)
    compared = summary["against_references"]
    one, two = compared["references"]
    spare = compared["in_reserve"]
    [outside] = set(FOUR) - {one, two, spare}
    lines = read_table(tmp_path / "out").to_pylist()
    scores = {frozenset((line["one"], line["other"])): line["rouge1"] for line in lines}
    for dgm, others in ((outside, (one, two)), (spare, (one, two)), (one, (two, spare)), (two, (one, spare))):
        expected = sum(scores[frozenset((dgm, other))] for other in others) / 2
        assert compared["dgms"][dgm]["rouge1"]["mean"] == round(expected, 4)


def test_references_are_drawn_by_seed_and_too_few_dgms_are_a_reason(tmp_path: Path) -> None:
    models = [f"m{number}" for number in range(20)]
    assert draw_references(models, 4, 1) == draw_references(models[::-1], 4, 1) != draw_references(models, 4, 2)
    assert draw_references(models, 4, 1)[:3] == draw_references(models, 2, 1)  # fewer are a part of more
    summary, _ = run_on(tmp_path, FOUR, references=4)
    assert summary["against_references"] == {"reason": "4 references for each take 5 DGMs, and there are 4"}


def test_a_conversation_counts_as_the_mean_of_its_turns_and_only_the_first_prompts_count(tmp_path: Path) -> None:
    rows = {
        "a": [row("p0", "x y", "x"), row("p1", "x"), row("p2", "x")],
        "b": [row("p0", "x y", "z"), row("p1", "x", "w"), row("p2", "z")],
    }
    summary, pairs = write_to(tmp_path / "all", rows, turns="all", num_prompts=2)
    assert (summary["prompts"], summary["turns"], pairs["a b"]["turns"]) == (2, 4, 4)
    assert pairs["a b"]["rouge1"] == {"n": 2, "mean": 0.75, "std": 0.3536, "stderr": 0.25}  # (1 + 0) / 2, and 1
    assert pairs["a b"]["unscorable"] == {"no_reply": 1, "no_token": 0, "few_letters_read": 0, "too_long": 0}
    assert write_to(tmp_path / "first", rows, num_prompts=3)[1]["a b"]["rouge1"]["mean"] == 0.6667
    values = average_turns(np.array([[1.0], [np.nan], [np.nan]]), ["p", "p", "q"])
    assert values[:, 0] == pytest.approx([1, np.nan], nan_ok=True)


def test_responses_to_other_prompts_are_an_error(tmp_path: Path) -> None:
    rows = {"a": [row("p0", "x"), row("p1", "x")], "b": [row("p0", "x"), row("p2", "x")]}
    with pytest.raises(UserError, match="a and b do not hold the same prompts in the same order"):
        write_to(tmp_path / "out", rows)


def test_a_single_dgm_has_an_empty_summary(tmp_path: Path) -> None:
    assert run_on(tmp_path, {"a": ["x"]}) == ({}, {})


def test_without_prompts_or_with_blank_replies_the_summary_has_no_means(tmp_path: Path) -> None:
    for name, replies in (("none", []), ("blank", [" ", None])):
        summary, pairs = write_to(tmp_path / name, {dgm: [row("p", text) for text in replies] for dgm in "abc"})
        assert pairs["a b"]["rouge1"] == {"n": 0, "mean": None, "std": None, "stderr": None}
        assert summary["dgms"]["a"]["meteor"]["n"] == 0 and summary["spread"]["rouge1"]["mean"]["p50"] is None
        assert summary["unscorable"]["no_reply"] == 3 * len(replies)


def test_two_processes_write_the_bytes_of_one_over_several_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_scores, "TURNS_IN_MEMORY", 7)
    texts = random_texts(60)
    rows = {dgm: [row(f"p{number}", text) for number, text in enumerate(texts[at::3])] for at, dgm in enumerate("abc")}
    for processes in (1, 2):
        write_to(tmp_path / str(processes), rows, processes, num_prompts=20)
    assert sha256_folder(tmp_path / "1") == sha256_folder(tmp_path / "2")


def test_a_killed_process_is_one_plain_error() -> None:
    def turns():
        yield from (TurnReplies(f"p{number}", 1, ["x", "y"]) for number in range(pair_scores.TURNS_IN_MEMORY))
        for child in multiprocessing.active_children():
            child.kill()
        yield TurnReplies("last", 1, ["x", "y"])

    with pytest.raises(UserError, match="a process that scored replies was killed"):
        list(score_turns(turns(), False, 2))


def test_without_wordnet_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nltk.data.path", [str(tmp_path)])
    wordnet_sha256.cache_clear()
    open_wordnet.cache_clear()
    with pytest.raises(UserError, match=r"WordNet is not there, or not whole: run `make wordnet`, or set `synonyms"):
        run_on(tmp_path, {"a": ["x"], "b": ["x"]}, synonyms=True)


def test_the_stage_reads_responses_and_writes_its_scores_and_summaries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    digests = {}
    for dgm, text in (("one", "the cat sat"), ("two", "the cat ran")):
        turns = [{"user": "?", "assistant": text, "finish_reason": "stop"}]
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


def test_a_reply_of_a_million_words_has_no_score_and_the_other_pairs_have_one() -> None:
    long = " ".join(map(str, range(1_000_000)))
    values, reasons, _ = score_replies(["a cat sat", long, "a cat ran"], use_synonyms=False)
    assert [REASONS[place] for place in reasons] == ["too_long", "", "too_long"]
    assert np.isnan(values[:, [0, 2]]).all() and (values[:, 1] > 0).all()


def test_more_different_words_than_there_are_characters_are_told_apart() -> None:
    number = sys.maxunicode
    subsequences = longest_subsequences([[0, number + 1, number + 5], [number + 1, 7, number + 5], [number + 2]])
    assert subsequences.tolist() == [[3, 2, 0], [2, 3, 0], [0, 0, 1]]
