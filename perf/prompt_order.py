"""Which prompts to pay for? Those on which DGMs are expected to differ most, against random ones, at equal cost.

python -m perf.prompt_order choose SOURCES TEACHER [--pilot 300] [--rows 500] [--seeds 42,43]
python -m perf.prompt_order read

`choose` runs in a checkout whose DGMs have replied and whose replies are validated. The first prompts are a pilot: how
much do the replies of SOURCES (ids, with commas) to each of them differ? A ridge regression on the words of a prompt
learns it and orders all other prompts, within their languages and thirds of length, so that every beginning of the
order has the same shares of both. Prints how well it predicts prompts that it has not seen, and writes two sources of
kept replies of TEACHER: those to the first prompts of this order, and to as many random ones. Adds both to params.yaml,
with a run on each for the first of suitability.bases. `read`, once both are trained and evaluated, prints their
difference.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy.stats import rankdata, spearmanr
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline

from perf.real_models import add_import, write_profile
from stages.lib.comparison.evaluations import read_evaluations
from stages.lib.core.sections import PARAMS, read_yaml
from stages.lib.core.seeds import seed_models
from stages.lib.core.types import Floats, Json, Row
from stages.lib.records.shards import read_rows
from stages.lib.report.findings import show_cell
from stages.lib.similarity.pair_scores import align_replies, score_turns

ORDERS = ("disagreement", "random")
FOLDS = 5
ALPHAS = np.logspace(-1, 3, 9)  # of the ridge
Verdicts = dict[str, bool]  # by prompt: whether the conversation is kept


def read_verdicts(dgm: str) -> Verdicts:
    """Read whether validation keeps each conversation of a DGM."""
    rows = read_rows(Path("data/verdicts") / dgm, ["conversation_hash", "keep"])
    return {row["conversation_hash"]: row["keep"] for row in rows}


def measure_disagreement(sources: list[str], num: int) -> dict[str, float]:
    """Return how much the DGMs differ on each of the first prompts: the mean of two ranks, from 0 to 1.

    Those of the share of words that their first replies do not have in common (1 less the mean ROUGE-1 of all pairs),
    and of the variance of validation's verdicts.
    """
    rows: dict[str, Iterable[Row]] = {name: read_rows(Path("data/responses") / name) for name in sources}
    verdicts = [read_verdicts(name) for name in sources]
    scored = {
        turn.conversation: scores.values[0] for turn, scores in score_turns(align_replies(rows, num, False), False)
    }
    known = {prompt: 1 - np.nanmean(values) for prompt, values in scored.items() if not np.isnan(values).all()}
    spread = [np.var([each[prompt] for each in verdicts]) for prompt in known]
    ranks = (rankdata([*known.values()]) + rankdata(spread)) / (2 * len(known))
    return dict(zip(known, ranks, strict=True))


def predict(texts: list[str], targets: Floats, others: list[str]) -> Floats:
    """Predict the disagreement on other prompts; print how well prompts that were left out are predicted."""
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True), RidgeCV(ALPHAS))
    folds = KFold(FOLDS, shuffle=True, random_state=0)
    unseen = cross_val_predict(model, texts, targets, cv=folds)
    for name, values in {"words": unseen, "length alone": np.array([len(text) for text in texts])}.items():
        result = spearmanr(values, targets)
        print(f"{name}: rank correlation {result.statistic:.2f}, p {result.pvalue:.3f}, n {len(texts)}")
    predicted: Floats = model.fit(texts, targets).predict(others)
    return predicted


def order_within_groups(scores: Floats, groups: list[tuple[str, int]]) -> list[int]:
    """Order rows by score within their groups, so that every beginning has each group in its share."""
    places = np.empty(len(scores))
    for group in sorted(set(groups)):
        members = np.array([n for n, own in enumerate(groups) if own == group])
        ranked = members[np.argsort(-scores[members], kind="stable")]
        places[ranked] = (np.arange(len(ranked)) + 0.5) / len(ranked)
    return [int(row) for row in np.argsort(places, kind="stable")]


def find_groups(prompts: list[Row], texts: list[str]) -> list[tuple[str, int]]:
    """Return the language and the third of length of each prompt."""
    thirds = np.quantile([len(text) for text in texts], [1 / 3, 2 / 3])
    return [
        (row["language"], int(np.searchsorted(thirds, len(text)))) for row, text in zip(prompts, texts, strict=True)
    ]


def first_message(row: Row) -> str:
    """Return the first user message of a prompt."""
    return str(row["turns"][0]["user"])


def choose(sources: list[str], teacher: str, pilot: int, num: int) -> dict[str, list[str]]:
    """Choose as many kept prompts of the teacher in either order: the keyed order is the random one."""
    kept = read_verdicts(teacher)
    prompts = list(read_rows(Path("data/prompts")))
    targets = measure_disagreement(sources, pilot)
    seen = [row for row in prompts[:pilot] if row["conversation_hash"] in targets]
    pool = [row for row in prompts[pilot:] if kept[row["conversation_hash"]]]
    texts = [first_message(row) for row in pool]
    known = np.array([targets[row["conversation_hash"]] for row in seen])
    scores = predict([first_message(row) for row in seen], known, texts)
    order = order_within_groups(scores, find_groups(pool, texts))
    names = [row["conversation_hash"] for row in pool]
    chosen = {"disagreement": [names[n] for n in order[:num]], "random": names[:num]}
    common = len(set(chosen["disagreement"]) & set(chosen["random"]))
    print(f"{len(pool)} prompts to choose from, {num} chosen in each order, {common} in both")
    lengths = dict(zip(names, map(len, texts), strict=True))
    for name, each in chosen.items():
        print(f"{name}: first messages of {np.median([lengths[prompt] for prompt in each]):.0f} characters (median)")
    return chosen


def write_sources(teacher: str, chosen: dict[str, list[str]]) -> dict[str, str]:
    """Write the teacher's conversations on the chosen prompts as sources of their own; return their ids by order."""
    rows = {row["conversation_hash"]: row for row in read_rows(Path("data/responses") / teacher)}
    for order, prompts in chosen.items():
        add_import(f"{teacher}-{order}", [rows[prompt] for prompt in prompts])
    return {order: f"{teacher}-{order}" for order in chosen}


