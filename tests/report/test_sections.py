"""The sections of the page: what is missing is shown as missing, with its reason."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.lib.comparison.cost_quality import compare_cost_and_quality, price_kept
from stages.lib.comparison.scores import Score
from stages.lib.core.files import read_json, sha256_folder, write_json
from stages.lib.core.numbers import round_decimals
from stages.lib.report.section import cell_of, describe_conditions, describe_sizes, find_best
from stages.lib.report.sections.answers import choose_examples
from stages.lib.report.sections.benchmarks import choose_for_spider, count_leads, make_cell, share_axes
from stages.lib.report.sections.judge import choose_words
from stages.lib.report.sections.runs import find_shortages
from stages.lib.report.sections.similarity import cluster, map_similarity
from stages.lib.report.sections.suitability import draw_outcomes
from stages.lib.suitability.outcomes import Outcome
from tests.support.report import (
    answer_row,
    build_preference,
    measure_styles,
    render_comparisons,
    render_report,
    turn_row,
    visible_text,
    write_differences,
    write_preference,
    write_suitability,
)
from tests.support.results import paper_results, results, tune


def test_a_failed_task_and_its_average_are_missing_with_a_reason(pipeline: Path) -> None:
    text = visible_text(render_report())
    assert "base has no quiz: OSError: &lt;no disk&gt;." in text
    assert "base has no average: it needs quiz." in text
    assert "tuned 0.70 0.51 to 0.85 0.9 n = 4 0.4 to 1.0 0.5 n = 4" in text
    assert "base missing missing 0.5 n = 4" in text
    assert "Conditions of these scores: limit 4." in text
    assert "The average is over quiz, math." in text


def test_a_score_that_was_not_written_has_a_reason() -> None:
    assert make_cell({}, {"tasks": {}}, "quiz")["reason"] == "no value was written"


def test_an_undefined_ratio_is_a_dash(pipeline: Path) -> None:
    write_json(Path("data/styling/tables.json"), measure_styles(["base", "tuned", "rich"], ["rich"], h4=0))
    cells = re.findall(r"<td>([^<]*)<small>([^<]*)</small></td>", render_report())
    assert ("0.00", "–") in cells and ("2.00", "×1.00") in cells


def test_inheritance_is_shown_with_its_interval_or_the_reason_why_it_is_missing(pipeline: Path) -> None:
    text = visible_text(render_report())
    assert "No inheritance of tuned from rich: rich is not compared: it answered the prompts, and tuned the" in text
    assert "tuned rich – – – – – none in common" in text and "none in common Elements" not in text
    assert "rich answered other prompts, so its bar is not comparable with the others" in text
    tables = measure_styles(["base", "tuned", "rich"], ["rich"])
    tables["fine_tunes"][0] |= {"inheritance": {"value": 0.8, "ci95": [0.7, 0.914]}}
    write_json(Path("data/styling/tables.json"), tables)
    text = visible_text(render_report())
    assert "tuned rich 0.80 0.70 to 0.91 – 1.00 1.00 to 1.00 1.00" in text and "3 3 in common" in text
    assert "No inheritance of" not in text


def test_every_two_compared_models_are_shown_with_factor_and_mean(pipeline: Path) -> None:
    text = visible_text(render_report())
    assert "factor base tuned base 1.00 mean ×1.00 n = 3 tuned 1.00 mean ×1.00 n = 3" in text, "nothing beside itself"
    tables = measure_styles(["base", "tuned"], ["rich"])
    write_json(Path("data/styling/tables.json"), tables | {"pairs": {"tuned base": tables["pairs"]["tuned base"]}})
    assert "factor base tuned base tuned 1.00 mean ×1.00 n = 3" in visible_text(render_report()), "nothing in common"


def test_pairs_that_were_stopped_say_why_and_how_many_calls_were_saved(pipeline: Path) -> None:
    assert "whenever one stops" not in visible_text(render_report())
    stop = {
        "one": "base", "other": "tuned", "asked": 15, "counted": 15, "why": "decided", "verdict": "worse",
        "share": 0.125, "interval": [0.0, 0.375], "ci95": [0.0, 0.25], "ci95_won": [0.0, 0.25],
        "ci95_lost": [0.75, 1.0], "p": 0.001,
    }  # fmt: skip
    best = {"inside": ["tuned"], "outside": [], "unknown": ["base"]}
    rule = {"alpha": 0.05, "margin": 0.05, "top": 1, "questions": 20, "asked": 15, "saved": 0.25, "best": best}
    write_preference({**rule, "pairs": [stop]}, base=4.0, tuned=8.0)
    text = visible_text(render_report())
    assert "Of the 20 questions about all pairs, 15 were asked, which saves 25 % of the calls." in text
    assert "The best 1: tuned. Not known to be among them or not: base, equivalent to another at the edge" in text
    assert "worse 12, 0 to 38 15 of 20: decided" in text


def test_a_source_with_too_few_rows_is_reported(pipeline: Path) -> None:
    assert "tuned asked rich for 6 rows; it had 4, and all were taken." in visible_text(render_report())
    assert find_shortages({"tuned": {"asked": {"rich": {"rows": 4}}, "sources": {"rich": {"rows": 4}}}}) == []


def test_what_a_base_model_says_of_the_dgms_stands_beside_the_fine_tune_on_each_alone(pipeline: Path) -> None:
    write_suitability(rich=5.0, plain=6.5)
    text = visible_text(render_report())
    assert "For base the ratio puts rich first, at 5.00; by the intervals it may be plain." in text
    assert "rich 5.00 1 1 to 2 0.70 0.51 to 0.85 2.00 10.00 40.00 1.50 9 not 1: beyond_window" in text, (
        "0.70: of `tuned`"
    )
    assert "plain 6.50 2 1 to 2 – 2.00 10.00 40.00 1.50 9 not 1: beyond_window" in text


def test_without_a_base_model_that_reads_there_is_no_suitability(pipeline: Path) -> None:
    text = visible_text(render_report())
    assert "Which model should teach? params.yaml names no base model under suitability.bases." in text


def test_predictions_and_outcomes_are_drawn() -> None:
    outcomes = [
        Outcome(f"d{n}", f"r{n}", cell_of(float(n), [n - 0.5, n + 0.5]), cell_of(0.1 * n, None)) for n in (1, 2)
    ]
    chart = draw_outcomes("base", outcomes, {"d1": "#123456", "d2": "#abcdef"})
    assert chart.title == "base: predicted before training, and how it turned out"
    assert "d1" in chart.svg and "d2" in chart.svg


def test_imported_replies_have_no_speed(pipeline: Path) -> None:
    text = visible_text(render_report())
    assert "no time was recorded: its replies were imported" in text
    assert "80.0 % 28.4 % to 99.5 % – – –" in text


def test_every_step_of_a_model_has_its_time_and_where_known_its_gpu_hours_and_money(pipeline: Path) -> None:
    spent = "2 h 00 min 4 GPU-hours, 10.00"
    assert f"tuned – {spent} – – – – {spent} all – {spent}" in visible_text(render_report())


def test_cost_and_quality_are_shown_with_the_pareto_set_and_its_doubts(pipeline: Path) -> None:
    text = visible_text(render_report())
    assert "Nothing to compare: no two DGMs on the same hardware" in text and "plain (no time is known)." in text
    summary = Path("data/throughput/summary.json")
    scores = {"rich": Score(0.7, 0.05), "plain": Score(0.75, 0.05), "tuned": Score(0.9, 0.05)}
    prices = {"rich": price_kept(Score(90.0, 2.0), None, ["A x1"]), "plain": price_kept(Score(9.0), None, ["A x1"])}
    compared = round_decimals(compare_cost_and_quality(prices, scores, []))
    write_json(summary, read_json(summary) | {"cost_and_quality": compared})
    page = render_report()
    text = visible_text(page)
    assert "Nothing is both cheaper and better than plain; by the intervals, this is not certain" in text
    assert "The DGMs themselves, on A x1, the cheapest first" in text
    assert "plain 9.0 s 0.75 0.65 to 0.85 yes" in text
    assert "rich 1 min 30 s 1 min 26 s to 1 min 34 s 0.70 0.60 to 0.80 no, not certain by the intervals" in text
    assert Path("data/report/charts/cost-quality-1.svg").exists()


def test_similarity_shows_every_two_dgms_and_counts_unscored_pairs(pipeline: Path) -> None:
    text = visible_text(render_report())
    assert "rich and plain 0.7 ± 0.2 0.7 ± 0.2 none none 2" in text
    assert "plain 0.7 ± 0.2 0.7 ± 0.2 none 0.2 2 rich 0.7" in text
    assert "between the replies of every two DGMs to the same 5 prompts" in text and "without WordNet" in text
    assert "ROUGE reads digits and the letters a to z: 90.0 % of all letters and digits" in text
    assert "2 pairs with a blank reply; by ROUGE also 1 pair with a reply that has none" in text
    assert "and 3 pairs with one that is mostly in other letters" in text


def test_dropped_only_reported_and_unchecked_conversations_are_counted(pipeline: Path) -> None:
    text = visible_text(render_report())
    assert "DGM conversations kept dropped cut replies of all replies refusal reported only loop" in text
    assert "rich 5 4 1 20.0 % 2 25.0 % 2 40.0 % 1 20.0 %" in text
    assert "validate.finish_reasons allows it, so its conversation is kept and trained on." in text
    assert "what the check needs is not known: echo (in 10 conversations)." in text


def test_the_surest_words_of_each_side_are_drawn_with_both_counts(pipeline: Path) -> None:
    page = render_report()
    assert "Judgments say “clear” of winners, “b” of losers" in page
    assert Path("data/report/charts/judge-words.svg").exists()
    rows = [
        {"word": "clear", "negated": False, "only_winner": 9, "only_loser": 1, "q": 0.01},
        {"word": "clear", "negated": True, "only_winner": 2, "only_loser": 9, "q": 0.05},
        {"word": "chance", "negated": False, "only_winner": 9, "only_loser": 1, "q": 0.06},
    ]
    assert choose_words(rows) == [("clear", 1, 9), ("not clear", 9, 2)]


def test_a_spider_chart_shows_the_best_fine_tunes_and_needs_three_benchmarks() -> None:
    def row(*values: float | None) -> dict[str, Any]:
        cells = dict(zip(("average", "x", "y", "z"), values, strict=True))
        return {name: cell_of(value, [value - 0.05, value + 0.05] if value else None) for name, value in cells.items()}

    rows = {"low": row(0.1, 0.1, 0.1, 0.1), "none": row(None, 0.9, None, 0.9), "high": row(0.5, 0.4, 0.6, 0.5)}
    table = {"tasks": ["x", "y", "z"], "rows": rows}
    assert choose_for_spider(table, ["low", "none", "high"], list(rows)) == ["high", "low", "none"]
    verdicts = {
        "x": {"low none": {"verdict": "worse"}, "low high": {"verdict": "worse"}, "none high": {"verdict": "better"}},
        "y": {"low high": {"verdict": "worse"}},
        "z": {
            "low none": {"verdict": "worse"},
            "low high": {"verdict": "worse"},
            "none high": {"verdict": "not decided"},
        },
    }
    said = count_leads(table, ["high", "low", "none"], {"measures": verdicts})
    assert said == "none is better than the others on 1 of 3 benchmarks"
    assert choose_for_spider({**table, "tasks": ["x", "y"]}, ["low", "none", "high"], list(rows)) == []
    assert choose_for_spider(table, [], ["low"]) == ["low"], "no fine-tune: the compared models"


def test_benchmarks_with_the_same_unit_share_an_axis_unless_that_hides_the_differences_in_one() -> None:
    def column(*values: float | None) -> dict[str, Any]:
        return {str(number): cell_of(value, None) for number, value in enumerate(values)}

    columns = {"average": column(0.2, 0.6), "quiz": column(0.5, 0.7, None), "chat": column(5.0, 7.0)}
    axes = share_axes(columns, {"chat": "score_1_10"})
    assert axes["average"] == axes["quiz"] == pytest.approx((0.18, 0.72)) and axes["chat"] == pytest.approx((
        4.92,
        7.08,
    ))
    assert share_axes({"quiz": column(0.1, 0.9), "math": column(0.4, 0.5)}, {}) == {}
    assert list(share_axes({"quiz": column(0.1, 0.9), "none": column(None), "equal": column(0.3, 0.3)}, {})) == ["quiz"]


def test_examples_are_spread_over_the_questions_and_unusual_replies_have_notes() -> None:
    full = [answer_row(number, turn_row(f"Q{number}", "yes"), turn_row("more", "", "length")) for number in range(4)]
    short = [answer_row(number, turn_row(f"Q{number}", "cut", "length")) for number in range(4)]
    chosen = choose_examples({"one": full, "other": short}, 2)
    assert [example["turns"][0]["user"] for example in chosen] == ["Q0", "Q2"]
    notes = [[reply["note"] for reply in turn["replies"]] for turn in chosen[0]["turns"]]
    assert notes == [
        ["", "cut at the token limit"],
        ["no text, cut at the token limit", "not asked: the conversation had ended"],
    ]


def test_comparisons_of_fine_tunes_are_shown_with_intervals_and_what_was_left_out(pipeline: Path) -> None:
    values = {"rich": 0.9, "plain": 0.6, "on-rich": 0.5, "on-plain": 0.4, "both": 0.47, "less": 0.3, "least": 0.2}
    runs = [
        tune("on-rich", 400, rich=1.0),
        tune("on-plain", 400, plain=1.0),
        tune("both", 400, rich=0.5, plain=0.5),
        tune("less", 200, rich=1.0),
        tune("least", 100, rich=1.0),
        tune("on-other", 400, other=1.0),
    ]
    text = render_comparisons({name: results(math=value) for name, value in values.items()}, runs[:-1])
    assert (
        "DGMs and fine-tunes agree in 1 of 1 comparisons: a rate of 1.00 (95 % interval 0.03 to 1.00; chance is 0.50)"
        in text
    )
    assert "plain − rich on-plain − on-rich, 400 rows 1 of 1 agree, clearly -0.30, -0.10" in text
    assert "base : rich least 100, less 200, on-rich 400 +0.15 +0.11 to +0.19" in text, "a doubling adds .15"
    assert "blend − mean +0.02 -0.05 to +0.09" in text  # 1.96 times .03 times the root of 1.5
    assert "best part 0.50 on-rich" in text
    assert "own − other +0.10 +0.02 to +0.18" in text  # on 400 conversations: on-rich less on-plain
    assert "Left out: least (no compared run of its base and size is on a DGM of another family), less (no" in text
    assert {"scaling-math.svg", "scaling-average.svg"} <= {path.name for path in Path("data/report/charts").iterdir()}
    assert "Comparison with the paper" not in text


def test_a_paper_number_outside_our_interval_is_marked(pipeline: Path) -> None:
    text = render_comparisons({"q72": paper_results(bbh=0.50)}, [])
    assert "Comparison with the paper" in text
    assert "q72 Q72 – 6.86 – 41.00 0.500 0.48 ± 0.01 0.290 0.29 ± 0.04 0.060 0.06 ± 0.00" in text
    assert re.findall(r'<td class="outside">([^<]*)<', Path("data/report/index.html").read_text()) == ["0.500"]


def test_comparisons_that_have_no_runs_stand_in_the_list_at_the_end(pipeline: Path) -> None:
    text = visible_text(render_report())
    assert text.count("Nothing to compare: no") == 1, "of the costs"
    assert "What makes a good teacher? no two compared runs differ in one thing only." in text
    assert "Comparison with the paper" not in text


def test_similar_dgms_are_neighbours_on_the_heat_map() -> None:
    likeness = {"a b": 0.2, "a c": 0.9, "a d": 0.3, "b c": 0.25, "b d": 0.8, "c d": None}
    names, values = cluster({pair: {"rouge1": {"mean": mean}} for pair, mean in likeness.items()}, "rouge1")
    assert {frozenset(names[:2]), frozenset(names[2:])} == {frozenset("ac"), frozenset("bd")}
    place = {name: number for number, name in enumerate(names)}
    assert values[place["a"], place["c"]] == values[place["c"], place["a"]] == 0.9
    assert np.isnan(values[place["c"], place["d"]]) and np.isnan(values[0, 0])


def test_a_heat_map_of_similarity_needs_three_dgms_and_is_darkest_for_the_most_alike() -> None:
    pairs = {pair: {"rouge1": {"mean": mean}} for pair, mean in {"a b": 0.25, "a c": 0.75, "b c": 0.5}.items()}
    assert map_similarity({"a b": pairs["a b"]}) is None
    found = map_similarity(pairs)
    assert found is not None and found.ends == ("0.25, least alike", "0.75, most alike")
    shades = {(one, other): found.rows[one][other] for one, other in (pair.split(" ") for pair in pairs)}
    texts = {pair: (cell.text, cell.classes) for pair, cell in shades.items() if cell}
    assert texts == {("a", "b"): ("0.25", "h0"), ("a", "c"): ("0.75", "h6"), ("b", "c"): ("0.50", "h3")}
    assert found.rows["a"]["a"] is None, "nothing beside itself"


def test_every_average_has_a_column_and_names_its_missing_tasks(pipeline: Path) -> None:
    for model, printed in (("base", 0.5), ("tuned", None)):
        path = Path(f"data/evaluations/{model}/results.json")
        results = read_json(path)
        results["averages"]["average_printed"] = {"columns": ["math"], "value": printed}
        write_json(path, results)
        digests = read_json(Path(f"metrics/digests/models/{model}.json"))
        digests["evaluations"] = sha256_folder(path.parent)
        write_json(Path(f"metrics/digests/models/{model}.json"), digests)
        summary = read_json(Path(f"metrics/evaluate/{model}.json"))
        summary["scores"]["average_printed"] = printed
        write_json(Path(f"metrics/evaluate/{model}.json"), summary)
    write_differences("base", "tuned")
    text = visible_text(render_report())
    assert "The average is over quiz, math; the average printed is over math." in text
    assert "base missing 0.5 0.2 to 0.8 missing 0.5" in text
    assert "tuned has no average_printed: no value was written." in text


def test_the_judge_section_shows_rates_ties_orders_and_words(pipeline: Path) -> None:
    text = visible_text(render_report())
    assert "Solomon scored every reply" in text
    assert "tuned 8.05 7.94 to 8.15 20" in text
    assert "tuned 100 0 tied n = 20" in text  # 100 % of the turns against base, none tied
    assert "Answers that were cut at answers.max_tokens or at the end of the window: base 1, tuned 1." in text
    assert "The two orders agree on 80 % of 20 turns" in text
    assert "base tuned 0 0 to 17 20 80 4 of 20" in text
    assert "all pairs clear" in text and "b, dim" in text  # a judge's words are text
    assert "tuned: 0 of 20" not in text  # no other model is there to flip against


def test_missing_judgments_are_counted(pipeline: Path) -> None:
    counts = {"judge": "Solomon", "status": "partial", "failed": 3, "unanswered": 1}
    write_json(Path("metrics/judge/tuned.json"), counts)
    assert "tuned: 3 judgments missing (partial), 1 turn without a reply to judge." in visible_text(render_report())


def test_without_any_score_the_judge_section_is_skipped(pipeline: Path) -> None:
    nothing, _ = build_preference(base=4.0, tuned=8.0)
    for score in nothing["models"].values():
        score |= {"mean": None, "ci95": [None, None]}
    write_json(Path("data/preference/tables.json"), nothing)
    assert "What does a judge prefer? no reply has a score." in visible_text(render_report())


class TestTheBest:
    def test_is_the_highest_whose_interval_lies_above_all_others(self) -> None:
        cells = {"a": cell_of(0.5, [0.45, 0.55]), "b": cell_of(0.7, [0.6, 0.8]), "c": cell_of(None, None)}
        assert find_best(cells) == "b"

    def test_is_nobody_where_intervals_overlap_though_it_be_that_of_the_third(self) -> None:
        cells = {"a": cell_of(0.7, [0.65, 0.75]), "b": cell_of(0.6, [0.58, 0.62]), "c": cell_of(0.5, [0.2, 0.8])}
        assert find_best(cells) is None

    def test_is_nobody_without_an_interval_or_without_another_model(self) -> None:
        assert find_best({"a": cell_of(0.7, [0.6, 0.8]), "b": cell_of(0.1, [None, 0.2])}) is None
        assert find_best({"a": cell_of(0.7, [0.6, 0.8])}) is None


def test_models_whose_scores_stand_for_different_rows_have_a_line_each() -> None:
    few = {"conditions": ["limit 4", "bbh: 2 of 24 parts"]}
    all_rows: dict[str, Any] = {"conditions": []}
    assert describe_conditions({"a": few, "b": few}) == ["Conditions of these scores: limit 4; bbh: 2 of 24 parts."]
    assert describe_conditions({"a": few, "b": all_rows, "c": few}) == [
        "Conditions of the scores of a, c: limit 4; bbh: 2 of 24 parts.",
        "Conditions of the scores of b: every task on all of its rows, within its own limits.",
    ]


def test_n_of_each_task_is_a_range_where_models_differ() -> None:
    def entry(n: int) -> dict[str, Any]:
        return {"status": "ok", "primary": "acc", "metrics": {"acc": {"n": n}}}

    failed = {"status": "failed", "primary": "acc", "metrics": {}}
    one, other = {"tasks": {"quiz": entry(4), "math": entry(6)}}, {"tasks": {"quiz": entry(5), "math": failed}}
    assert describe_sizes({"a": one, "b": other}) == "n: quiz 4 to 5, math 6."
    assert describe_sizes({}) == ""
