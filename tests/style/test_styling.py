"""Style: what Markdown makes of an answer is counted, ratios as on paper, and what a fine-tune has of its DGM."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from markdown_it import MarkdownIt
from scipy.stats import bootstrap

from stages.lib.console.errors import UserError
from stages.lib.core.bootstrap import Bootstrap
from stages.lib.core.files import read_json, sha256_folder, write_json
from stages.lib.core.numbers import round_significant
from stages.lib.core.sections import parse
from stages.lib.records.answers import ANSWER
from stages.lib.records.responses import RESPONSE
from stages.lib.records.shards import write_table
from stages.lib.settings.sections import Styling
from stages.lib.style.features import FeatureCounts, align_answers, count_answers
from stages.lib.style.markup import FEATURES, TAGS, count_commonmark, count_emoji, count_paper, visible_length
from stages.lib.style.proportional_frequency import (
    compare_inheritance,
    frequencies,
    inherited,
    proportional_frequency,
)
from stages.styling import main, measure_style, summarize

SETTINGS = Styling(parser="commonmark", num_responses=10, seed=1, resamples=500)
TABLE = "| a | b |\n|---|---|\n| 1 | **2** |\n"
DRESSED = """# Title

**Bold** and *slanted*: see [here](https://x.example) and <https://y.example>. 👍

- one
  - two
    1. three

```python
# no heading, **no bold**, - no list
```

| a | b |
|---|---|
| 1 | 2 |
"""


def counts(text: str, parser: Any = count_commonmark) -> dict[str, int]:
    """What an answer has, without its length and what it has none of."""
    found = dict(zip(FEATURES, parser(text), strict=True))
    del found["chars"]
    return {name: count for name, count in found.items() if count}


def chars(text: str) -> int:
    return count_commonmark(text)[FEATURES.index("chars")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("plain", {"p": 1}),
        ("one\n\ntwo\nstill two", {"p": 2}),
        ("**a** __b__ ***c***", {"p": 1, "strong": 3, "em": 1}),
        ("*a* _b_ snake_case_name 2 * 3 * 4", {"p": 1, "em": 2}),
        ("**not closed", {"p": 1}),
        ("# a\n## b\n### c\n#### d\n##### e", {"h1": 1, "h2": 1, "h3": 1, "h4": 1}),
        ("#hashtag", {"p": 1}),
        ("A\n===\n\nB\n---", {"h1": 1, "h2": 1}),
        ("- a\n- b", {"ul": 1}),
        ("- a\n\n- b", {"ul": 1, "p": 2}),
        ("- a\n  - b\n    1. c\n       1. d", {"ul": 2, "ol": 2}),
        ("1. a\n2. b\n\ntext\n\n5. c", {"ol": 2, "p": 1}),
        ("- a\n* b", {"ul": 2}),
        ("```\n# a\n- **b**\n<h1>c</h1>\n```", {"code_blocks": 1}),
        ("```python\nopen", {"code_blocks": 1}),
        ("a\n\n    # indented", {"p": 1, "code_blocks": 1}),
        ("a `**b** <h1>` c", {"p": 1}),
        (TABLE, {"tables": 1, "strong": 1}),
        ("a | b\nno table", {"p": 1}),
        ("[a](https://x.example) [b] ![c](d.png)", {"p": 1, "links": 1}),
        ("[a]\n\n[a]: https://x.example", {"p": 1, "links": 1}),
        ("<https://x.example> https://bare.example", {"p": 1, "links": 1}),
        ('[a](/x "<h1> > \\" <em>")', {"p": 1, "links": 1}),
        ("> - a\n> # b", {"ul": 1, "h1": 1}),
        ("👍 ok", {"p": 1, "emoji": 1}),
        ("", {}),
        (DRESSED, dict.fromkeys("h1 strong em p ol code_blocks tables emoji".split(), 1) | {"ul": 2, "links": 2}),
    ],
)  # fmt: skip
def test_what_markdown_makes_of_an_answer_is_counted(text: str, found: dict[str, int]) -> None:
    assert counts(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<h1>a</h1>", {}),
        ("<div>\n\n# a\n\n</div>", {"h1": 1}),
        ("a <b>b</b> <strong>c</strong> <a href='x'>d</a>", {"p": 1}),
        ("<!-- <p> -->", {}),
        ("<pre>\n**a**\n</pre>", {}),
        ("&lt;h1&gt;a&lt;/h1&gt;", {"p": 1}),
    ],
)
def test_raw_html_makes_no_element(text: str, found: dict[str, int]) -> None:
    assert counts(text) == found


def test_raw_html_is_text_that_a_reader_sees() -> None:
    assert chars("<h1>a</h1>") == len("<h1>a</h1>")
    assert chars("a <b>c</b>") == len("a <b>c</b>")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**a** *b*", "a b"),
        ("# a\n\n- b\n- c", "a b c"),
        ("[a](https://x.example) ![picture](d.png) c", "a c"),
        ("a   b\n\n\n\nc  ", "a b c"),
        ("a &amp; b &lt;c&gt; &copy;", "a & b <c> ©"),
        ("&amp;lt;", "&lt;"),
        ("```py\nif a:\n    b\n```", "if a: b"),
        (TABLE, "a b 1 2"),
        ("é 中 👍", "é 中 👍"),
        (" \n", ""),
    ],
)
def test_the_visible_length_is_of_the_text_without_markup(text: str, shown: str) -> None:
    assert chars(text) == len(shown)


def test_the_visible_length_is_that_of_splitting_at_the_white_space_of_html() -> None:
    drawn = random.Random(1)
    for _ in range(2000):
        text = "".join(drawn.choice(" \t\n\f\rab\u00a0é👍") for _ in range(drawn.randrange(12)))
        parts = text.translate(dict.fromkeys(map(ord, "\t\n\f\r"), " ")).split(" ")
        assert visible_length(text) == len(" ".join(filter(None, parts)))


@pytest.mark.parametrize(
    ("text", "emoji"),
    [
        ("👍👍", 2),
        ("👨‍👩‍👧‍👦", 1),  # joined
        ("👋🏽 🏃🏽‍♀️", 2),  # skin tones
        ("🇩🇪🇫🇷", 2),  # flags
        ("🏴󠁧󠁢󠁥󠁮󠁧󠁿", 1),
        ("1️⃣ #️⃣ 12 #", 2),  # keycaps; digits are none
        ("❤️ ❤ ✔️ ✔ ☺️", 3),  # a sign of text unless U+FE0F follows
        ("⌚\ufe0e ⌚", 1),  # U+FE0E makes it text
        ("© ™ → • — é 中", 0),
        (":smile: :)", 0),
    ],
)
def test_emoji_are_what_unicode_shows_as_pictures_and_a_sequence_is_one(text: str, emoji: int) -> None:
    assert count_emoji(text) == emoji


def test_counts_are_those_of_the_tokens_of_another_parser() -> None:
    """What markdown-it-py makes: other code, other language, no HTML in between."""
    markdown = MarkdownIt("commonmark").enable("table")
    for text in (DRESSED, DRESSED.replace("\n", "\n> "), DRESSED + "\n1) " + DRESSED.replace("\n", "\n   "), TABLE):
        tokens = [part for token in markdown.parse(text) for part in (token, *(token.children or []))]
        tags = [token.tag for token in tokens if token.nesting == 1 and not token.hidden]
        found = counts(text)
        assert {tag: tags.count(tag) for tag in TAGS} == {tag: found.get(tag, 0) for tag in TAGS}
        assert (tags.count("table"), tags.count("a")) == (found["tables"], found.get("links", 0))


def test_the_papers_parser_knows_no_fences_and_no_tables_and_counts_raw_html() -> None:
    assert counts("```\n\n# a comment\n\n```", count_paper) == {"h1": 1, "p": 2}, "24 comments are Tab. 3's h1"
    assert counts(TABLE, count_paper) == {"p": 1, "strong": 1}
    assert counts("a <em>b</em>\n\n<h1>c</h1>", count_paper) == {"p": 1, "em": 1, "h1": 1}
    assert counts("# a\n\n**b** [c](d)\n\n- e\n", count_paper) == counts("# a\n\n**b** [c](d)\n\n- e\n")


def test_the_papers_parser_shows_no_script() -> None:
    found = count_paper("<script>var a</script>\n\nb")
    assert found and found[FEATURES.index("chars")] == 1


def test_what_the_papers_parser_recurses_on_is_unparsable_and_the_rest_goes_on() -> None:
    degenerate = "a" + "\t" * 5000 + "b"
    rows = [{"id": 1, "turns": [said(degenerate), said("**b**")]}]
    found = count_answers(rows, "id", "paper")
    assert list(found.answers) == [(1, 2)] and found.left_out == {"unparsable": 1}
    assert len(count_answers(rows, "id", "commonmark").answers) == 2


@pytest.mark.parametrize("text", [">" * 30_000, "[" * 30_000, "*a " * 30_000, "- " * 10_000 + "a", "**a " * 10_000])
def test_degenerate_answers_are_counted_like_others(text: str) -> None:
    assert len(count_commonmark(text)) == len(FEATURES)


def said(text: str, finish_reason: str = "stop") -> dict[str, Any]:
    return {"user": "?", "assistant": text, "finish_reason": finish_reason}


def test_turns_without_a_reply_are_left_out_under_a_name() -> None:
    turns = [said("**a**"), said(" \n"), said("", "failed"), said("", "context_overflow")]
    found = count_answers([{"id": 7, "turns": turns}], "id", "commonmark")
    assert list(found.answers) == [(7, 1)]
    assert found.left_out == {"empty": 1, "unanswered": 2}


# strong em ol ul h1 h2 h3 h4 p chars, as the paper printed them
PRINTED = {
    "Q72": (741, 53, 83, 230, 24, 0, 135, 26, 1217, 6492),
    "L70": (406, 38, 76, 116, 30, 38, 22, 4, 1222, 6411),
    "L8B:L70": (331, 34, 75, 109, 27, 13, 32, 3, 1210, 6207),
    "L8B:Q72": (808, 60, 77, 260, 20, 0, 149, 33, 1237, 6585),
}


def printed(one: str, other: str) -> dict[str, Any]:
    rest = np.zeros(len(FEATURES) - 10)
    return frequencies(*(np.concatenate([PRINTED[name], rest]) for name in (one, other)))


def test_table_3_by_hand_without_its_zero_by_zero() -> None:
    """The mean of the printed row of the Qwen pair is 1.052 with h2 = 0/0 printed as 1.000; without it 1.057."""
    assert printed("L8B:L70", "L70")["mean"] == pytest.approx(0.904, abs=5e-4)
    qwen = printed("L8B:Q72", "Q72")
    assert qwen["ratios"]["h2"] is None and "h2" in qwen["neither"]
    assert qwen["mean"] == pytest.approx((10.515 - 1.0) / 9, abs=1e-3)
    tuned = printed("L8B:Q72", "L8B:L70")
    assert tuned["mean"] == pytest.approx(2.61, abs=5e-3), "of which 1.1 are one cell, h4 = 33 / 3"
    assert tuned["median"] == pytest.approx((1.061 + 1.765) / 2, abs=1e-3)


def test_zero_by_zero_and_by_zero_are_not_defined_and_said() -> None:
    one, other = np.zeros(len(FEATURES)), np.zeros(len(FEATURES))
    one[[0, 1, 8]], other[[0, 2, 8]] = (3, 2, 12), (4, 5, 10)  # strong, em, p; strong, ol, p
    found = frequencies(one, other)
    assert [found["ratios"][name] for name in ("strong", "em", "ol", "ul", "p")] == [0.75, None, 0.0, None, 1.2]
    assert found["only_first"] == ["em"] and "ul" in found["neither"] and "ol" not in found["neither"]
    assert found["mean"] == 0.65, "(0.75 + 0 + 1.2) / 3"
    assert found["median"] == 0.75
    assert found["factor"] is None, "of 1.2, 1.33, and two that are infinitely far: half of them have no bound"
    one[1], other[1] = 1, 1
    assert frequencies(one, other)["factor"] == round_significant((1.2 * 4 / 3) ** 0.5), (
        "the middle of 1, 1.2, 1.33 and infinite"
    )


def test_the_typical_factor_is_the_same_both_ways_and_the_mean_is_not() -> None:
    one, other = printed("L8B:Q72", "L8B:L70"), printed("L8B:L70", "L8B:Q72")
    assert one["factor"] == other["factor"]
    assert one["mean"] > 1 > other["median"]


def test_nothing_is_defined_between_two_that_have_nothing() -> None:
    found = frequencies(np.zeros(len(FEATURES)), np.zeros(len(FEATURES)))
    assert (found["mean"], found["median"], found["factor"]) == (None, None, None)
    assert len(found["neither"]) == len(FEATURES)


def test_inheritance_is_the_share_of_the_way_from_base_to_dgm() -> None:
    base, dgm = np.array([0.0, 1.0, 2.0]), np.array([2.0, 1.0, 1.0])
    for share in (0.0, 0.5, 1.0, 1.5, -0.5):
        found = inherited(base + share * (dgm - base), dgm, base)
        assert found["inheritance"] == pytest.approx(share)
    aside = inherited(dgm + np.array([0.0, 3.0, 0.0]), dgm, base)
    assert aside["inheritance"] == 1.0, "what lies aside of the way does not count"
    assert aside["direction"] == pytest.approx(5 / np.sqrt(5 * 14)), "but is seen: (2, 3, -1) and (2, 0, -1)"
    assert np.isnan(inherited(dgm, base, base)["inheritance"]), "no way to go"


def answers(*texts: str, first: int = 0) -> FeatureCounts:
    """As many questions of two turns: the second turn's answer is the next question's first."""
    pairs = zip(texts, texts[1:] + texts[:1], strict=True)
    rows = [{"id": number, "turns": [said(one), said(other)]} for number, (one, other) in enumerate(pairs, first)]
    return count_answers(rows, "id", "commonmark")


PLAIN = ("Yes.", "No, it is not so.", "It depends on what you mean.", "Perhaps.", "Of course it is.")
RICH = ("# Yes\n\n- **so**", "**No**\n\n- a\n- b", "## It\n\n*depends*", "**Perhaps**", "# A\n\n- **b**\n- *c*")
RUNS = {
    "tuned": {"base": "base", "sources": {"rich": {"kind": "dgm"}}},
    "mixed": {"base": "base", "sources": {"rich": {"kind": "dgm"}, "set": {"kind": "auxiliary"}}},
}


def of(tables: dict[str, Any], run: str, dgm: str) -> dict[str, Any]:
    return next(pair for pair in tables["fine_tunes"] if (pair["run"], pair["dgm"]) == (run, dgm))


def test_a_fine_tune_that_writes_as_its_dgm_inherited_all_and_one_that_writes_as_its_base_nothing() -> None:
    models = {"base": answers(*PLAIN), "rich": answers(*RICH), "tuned": answers(*RICH), "mixed": answers(*PLAIN)}
    tables = measure_style(models, [], RUNS, SETTINGS)
    same, none = of(tables, "tuned", "rich"), of(tables, "mixed", "rich")
    assert same["inheritance"] == {"value": 1.0, "ci95": [1.0, 1.0]} == same["direction"]
    assert same["mean"]["value"] == same["median"]["value"] == same["factor"]["value"] == 1.0
    assert same["alone"] and not none["alone"]
    assert none["inheritance"] == {"value": 0.0, "ci95": [0.0, 0.0]}
    assert none["direction"]["value"] is None, "it did not move"


def test_one_that_writes_half_as_its_dgm_went_part_of_the_way() -> None:
    half = (*RICH[:2], *PLAIN[2:])
    models = {"base": answers(*PLAIN), "rich": answers(*RICH), "tuned": answers(*half)}
    found = of(measure_style(models, [], RUNS, SETTINGS), "tuned", "rich")["inheritance"]
    assert 0 < found["ci95"][0] <= found["value"] <= found["ci95"][1] <= 1.2


def test_without_its_base_or_its_dgm_among_the_compared_there_is_a_reason_in_the_place_of_inheritance() -> None:
    tables = measure_style(
        {"rich": answers(*RICH), "tuned": answers(*RICH)}, {"plain": answers(*PLAIN)}.items(), RUNS, SETTINGS
    )
    assert of(tables, "tuned", "rich")["why_not"] == "its base base is not compared"
    assert of(tables, "tuned", "rich")["mean"]["value"] == 1.0
    runs = {"tuned": {"base": "base", "sources": {"plain": {"kind": "dgm"}}}}
    other = of(
        measure_style({"tuned": answers(*RICH)}, {"plain": answers(*PLAIN)}.items(), runs, SETTINGS), "tuned", "plain"
    )
    assert other["why_not"] == "plain is not compared: it did not answer the questions"
    assert other["on"] == "responses" and other["inheritance"] is None and other["mean"]["ci95"] is None
    strangers = {"tuned": answers(*RICH), "rich": answers(*RICH, first=50), "base": answers(*PLAIN)}
    assert (
        of(measure_style(strangers, [], RUNS, SETTINGS), "tuned", "rich")["why_not"]
        == "they answered no common question"
    )


def test_two_models_are_compared_on_the_turns_that_both_answered() -> None:
    more = FeatureCounts({**answers(*RICH).answers, (99, 1): (50,) * len(FEATURES)})
    tables = measure_style({"one": more, "other": answers(*RICH)}, [], {}, SETTINGS)
    assert set(tables["pairs"]) == {"one other", "other one"}
    assert tables["pairs"]["one other"]["turns"] == 10
    assert tables["pairs"]["one other"]["mean"] == 1.0
    assert tables["answers"]["one"]["answers"] == 11


def test_means_totals_and_intervals_are_over_questions_as_scipy_draws_them() -> None:
    found = measure_style({"rich": answers(*RICH)}, [], {}, SETTINGS)["answers"]["rich"]
    strong = found["features"]["strong"]
    per_question = np.array([[1, 1], [1, 0], [0, 1], [1, 1], [1, 1]], dtype=float)
    assert strong["total"] == per_question.sum() and strong["mean"] == 0.8
    assert found["features"]["markup"]["total"] == sum(
        found["features"][name]["total"] for name in ("strong", "em", "ol", "ul", "h1", "h2", "h3", "h4")
    )
    drawn = bootstrap(
        (per_question.mean(axis=1),),
        np.mean,
        n_resamples=SETTINGS.resamples,
        method="percentile",
        rng=np.random.default_rng(SETTINGS.seed),
    ).confidence_interval
    assert strong["ci95"] == pytest.approx(list(drawn), abs=1e-4)
    assert strong["total_ci95"] == pytest.approx([10 * end for end in drawn], abs=1e-2)


def test_the_interval_of_inheritance_is_the_one_of_drawing_whole_questions() -> None:
    grid = align_answers({"b": answers(*PLAIN), "d": answers(*RICH), "t": answers(*RICH[:3], *PLAIN[3:])})
    tuned, dgm, base = (np.log1p(grid.values[name]) for name in "tdb")
    spread = np.concatenate([tuned, dgm, base]).std(axis=0)
    chosen = [values[:, spread > 0] / spread[spread > 0] for values in (tuned, dgm, base)]
    drawn = np.random.default_rng(3).integers(0, 5, (400, 5))
    values = []
    for draw in drawn:
        rows = np.concatenate([np.flatnonzero(grid.questions == question) for question in draw])
        t, d, b = (model[rows].mean(axis=0) for model in chosen)
        values.append(((t - b) @ (d - b)) / ((d - b) @ (d - b)))
    drawing = Bootstrap(grid.questions, 400, 3)
    found = compare_inheritance(grid.values["t"], grid.values["d"], grid.values["b"], drawing)
    assert found["inheritance"]["ci95"] == pytest.approx(list(np.quantile(values, (0.025, 0.975))), abs=1e-3)


def test_a_single_question_has_numbers_and_no_interval() -> None:
    one = count_answers([{"id": 1, "turns": [said("**a**")]}], "id", "commonmark")
    strong = measure_style({"one": one}, [], {}, SETTINGS)["answers"]["one"]["features"]["strong"]
    assert strong == {"mean": 1.0, "ci95": None, "total": 1, "total_ci95": None}


def test_a_model_without_any_answer_is_null_and_not_zero() -> None:
    silent = count_answers([{"id": 1, "turns": [said("")]}], "id", "commonmark")
    tables = measure_style({"silent": silent, "rich": answers(*RICH)}, {"silent": silent}.items(), RUNS, SETTINGS)
    for found in (tables["answers"]["silent"], tables["responses"]["silent"]):
        assert found["answers"] == 0 and found["left_out"] == {"empty": 1}
        assert found["features"]["p"]["mean"] is None
    assert not tables["pairs"]


def test_the_order_of_rows_and_of_models_changes_nothing() -> None:
    models = {"base": answers(*PLAIN), "rich": answers(*RICH), "tuned": answers(*RICH[:3], *PLAIN[3:])}
    turned = {
        name: FeatureCounts(dict(reversed(found.answers.items())), found.left_out)
        for name, found in reversed(models.items())
    }
    assert measure_style(models, models.items(), RUNS, SETTINGS) == measure_style(
        turned, turned.items(), RUNS, SETTINGS
    )


def test_what_git_keeps_is_means_and_inheritance() -> None:
    models = {"base": answers(*PLAIN), "rich": answers(*RICH), "tuned": answers(*RICH)}
    kept = summarize(measure_style(models, {"rich": answers(*RICH)}.items(), RUNS, SETTINGS))
    assert kept["answers"]["rich"]["strong"] == 0.8 and kept["responses"]["rich"]["num_answers"] == 10
    assert kept["fine_tunes"]["tuned rich"]["inheritance"]["value"] == 1.0


def test_an_unknown_parser_is_one_plain_line() -> None:
    with pytest.raises(UserError, match="parser"):
        parse(Styling, {**SETTINGS.model_dump(), "parser": "html"}, "styling")


def test_the_stage_reads_the_first_conversations_and_writes_the_same_bytes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(
        "compare: [rich]\nstyling: {parser: commonmark, num_responses: 2, seed: 1, resamples: 50}\n", encoding="utf-8"
    )
    for folder, schema, name in (("responses", RESPONSE, "conversation_hash"), ("answers", ANSWER, "question_id")):
        rows = [{name: key if folder == "answers" else f"{key:032x}", "turns": [said("**a**")]} for key in (1, 2, 3)]
        Path("data", folder, "rich").mkdir(parents=True)
        write_table(Path("data", folder, "rich"), pa.Table.from_pylist(rows, schema=schema))
    write_json(
        Path("metrics/recipes.json"),
        {"dgms": {"rich": {"responses": sha256_folder(Path("data/responses/rich"))}}, "runs": {}},
    )
    write_json(Path("metrics/digests/models/rich.json"), {"answers": sha256_folder(Path("data/answers/rich"))})
    main()
    first = sha256_folder(Path("data/styling"))
    main()
    assert sha256_folder(Path("data/styling")) == first
    found = read_json(Path("data/styling/summary.json"))
    assert (found["answers"]["rich"]["num_answers"], found["responses"]["rich"]["num_answers"]) == (3, 2)


def test_ratios_are_taken_feature_by_feature() -> None:
    assert proportional_frequency(np.array([3.0, 0.0]), np.array([4.0, 2.0])).tolist() == [0.75, 0.0]
