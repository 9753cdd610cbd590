"""The stage styling: styles of models, pairs, and inheritance from a DGM."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import bootstrap

from stages.lib.console.errors import UserError
from stages.lib.core.files import read_json, sha256_folder, write_json
from stages.lib.core.sections import parse
from stages.lib.records.answers import ANSWER
from stages.lib.records.responses import RESPONSE
from stages.lib.records.shards import write_table
from stages.lib.settings.sections import Styling
from stages.lib.style.features import FeatureCounts, count_answers
from stages.lib.style.markup import FEATURES
from stages.styling import main, measure_style, summarize
from tests.support.styles import PLAIN, RICH, count_texts, turn_of

SETTINGS = Styling(parser="commonmark", num_responses=10, seed=1, resamples=500)
RUNS = {
    "tuned": {"base": "base", "sources": {"rich": {"kind": "dgm"}}},
    "mixed": {"base": "base", "sources": {"rich": {"kind": "dgm"}, "set": {"kind": "auxiliary"}}},
}


def find_fine_tune(tables: dict[str, Any], run: str, dgm: str) -> dict[str, Any]:
    return next(pair for pair in tables["fine_tunes"] if (pair["run"], pair["dgm"]) == (run, dgm))


def test_writing_like_the_dgm_is_full_inheritance_and_writing_like_the_base_is_none() -> None:
    plain, rich = count_texts(*PLAIN), count_texts(*RICH)
    models = {"base": plain, "rich": rich, "tuned": rich, "mixed": plain}
    tables = measure_style(models, [], RUNS, SETTINGS)
    same, none = find_fine_tune(tables, "tuned", "rich"), find_fine_tune(tables, "mixed", "rich")
    assert same["inheritance"] == {"value": 1.0, "ci95": [1.0, 1.0]} == same["direction"]
    assert same["mean"]["value"] == same["median"]["value"] == same["factor"]["value"] == 1.0
    assert same["alone"] and not none["alone"]
    assert none["inheritance"] == {"value": 0.0, "ci95": [0.0, 0.0]}
    assert none["direction"]["value"] is None, "it did not move"


def test_a_fine_tune_that_writes_half_like_its_dgm_inherits_a_part() -> None:
    half = (*RICH[:2], *PLAIN[2:])
    models = {"base": count_texts(*PLAIN), "rich": count_texts(*RICH), "tuned": count_texts(*half)}
    inheritance = find_fine_tune(measure_style(models, [], RUNS, SETTINGS), "tuned", "rich")["inheritance"]
    assert 0 < inheritance["ci95"][0] <= inheritance["value"] <= inheritance["ci95"][1] <= 1.2


def test_without_its_base_or_its_dgm_a_reason_replaces_inheritance() -> None:
    plain, rich = count_texts(*PLAIN), count_texts(*RICH)
    tables = measure_style({"rich": rich, "tuned": rich}, {"plain": plain}.items(), RUNS, SETTINGS)
    assert find_fine_tune(tables, "tuned", "rich")["why_not"] == "its base base is not compared"
    assert find_fine_tune(tables, "tuned", "rich")["mean"]["value"] == 1.0
    runs = {"tuned": {"base": "base", "sources": {"plain": {"kind": "dgm"}}}}
    other = find_fine_tune(measure_style({"tuned": rich}, {"plain": plain}.items(), runs, SETTINGS), "tuned", "plain")
    assert other["why_not"] == "plain is not compared: it answered the prompts, and tuned the questions"
    assert other["on"] == "responses" and other["inheritance"] is None
    assert (other["turns"], other["mean"]["value"], set(other["ratios"].values())) == (0, None, {None})
    strangers = {"tuned": rich, "rich": count_texts(*RICH, first=50), "base": plain}
    tables = measure_style(strangers, [], RUNS, SETTINGS)
    assert find_fine_tune(tables, "tuned", "rich")["why_not"] == "they answered no question in common"


def test_two_models_are_compared_on_the_turns_that_both_answered() -> None:
    more = FeatureCounts({**count_texts(*RICH).answers, (99, 1): (50,) * len(FEATURES)})
    tables = measure_style({"one": more, "other": count_texts(*RICH)}, [], {}, SETTINGS)
    assert set(tables["pairs"]) == {"one other", "other one"}
    assert tables["pairs"]["one other"]["turns"] == 10
    assert tables["pairs"]["one other"]["mean"] == 1.0
    assert tables["answers"]["one"]["answers"] == 11


def test_means_and_totals_have_scipys_intervals_over_questions() -> None:
    features = measure_style({"rich": count_texts(*RICH)}, [], {}, SETTINGS)["answers"]["rich"]["features"]
    strong = features["strong"]
    per_question = np.array([[1, 1], [1, 0], [0, 1], [1, 1], [1, 1]], dtype=float)
    assert strong["total"] == per_question.sum() and strong["mean"] == 0.8
    assert features["markup"]["total"] == sum(
        features[name]["total"] for name in ("strong", "em", "ol", "ul", "h1", "h2", "h3", "h4")
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


def test_a_single_question_has_numbers_and_no_interval() -> None:
    one = count_answers([{"id": 1, "turns": [turn_of("**a**")]}], "id", "commonmark")
    strong = measure_style({"one": one}, [], {}, SETTINGS)["answers"]["one"]["features"]["strong"]
    assert strong == {"mean": 1.0, "ci95": None, "total": 1, "total_ci95": None}


def test_a_model_without_any_answer_is_null_and_not_zero() -> None:
    silent = count_answers([{"id": 1, "turns": [turn_of("")]}], "id", "commonmark")
    tables = measure_style({"silent": silent, "rich": count_texts(*RICH)}, {"silent": silent}.items(), RUNS, SETTINGS)
    for style in (tables["answers"]["silent"], tables["responses"]["silent"]):
        assert style["answers"] == 0 and style["left_out"] == {"empty": 1}
        assert style["features"]["p"]["mean"] is None
    assert not tables["pairs"]


def test_the_order_of_rows_and_of_models_changes_nothing() -> None:
    models = {"base": count_texts(*PLAIN), "rich": count_texts(*RICH), "tuned": count_texts(*RICH[:3], *PLAIN[3:])}
    shuffled = {
        name: FeatureCounts(dict(reversed(counts.answers.items())), counts.left_out)
        for name, counts in reversed(models.items())
    }
    tables = measure_style(models, models.items(), RUNS, SETTINGS)
    assert measure_style(shuffled, shuffled.items(), RUNS, SETTINGS) == tables


def test_the_summary_has_means_and_inheritance() -> None:
    models = {"base": count_texts(*PLAIN), "rich": count_texts(*RICH), "tuned": count_texts(*RICH)}
    summary = summarize(measure_style(models, {"rich": count_texts(*RICH)}.items(), RUNS, SETTINGS))
    assert summary["answers"]["rich"]["strong"] == 0.8 and summary["responses"]["rich"]["num_answers"] == 10
    assert summary["fine_tunes"]["tuned rich"]["inheritance"]["value"] == 1.0


def test_an_unknown_parser_is_one_plain_error() -> None:
    with pytest.raises(UserError, match="parser"):
        parse(Styling, {**SETTINGS.model_dump(), "parser": "html"}, "styling")


def test_the_stage_reads_the_first_conversations_and_a_second_run_writes_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(
        "compare: [rich]\nstyling: {parser: commonmark, num_responses: 2, seed: 1, resamples: 50}\n", encoding="utf-8"
    )
    for folder, schema, name in (("responses", RESPONSE, "conversation_hash"), ("answers", ANSWER, "question_id")):
        rows = [{name: key if folder == "answers" else f"{key:032x}", "turns": [turn_of("**a**")]} for key in (1, 2, 3)]
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
    summary = read_json(Path("data/styling/summary.json"))
    assert (summary["answers"]["rich"]["num_answers"], summary["responses"]["rich"]["num_answers"]) == (3, 2)
