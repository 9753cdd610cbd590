"""Conversions of single values: exact, unknown, or a reason; never Python's truth of a value."""

from decimal import Decimal
from uuid import UUID

import pytest

from stages.lib.readers.reasons import Reason
from stages.lib.readers.values import to_bool, to_id, to_label, to_number, to_whole_number

NAN = float("nan")
BIG = 2**53


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("a b ", "a b "), (7, "7"), (7.0, "7"), (-0.0, "0"), (Decimal("7.00"), "7"), (2**63, str(2**63)),
        (b"abc", "abc"), (b"\xff\x00", "ff00"), (b"a\x00", "6100"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (None, None), (NAN, None), ("", None), (" \u200b", None), (b"", None),
    ],
)  # fmt: skip
def test_an_id_of_any_type_is_one_text(value: object, name: str | None) -> None:
    assert to_id(value) == name


@pytest.mark.parametrize(
    "value", [1.5, True, float(BIG), float("inf"), Decimal("1.5"), Decimal("1e50"), 10**50, [1], {}]
)
def test_what_is_not_exactly_an_id_is_none(value: object) -> None:
    assert to_id(value) == Reason("inexact_id")


def test_whole_numbers_of_different_types_are_one_id_and_different_ones_never_are() -> None:
    assert {to_id(value) for value in (5, 5.0, Decimal(5), "5")} == {"5"}
    assert len({to_id(value) for value in ("5", "5 ", "05", 5.5, 6)}) == 5


@pytest.mark.parametrize(
    ("value", "truth"),
    [
        (True, True), (False, False), (1, True), (0, False), (1.0, True), (0.0, False), (Decimal(0), False),
        ("True", True), ("False", False), (" false ", False), ("1", True), ("0", False), ("no", False),
        (None, None), (NAN, None), ("", None), ("nan", None), ("null", None), ("unknown", None),
    ],
)  # fmt: skip
def test_a_truth_value_is_read_as_what_it_says(value: object, truth: bool | None) -> None:
    assert to_bool(value) is truth


@pytest.mark.parametrize("value", [2, -1, 0.5, "perhaps", [], [1], {}, b"1", float("inf")])
def test_what_is_no_truth_value_is_neither(value: object) -> None:
    assert to_bool(value) == Reason("not_a_boolean")


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (8, 8.0), (8.5, 8.5), (Decimal("8.10"), 8.1), ("8", 8.0), (" 8.5 ", 8.5), ("-.5e1", -5.0), (0, 0.0),
        (None, None), (NAN, None), ("", None), ("NaN", None),
    ],
)  # fmt: skip
def test_a_score_is_a_number_of_any_type_or_a_text_that_is_one(value: object, number: float | None) -> None:
    assert to_number(value) == number


@pytest.mark.parametrize("value", [True, "8/10", "1_0", "٨", "eight", "inf", "1e999", float("inf"), 10**400, [8], b"8"])
def test_what_is_no_number_is_none(value: object) -> None:
    assert to_number(value) == Reason("not_a_number")


def test_whole_numbers_are_not_of_text_or_truth_values() -> None:
    assert [to_whole_number(value) for value in (3, 3.0, Decimal("3.0"))] == [3, 3, 3]
    assert {to_whole_number(value) for value in ("3", True, 3.5, None, NAN)} == {Reason("not_a_whole_number")}


def test_a_label_has_no_white_space_around_it() -> None:
    assert [to_label(value) for value in (" English ", None, 3, 1.5)] == ["English", "", "3", Reason("inexact_id")]
