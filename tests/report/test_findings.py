"""The findings that sections begin with: true in every case, with the digits that intervals support."""

from typing import Any

import pytest

from stages.lib.core.numbers import num_decimals
from stages.lib.report.findings import (
    count_verdicts,
    count_wins,
    describe_lead,
    find_change,
    find_extremes,
    find_leader,
    join_names,
    show_cell,
    to_sentence,
)
from stages.lib.report.palette import GREY, PALETTE, colour_models
from stages.lib.report.sections.runs import describe_sizes
from stages.lib.report.sections.teachers import describe_changes


def cell(value: float | None, *ci95: float) -> dict[str, Any]:
    return {"value": value, "ci95": list(ci95) or None}


def pairs(**verdicts: str) -> dict[str, Any]:
    """Verdicts by pair: a_b is of a against b."""
    return {pair.replace("_", " "): {"verdict": verdict.replace("_", " ")} for pair, verdict in verdicts.items()}


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (cell(0.8125, 0.7567, 0.8534), "0.81 (0.76 to 0.85)"),
        (cell(0.31375, 0.30172, 0.32571), "0.314 (0.302 to 0.326)"),
        (cell(9.6721, 9.31, 9.93), "9.7 (9.3 to 9.9)"),
        (cell(0.31, 0.3099999, 0.3100001), "0.310 (0.310 to 0.310)"),
        (cell(0.5), "0.50"),
        (cell(1.0, 1.0, 1.0), "1.00 (1.00 to 1.00)"),
    ],
)
def test_a_number_has_the_digits_that_its_interval_supports(shown: dict[str, Any], text: str) -> None:
    assert show_cell(shown) == text


def test_numbers_that_are_compared_have_the_digits_of_the_narrowest_interval() -> None:
    assert num_decimals([cell(0.8, 0.7, 0.9), cell(0.801, 0.799, 0.803)]) == 3


SCORES = {"a": cell(0.5, 0.44, 0.56), "b": cell(0.8, 0.75, 0.85), "c": cell(None)}


def test_the_highest_comes_first_with_what_the_tests_decide_and_who_is_next() -> None:
    assert find_leader(SCORES, pairs(a_b="worse"), "average") == (
        "b has the highest average, 0.80 (0.75 to 0.85): better than a; next is a, 0.50 (0.44 to 0.56)"
    )


def test_the_highest_number_is_not_called_better_where_nothing_is_decided() -> None:
    verdicts = pairs(a_b="not_decided", a_c="better", b_c="better", b_d="equivalent", a_d="worse")
    assert describe_lead("b", verdicts) == "better than 1 of the 3 others, equivalent to d, not decided against a"
    assert describe_lead("a", verdicts) == "better than 1 of the 3 others, worse than d, not decided against b"
    assert describe_lead("z", verdicts) == ""
    assert describe_lead("a", pairs(a_b="not_decided")) == "not decided against b"
    assert describe_lead("a", pairs(a_b="equivalent")) == "equivalent to b"


def test_models_with_the_same_number_share_the_highest() -> None:
    level = {"a": SCORES["b"], "b": SCORES["b"], "c": SCORES["a"]}
    assert find_leader(level, pairs(a_b="not_decided", a_c="better", b_c="better"), "average") == (
        "a and b share the highest average, 0.80 (0.75 to 0.85): a is better than 1 of the 2 others, not decided "
        "against b; next is c, 0.50 (0.44 to 0.56)"
    )
    assert find_leader({"a": SCORES["b"], "b": SCORES["b"]}, {}, "average") == (
        "a and b share the highest average, 0.80 (0.75 to 0.85)"
    )
    assert find_extremes({"a": SCORES["b"], "b": SCORES["b"]}, "writes most", "the least", "writes") == (
        "a and b are level: each writes 0.80 (0.75 to 0.85)"
    )


def test_one_model_alone_has_nobody_to_be_better_than() -> None:
    assert find_leader({"a": SCORES["a"]}, {}, "average") == (
        "a has average 0.50 (0.44 to 0.56); there is no other model"
    )
    assert find_leader({"c": cell(None)}, {}, "average") == ""


def test_wins_count_the_benchmarks_on_which_every_other_model_is_worse() -> None:
    measures = {"quiz": pairs(a_b="better", a_c="better"), "math": pairs(a_b="better", a_c="not_decided"), "none": {}}
    assert count_wins("a", measures, ["quiz", "math", "none"]) == (
        "a is better than each of the others on 1 of 3 benchmarks"
    )
    assert count_wins("b", measures, ["quiz", "math"]) == "b is better than each of the others on none of 2 benchmarks"
    assert count_wins("a", measures, ["quiz"]) == "", "one benchmark is the average itself"


def test_pairs_are_counted_by_verdict() -> None:
    verdicts = pairs(a_b="better", a_c="worse", b_c="equivalent", a_d="not_decided")
    assert count_verdicts(verdicts, "the average") == (
        "in the average 2 of 4 pairs of models differ, 1 is equivalent, 1 is not decided"
    )
    assert count_verdicts({}, "the average") == ""
    many = {f"a m{number}": {"verdict": "better"} for number in range(1200)}
    assert count_verdicts(many, "the average") == "in the average 1,200 of 1,200 pairs of models differ"


