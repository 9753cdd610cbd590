"""The rows that several models share: aligned by part, id and turn, and weighted as the benchmark weighs them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.lib.comparison.score_rows import align_samples, average_rows, build_rows, read_samples
from stages.lib.evaluation.samples import SAMPLE, write_samples


def samples(*rows: tuple[str, int, int | None, float | None, int]) -> pa.Table:
    """Rows of SAMPLE: part, id, turn, score and the number of scores that it is the mean of."""
    names = ("task", "id", "turn", "score", "num_scores")
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema=SAMPLE)


def simple(*scores: float | None) -> pa.Table:
    """Rows of one part and turn."""
    return samples(*(("quiz", number, None, score, 1) for number, score in enumerate(scores)))


def metric(value: float, unit: str = "fraction") -> dict[str, Any]:
    return {"value": value, "unit": unit}


def test_rows_are_aligned_by_part_id_and_turn_whatever_their_order():
    one = samples(("a", 1, 1, 5, 1), ("a", 1, 2, 6, 1), ("a", 2, 1, 7, 1), ("b", 1, 1, 8, 1))
    scored = one.column_names.index("score")
    other = one.take([3, 1, 0, 2]).set_column(scored, "score", pa.array([4.0, 2, 1, 3]))
    metrics = {"one": metric(6.5, "score_1_10"), "other": metric(2.5, "score_1_10")}
    rows = align_samples({"one": one, "other": other}, metrics)
    assert rows is not None
    assert rows.scores.T.tolist() == [[5, 6, 7, 8], [1, 2, 3, 4]]
    assert rows.clusters.tolist() == [0, 0, 1, 2]  # the turns of a question
    assert rows.weights.tolist() == [0.25] * 4
    assert set(rows.strata) == {0}
    assert (rows.bounds, rows.scale) == ((0, 10), 10)
    assert not rows.stand_alone


def test_a_row_weighs_as_many_scores_as_it_has():
    # Two prompts with one and three instructions: (1 + 3 * 1/3) / 4 = 1/2, the mean of rows would be 2/3.
    table = samples(("ifeval", 0, None, 1, 1), ("ifeval", 1, None, 1 / 3, 3))
    rows = align_samples({"one": table}, {"one": metric(0.5)})
    assert rows is not None
    assert rows.weights.tolist() == [0.25, 0.75]
    assert align_samples({"one": table}, {"one": metric(2 / 3)}) is None


def test_a_benchmark_may_be_the_mean_of_its_parts():
    # (1 + 0 + 0) / 3 of one part and 1 of the other: 2/3, where the mean of rows is 1/2.
    parts = samples(("a", 0, None, 1, 1), ("a", 1, None, 0, 1), ("a", 2, None, 0, 1), ("b", 0, None, 1, 1))
    rows = align_samples({"one": parts}, {"one": metric(2 / 3)})
    assert rows is not None
    assert rows.weights.tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])
    assert rows.strata.tolist() == [0, 0, 0, 1]


def test_a_model_whose_value_fits_both_ways_does_not_decide_which_it_is():
    # Of a model that gets nothing right, the mean of rows is 0 as well as that of parts.
    parts = samples(("a", 0, None, 1, 1), ("a", 1, None, 0, 1), ("a", 2, None, 0, 1), ("b", 0, None, 1, 1))
    nothing = parts.set_column(parts.column_names.index("score"), "score", pa.array([0.0] * 4))
    metrics = {"nothing": metric(0), "one": metric(2 / 3), "other": metric(2 / 3)}
    rows = align_samples({"nothing": nothing, "one": parts, "other": parts}, metrics)
    assert rows is not None
    assert rows.models == ("nothing", "one", "other")


def test_a_model_whose_value_is_not_that_of_its_rows_has_none():
    tables = {"one": simple(1, 0), "f1": simple(1, 0)}
    rows = align_samples(tables, {"one": metric(0.5), "f1": metric(0.7)})
    assert rows is not None
    assert rows.models == ("one",)
    assert align_samples(tables, {"one": metric(0.4), "f1": metric(0.7)}) is None
    assert align_samples(tables, {"one": {}, "f1": {}}) is None  # both failed


def test_a_row_without_a_score_is_missing_for_this_model_alone():
    rows = align_samples(
        {"one": simple(1, 0, 1), "other": simple(1, None, 0)}, {"one": metric(2 / 3), "other": metric(0.5)}
    )
    assert rows is not None
    np.testing.assert_equal(rows.scores, [[1, 1], [0, np.nan], [1, 0]])
    assert rows.is_binary(0)
    assert rows.stand_alone


def test_an_average_weighs_its_benchmarks_alike_as_shares_and_has_models_that_all_have():
    quiz = align_samples({"one": simple(1, 0), "other": simple(1, 1)}, {"one": metric(0.5), "other": metric(1)})
    chat = align_samples({"one": samples(("chat", 0, 1, 5, 1), ("chat", 0, 2, 7, 1))}, {"one": metric(6, "score_1_10")})
    assert quiz and chat
    average = average_rows([(quiz, 1), (chat, 10)])
    assert average is not None
    assert average.models == ("one",)
    assert average.scores[:, 0].tolist() == [1, 0, 0.5, 0.7]
    assert average.weights.tolist() == [0.25] * 4
    assert average.clusters.tolist() == [0, 1, 2, 2]
    assert average.strata.tolist() == [0, 0, 1, 1]
    assert (average.is_binary(0), average.is_binary(1)) == (True, False)


def test_an_average_over_a_benchmark_without_rows_has_none():
    def content(value: float) -> dict[str, Any]:
        tasks = {
            name: {"status": "ok", "primary": "acc", "metrics": {"acc": metric(share)}}
            for name, share in (("quiz", 0.5), ("f1", value))
        }
        return {"tasks": tasks, "averages": {"average": {"columns": ["quiz", "f1"]}, "only": {"columns": ["quiz"]}}}

    tables = {"one": {"quiz": simple(1, 0), "f1": simple(1, 0)}}
    assert set(build_rows(tables, {"one": content(0.5)})) == {"quiz", "f1", "average", "only"}
    assert set(build_rows(tables, {"one": content(0.8)})) == {"quiz", "only"}


def test_samples_of_older_code_count_one_score_per_row_that_has_one(tmp_path: Path):
    (tmp_path / "samples").mkdir()
    rows = [{"task": "quiz", "id": number, "score": score} for number, score in enumerate([1.0, None])]
    write_samples(tmp_path / "samples/quiz.parquet", rows)
    pq.write_table(
        pq.read_table(tmp_path / "samples/quiz.parquet").drop_columns("num_scores"), tmp_path / "samples/old.parquet"
    )
    read = read_samples(tmp_path, ["quiz", "old", "failed"])
    assert set(read) == {"quiz", "old"}
    assert read["old"]["num_scores"].to_pylist() == read["quiz"]["num_scores"].to_pylist() == [1, 0]