def add_runs(sources: dict[str, str], seeds: list[int]) -> None:
    """Add the sources and a run on each to params.yaml."""
    params: Json = read_yaml(PARAMS)
    params["gate"]["max_dropped_share"] = 1.0  # most prompts are not among the chosen
    for order, source in sources.items():
        run: Json = {"base": params["suitability"]["bases"][0], "dgms": {source: 1.0}, "seeds": seeds}
        params["mix"]["runs"][order] = run
        params["dgms"] = [*dict.fromkeys([*params["dgms"], source])]
        params["compare"] = [*dict.fromkeys([*params["compare"], order])]
    write_profile(params)


def read() -> None:
    """Print what the fine-tunes of both orders score, and their difference, in every measure; seeds count as noise."""
    runs = read_yaml(PARAMS)["mix"]["runs"]
    seeds = {order: seed_models(order, tuple(runs[order]["seeds"])) for order in ORDERS}
    folders = {model: Path("data/evaluations") / model for models in seeds.values() for model in models}
    evaluations = read_evaluations(folders, {order: models for order, models in seeds.items() if len(models) > 1})
    print(f"| | {' | '.join(seeds[ORDERS[0]])} | {' | '.join(seeds[ORDERS[1]])} | difference |")
    print(f"|{'---|' * (2 + len(folders))}")
    for name in evaluations.measures:
        values = " | ".join(f"{evaluations.scores[model].all[name].value:.3f}" for model in folders)
        difference = evaluations.contrast(name, {ORDERS[0]: 1.0, ORDERS[1]: -1.0})
        if difference:
            cell = {"value": difference.value, "ci95": difference.ci95}
            print(f"| {name} | {values} | {show_cell(cell, 3, '+')} |")


def main() -> None:
    """Choose the prompts of both orders, or read what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    steps.add_parser("read")
    first = steps.add_parser("choose")
    first.add_argument("sources")
    first.add_argument("teacher")
    first.add_argument("--pilot", type=int, default=300)
    first.add_argument("--rows", type=int, default=500)
    first.add_argument("--seeds", default="42,43")
    options = parser.parse_args()
    if options.step == "read":
        read()
        return
    chosen = choose(options.sources.split(","), options.teacher, options.pilot, options.rows)
    add_runs(write_sources(options.teacher, chosen), [int(seed) for seed in options.seeds.split(",")])


if __name__ == "__main__":
    main()