def test_extremes_are_named_and_one_alone_is_no_extreme() -> None:
    assert find_extremes(SCORES, "writes most", "the least", "writes") == (
        "b writes most, 0.80 (0.75 to 0.85); a the least, 0.50 (0.44 to 0.56)"
    )
    assert find_extremes({"a": SCORES["a"]}, "writes most", "the least", "writes") == "a writes 0.50 (0.44 to 0.56)"
    assert find_extremes({}, "writes most", "the least", "writes") == ""


def test_an_extreme_names_those_whose_intervals_overlap_its_own() -> None:
    cells = {"a": cell(0.81, 0.7, 0.9), "b": cell(0.74, 0.6, 0.8), "c": cell(0.3, 0.2, 0.4), "d": cell(0.2)}
    assert find_extremes(cells, "writes most", "the least", "writes") == (
        "a writes most, 0.81 (0.70 to 0.90), within the noise of b; d the least, 0.20"
    )
    wide = cells | {"c": cell(0.7, 0.1, 0.95)}
    assert find_extremes(wide, "writes most", "the least", "writes").startswith(
        "a writes most, 0.81 (0.70 to 0.90), within the noise of 2 others;"
    )


def test_of_many_changes_the_finding_counts_how_often_the_average_is_higher_or_lower() -> None:
    changes = {"a": cell(0.1, 0.05, 0.15), "b": cell(-0.1, -0.15, -0.05), "c": cell(0.1, 0.05, 0.15), "d": cell(None)}
    assert describe_changes("blend {}:", "with a blend", {"a": changes["a"], "d": changes["d"]}) == (
        "blend a: +0.10 (+0.05 to +0.15)"
    )
    assert describe_changes("blend {}:", "with a blend", {**changes, "e": cell(0.1, -0.1, 0.3), "f": cell(0.2)}) == (
        "with a blend the average is higher in 2 of 5 comparisons, lower in 1, not decided in 2"
    )
    assert describe_changes("blend {}:", "with a blend", {}) == ""


def test_runs_of_equal_size_share_the_most_or_the_fewest_rows() -> None:
    assert describe_sizes({"a": {"rows": 2000}, "b": {"rows": 2000}}) == "Every run has 2,000 rows."
    assert describe_sizes({"a": {"rows": 2000}, "b": {"rows": 1000}, "c": {"rows": 2000}}) == (
        "a and c have the most rows, 2,000; b the fewest, 1,000."
    )
    assert describe_sizes({}) == ""


def test_a_change_whose_interval_holds_zero_is_not_decided() -> None:
    assert find_change("twice the rows:", cell(0.02, -0.03, 0.07)) == (
        "twice the rows: +0.02 (-0.03 to +0.07), not decided"
    )
    assert find_change("twice the rows:", cell(0.06, 0.01, 0.11)) == "twice the rows: +0.06 (+0.01 to +0.11)"
    assert find_change("twice the rows:", None) == find_change("twice the rows:", cell(None)) == ""


def test_of_many_names_the_first_are_named_and_the_others_counted() -> None:
    assert join_names(["a"]) == "a"
    assert join_names(["a", "b", "c"]) == "a, b and c"
    assert join_names(["a", "b", "c", "d"]) == "a, b and 2 others"
    assert to_sentence("", "") == "" and to_sentence("one", "", "two") == "one; two."


def test_no_two_models_share_a_colour_and_a_fine_tune_has_a_tone_of_its_dgm() -> None:
    runs = {"only-rich": "rich", "half-rich": "rich", "only-plain": "plain"}
    colours = colour_models(["rich", "plain"], runs, ["only-rich", "blend", "algebra"])
    assert [colours[name] for name in ("rich", "plain", "blend", "algebra")] == list(PALETTE[:4])
    assert len(set(colours.values())) == len(colours) == 7
    assert colours["only-rich"] == "#954200", "30 % darker than #d55e00"


def test_where_there_are_more_models_than_colours_the_important_ones_have_them() -> None:
    dgms = [f"m{number}" for number in range(54)]
    colours = colour_models(dgms, {"on-m50": "m50"}, [], important=["m53", "on-m50", "base"])
    assert [colours[name] for name in ("m53", "m50", "base", "m0")] == list(PALETTE[:4])
    assert colours["m49"] == GREY and colours["on-m50"] not in {GREY, *PALETTE}
    few = colour_models(["m0", "m1"], {}, [], important=["m1", "base"])
    assert [few["m0"], few["m1"]] == list(PALETTE[:2]) and "base" not in few


def test_of_many_models_those_beyond_the_last_colour_are_grey() -> None:
    colours = colour_models([f"m{number}" for number in range(54)], {}, [])
    assert len(colours) == 54
    assert list(colours.values()).count(GREY) == 54 - len(PALETTE)


def test_wide_intervals_leave_no_decimal() -> None:
    assert show_cell(cell(159.8, 144.8, 175.0)) == "160 (145 to 175)"
