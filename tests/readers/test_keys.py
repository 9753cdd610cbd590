"""Which of several rows with one key is used."""

from itertools import permutations

from stages.lib.readers.keys import KeyedRows

Row = tuple[str, int, str, str, int]  # key, rank, content, the rest, how much is missing


def choose(rows: list[Row]) -> tuple[list[Row], int, int]:
    keyed = KeyedRows()
    for row in rows:
        keyed.add(*row)
    choice = keyed.choose()
    return [rows[index] for index in choice.rows], choice.duplicates, choice.conflicts


def test_equal_rows_are_duplicates_and_another_text_under_the_key_is_a_conflict() -> None:
    assert choose([("a", 1, "x", "", 0)] * 3) == ([("a", 1, "x", "", 0)], 2, 0)
    _, duplicates, conflicts = choose([("a", 1, "x", "", 0), ("a", 1, "y", "", 0), ("a", 1, "z", "", 0)])
    assert (duplicates, conflicts) == (0, 2)


def test_the_choice_does_not_depend_on_the_order_of_rows() -> None:
    rows: list[Row] = [("a", 1, "x", "1", 0), ("a", 1, "x", "2", 0), ("a", 1, "y", "", 0), ("b", 0, "x", "", 0)]
    results = [choose(list(order)) for order in permutations(rows)]
    assert all(result == results[0] for result in results) and [row[0] for row in results[0][0]] == ["b", "a"]


def test_a_row_that_lacks_less_is_used_whatever_its_hash() -> None:
    for text in "abcdefgh":
        good: Row = ("a", 1, "whole", "", 0)
        assert choose([("a", 1, text, "", 1), good]) == ([good], 0, 1)


def test_rows_are_in_the_order_of_their_ranks_and_two_keys_of_one_rank_both_stay() -> None:
    rows: list[Row] = [("c", 3, "", "", 0), ("a", 2**64 - 1, "", "", 0), ("b", 3, "", "", 0)]
    chosen, duplicates, conflicts = choose(rows)
    assert {row[0] for row in chosen[:2]} == {"b", "c"} and chosen[2][0] == "a" and (duplicates, conflicts) == (0, 0)
    assert choose([]) == ([], 0, 0)
