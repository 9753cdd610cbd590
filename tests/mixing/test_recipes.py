"""The recipes stage: what each run takes from each source."""

from typing import Any

import pytest

from stages.lib.console.errors import UserError
from stages.lib.core.sections import parse
from stages.lib.settings.sections import Amount, Mix, Run
from stages.recipes import resolve_amounts, resolve_recipe, split_rows

MIX = Mix(
    seed=1, size=10, scale_auxiliary=False, on_shortage="error", min_turns=1, languages=[], exclude_toxic=False,
    duplicates="off", duplicate_similarity=1.0, contamination="off", ngram_words=13, runs={},
)  # fmt: skip


KEPT: dict[str, dict[str, Any]] = {"a": {"kept": 6, "responses": "r", "verdicts": "v", "kind": "dgm"}} | {
    key: {"kept": 500_000, "rows": "x", "kind": "auxiliary"} for key in ("m", "n")
}


def amounts(entry: Run, mix: Mix = MIX) -> dict[str, dict[str, int]]:
    return resolve_amounts("run", entry, mix, KEPT)


def test_weights_split_the_size_exactly() -> None:
    assert split_rows(10, {"a": 1.0, "b": 1.0, "c": 1.0}) == {"a": 4, "b": 3, "c": 3}
    assert split_rows(7, {"a": 2.0, "b": 1.0}) == {"a": 5, "b": 2}
    assert split_rows(5, {"a": 0.0, "b": 3.0}) == {"a": 0, "b": 5}
    with pytest.raises(UserError, match="add up to more than 0"):
        split_rows(5, {"a": 0.0})


def test_a_run_takes_its_own_rows_or_else_mix_size_and_scales_auxiliary_sets_only_if_asked() -> None:
    entry = Run(base="b", dgms={"a": 1.0}, auxiliary={"m": 99_800})
    assert amounts(entry) == {"a": {"rows": 10}, "m": {"rows": 99_800}}
    assert amounts(Run(base="b", dgms={"a": 1.0, "c": 0.0})) == {"a": {"rows": 10}}  # a weight of 0 is not a source
    own = entry.model_copy(update={"rows": 246_750})
    assert amounts(own) == {"a": {"rows": 246_750}, "m": {"rows": 99_800}}
    scaled = MIX.model_copy(update={"scale_auxiliary": True, "size": 123_375})
    assert amounts(entry, scaled) == {"a": {"rows": 123_375}, "m": {"rows": 49_900}}


def test_an_amount_is_rows_or_tokens_or_a_share_of_all_rows_or_the_whole_set() -> None:
    entry = Run(base="b", dgms={"a": 1.0}, auxiliary={"m": Amount(share=0.5), "n": Amount(tokens=7)})
    assert amounts(entry) == {"a": {"rows": 10}, "m": {"rows": 10}, "n": {"tokens": 7}}
    three = Run(base="b", dgms={"a": 1.0}, auxiliary={"m": Amount(share=0.5), "n": Amount(share=0.25)})
    assert amounts(three) == {"a": {"rows": 10}, "m": {"rows": 20}, "n": {"rows": 10}}
    assert amounts(Run(base="b", auxiliary={"m": "all"})) == {"m": {"rows": 500_000}}
    with pytest.raises(UserError, match=r"mix\.runs\.run: shares are of all rows"):
        amounts(Run(base="b", auxiliary={"m": Amount(share=0.5)}))
    with pytest.raises(UserError, match="give either tokens or share; a plain number is rows"):
        parse(Amount, {"tokens": 5, "share": 0.1}, "p.yaml: mix.runs.x.auxiliary.m")


def resolved(rows: int, **changes: Any) -> dict[str, Any]:
    runs = {"run": Run(base="b", dgms={"a": 1.0})}
    return resolve_recipe(
        "run", {"a": {"rows": rows}}, MIX.model_copy(update={"runs": runs, **changes}), KEPT, "digest"
    )


def test_on_shortage_decides_between_an_error_a_cap_and_repeats() -> None:
    with pytest.raises(UserError, match="asks a for 10 rows, but it has 6"):
        resolved(10)
    capped = resolved(10, on_shortage="cap")
    assert capped["sources"] == {"a": {"kind": "dgm", "responses": "r", "verdicts": "v", "take": {"rows": 6}}}
    assert resolved(10, on_shortage="cap") == resolved(600_000, on_shortage="cap")
    assert resolved(10, on_shortage="upsample")["sources"]["a"]["take"] == {"rows": 10}


def test_a_recipe_holds_all_that_decides_the_mix_and_nothing_that_is_off() -> None:
    assert set(resolved(5)) == {"base", "seed", "on_shortage", "filters", "sources"}
    screened = resolved(5, duplicates="drop", contamination="flag")
    assert screened["duplicates"] == {"then": "drop", "similarity": 1.0}
    assert screened["contamination"] == {"then": "flag", "words": 13, "benchmarks": "digest"}
