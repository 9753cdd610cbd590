"""The card of a fine-tune (README.md), and its LICENSE.md."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from huggingface_hub import EvalResult, ModelCardData

from commands.publish.cards.dataset_card import GATED, SHOWN_COMMIT
from commands.publish.cards.languages import language_codes
from commands.publish.cards.markdown import render, with_metadata
from commands.publish.options import Options
from commands.publish.sources import describe_model
from stages.lib.comparison.scores import Score, read_scores
from stages.lib.core.numbers import DIGITS, num_decimals, round_decimals
from stages.lib.core.types import Json
from stages.lib.evaluation.results import main_metric
from stages.lib.settings.licenses import find_license

if TYPE_CHECKING:
    from commands.publish.fine_tune import FineTune

NO_RESULTS: Json = {"tasks": {}, "averages": {}}
TASK: Json = {"task_type": "text-generation", "task_name": "Text generation"}


def build_card(provenance: Json, tune: "FineTune", options: Options) -> str:
    """Return the card of a fine-tune."""
    content = {
        "name": options.name,
        "repository": options.repository,
        "origin": provenance,
        "is_demo": provenance["params"]["profile"] == "demo",
        "tune": tune,
        "base": {
            "id": tune.base.id,
            "name": tune.base_entry.name,
            "source": describe_model(tune.base),
            "is_on_hub": tune.base.kind == "hub",
            "commit": tune.base.commit[:SHOWN_COMMIT],
            "license": find_license(tune.base_entry.license),
        },
        "train": provenance["params"]["train"],
        "scores": list(describe_scores(tune)),
        "conditions": tune.scores[tune.run]["conditions"] if tune.run in tune.scores else [],
        "seeds": tune.seeds,
        "judge": tune.judge if tune.judge.get("score") is not None else None,
        "sources": [describe_source(name, tune) for name in tune.recipe["sources"]],
        "contaminated": tune.mix["contaminated"],
        "has_mask": not tune.closed,
        "options": options,
    }
    return with_metadata(build_metadata(tune, options), render("model_card.md", content))


def build_metadata(tune: "FineTune", options: Options) -> str:
    """Return the YAML that the hub reads, with the scores as a model-index."""
    license_ = find_license(tune.base_entry.license)
    named: Json = {"license_name": license_.name, "license_link": license_.link or "LICENSE.md"}
    data = ModelCardData(
        license=license_.hub,
        language=language_codes(tune.mix["languages"]) or None,
        base_model=tune.base.location if tune.base.kind == "hub" else None,
        base_model_relation="finetune" if tune.base.kind == "hub" else None,
        datasets=list(options.datasets) or None,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["rewild", "axolotl", "conversational"],
        model_name=options.name,
        eval_results=list(list_results(tune)) or None,
        **(named if license_.hub == "other" else {}),
        **(GATED if options.gated else {}),
    )
    return str(data.to_yaml())


def list_results(tune: "FineTune") -> Iterator[EvalResult]:
    """Yield the main metric of every task that has one, with its interval, as the hub's model-index has them."""
    results = tune.scores.get(tune.run, NO_RESULTS)
    for task, score in read_scores(results).benchmarks.items():
        entry = results["tasks"][task]
        metric = main_metric(entry)
        yield EvalResult(
            **TASK,
            dataset_type=task,
            dataset_name=task,
            metric_type=entry["primary"],
            metric_value=round(score.value, DIGITS),
            metric_name=f"{entry['primary']} ({metric['unit']})",
            metric_args={
                "ci95": round_decimals(score.ci95),
                "n": metric["n"],
                "num_fewshot": entry["num_fewshot"],
                "harness": name_harness(entry),
            },
        )


def describe_scores(tune: "FineTune") -> Iterator[Json]:
    """Yield the scores of the run beside those of its base, each with its 95 % interval, averages last."""
    results = tune.scores.get(tune.run, NO_RESULTS)
    own, base = read_scores(results), read_scores(tune.scores.get(tune.base.id, NO_RESULTS))
    for task, entry in results["tasks"].items():
        metric = main_metric(entry)
        yield {
            "task": task,
            "metric": entry["primary"],
            "unit": metric.get("unit", ""),
            "n": metric.get("n"),
            "harness": name_harness(entry),
            **format_scores(own.benchmarks.get(task), base.benchmarks.get(task)),
            "reason": own.missing.get(task, ""),
        }
    for name, score in own.averages.items():
        columns = results["averages"][name]["columns"]
        mean = "mean of the above" if [*results["tasks"]] == columns else f"mean of {', '.join(columns)}"
        shown = format_scores(score, base.averages.get(name))
        yield {"task": name, "metric": mean, "unit": "", "n": None, "harness": "", "reason": "", **shown}


def name_harness(entry: Json) -> str:
    """Return the harness of a task with its version."""
    return f"{entry['harness']} {entry['harness_version'] or ''}".strip()


def format_scores(own: Score | None, base: Score | None) -> dict[str, str]:
    """Format two scores with their intervals, in as many digits as the narrower one supports; a dash for none."""
    decimals = num_decimals([{"ci95": score.ci95} for score in (own, base) if score])
    return {"own": format_score(own, decimals), "base": format_score(base, decimals)}


def format_score(score: Score | None, decimals: int) -> str:
    """Format a score with its interval; a dash for none."""
    if score is None:
        return "–"  # noqa: RUF001  (a dash)
    ends = [f"{end:.{decimals}f}" for end in score.ci95 or ()]
    return f"{score.value:.{decimals}f}" + (f" ({' to '.join(ends)})" if ends else "")


def describe_source(name: str, tune: "FineTune") -> Json:
    """Return what the card says of one source of the mix."""
    counts = tune.mix["sources"].get(name, {"rows": 0, "tokens": 0})
    digests = tune.recipe["sources"][name]
    return {
        "name": name,
        "is_dgm": digests["kind"] == "dgm",
        "kind": "replies of a model" if digests["kind"] == "dgm" else "auxiliary set",
        "digest": digests.get("responses") or digests.get("rows"),
        "license": find_license(tune.licenses[name]),
        **counts,
    }


def build_license(tune: "FineTune") -> str:
    """Return the LICENSE.md of a fine-tune: the base's licence, and those of the rows that it was trained on."""
    names = {f"Weights, tuned from {tune.base_entry.name}": tune.base_entry.license}
    names |= {f"Rows of {name}": license_ for name, license_ in tune.licenses.items()}
    parts = [{"name": name, "license": find_license(license_)} for name, license_ in names.items()]
    licenses = list(dict.fromkeys(part["license"] for part in parts))
    return render("license.md", {"parts": parts, "licenses": licenses, "kind": "model"})
