"""Numbers and columns as the screen shows them."""

from stages.lib.console.formats import align_columns, format_bytes, format_count, format_duration, format_range


def test_durations_have_the_unit_in_which_they_are_at_least_one() -> None:
    assert (format_duration(90000), format_duration(5400), format_duration(0.5)) == ("1.04 days", "1.50 h", "0.50 s")


def test_bytes_and_counts_have_their_units() -> None:
    assert (format_bytes(1.5e12), format_bytes(100)) == ("1.50 TB", "0.10 kB")
    assert (format_count(9999), format_count(1.25e6)) == ("9999", "1.25 M")


def test_a_range_of_equal_values_is_one_value_and_an_unknown_one_a_dash() -> None:
    assert format_range((1, 2), format_count) == "1 to 2"
    assert format_range((1, 1), format_count) == "1"
    assert format_range(None, format_count) == "-"


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert align_columns([("a", "b"), ("long", "12")]) == ["a      b", "long  12"]
