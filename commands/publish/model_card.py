"""The card of a fine-tune (README.md), and its LICENSE.md."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from huggingface_hub import EvalResult, ModelCardData

from commands.publish.dataset_card import GATED, SHOWN_COMMIT
from commands.publish.languages import language_codes
from commands.publish.markdown import render, with_metadata
from commands.publish.options import Options
from commands.publish.sources import describe_model
from stages.lib.core.numbers import num_decimals
from stages.lib.core.types import Json
from stages.lib.evaluation.results import main_metric
from stages.lib.settings.licenses import find_license

if TYPE_CHECKING:
    from commands.publish.fine_tune import FineTune

TASK: Json = {"task_type": "text-generation", "task_name": "Text generation"}


def build_card(provenance: Json, tune: "FineTune", options: Options) -> str:
    """Return the card of a fine-tune."""
    content = {
        "name": options.repository.partition("/")[2],
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
    name = options.repository.partition("/")[2]
    data = ModelCardData(
        license=license_.hub,
        language=language_codes(tune.mix["languages"]) or None,
        base_model=tune.base.location if tune.base.kind == "hub" else None,
        base_model_relation="finetune" if tune.base.kind == "hub" else None,
        datasets=list(options.datasets) or None,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["rewild", "axolotl", "conversational"],
        model_name=name,
        eval_results=list(list_results(tune)) or None,
        **(named if license_.hub == "other" else {}),
        **(GATED if options.gated else {}),
    )
    return str(data.to_yaml())


def list_results(tune: "FineTune") -> Iterator[EvalResult]:
    """Yield the main metric of every task that has one, with its interval, as the hub's model-index has them."""
    for task, entry in tune.scores.get(tune.run, {"tasks": {}})["tasks"].items():
        if metric := main_metric(entry):
            yield EvalResult(
                **TASK,
                dataset_type=task,
                dataset_name=task,
                metric_type=entry["primary"],
                metric_value=metric["value"],
                metric_name=f"{entry['primary']} ({metric['unit']})",
                metric_args={
                    "ci95": metric["ci95"],
                    "n": metric["n"],
                    "num_fewshot": entry["num_fewshot"],
                    "harness": f"{entry['harness']} {entry['harness_version'] or ''}".strip(),
                },
            )


def describe_scores(tune: "FineTune") -> Iterator[Json]:
    """Yield the scores of the run beside those of its base, each with its 95 % interval."""
    base = tune.scores.get(tune.base.id, {"tasks": {}})["tasks"]
    for task, entry in tune.scores.get(tune.run, {"tasks": {}})["tasks"].items():
        cells = [main_metric(entry), main_metric(base[task]) if task in base else {}]
        decimals = num_decimals([cell for cell in cells if cell])
        yield {
            "task": task,
            "metric": entry["primary"],
            "unit": cells[0].get("unit", ""),
            "n": cells[0].get("n"),
            "harness": f"{entry['harness']} {entry['harness_version'] or ''}".strip(),
            "own": format_score(cells[0], decimals) if cells[0] else f"no score: {entry['reason']}",
            "base": format_score(cells[1], decimals),
        }


def format_score(metric: Json, decimals: int) -> str:
    """Format a score with its interval; a dash for none."""
    if not metric:
        return "–"  # noqa: RUF001  (a dash)
    ends = [f"{end:.{decimals}f}" for end in metric["ci95"] or ()]
    return f"{metric['value']:.{decimals}f}" + (f" ({' to '.join(ends)})" if ends else "")


def describe_source(name: str, tune: "FineTune") -> Json:
    """Return what the card says of one source of the mix."""
    counts = tune.mix["sources"].get(name, {"rows": 0, "tokens": 0})
    digests = tune.recipe["sources"][name]
    return {
        "name": name,
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
