"""What the page shows, made of what the stages wrote: pure, and in the page's order."""

from collections.abc import Mapping
from pathlib import Path

from stages.lib.core.numbers import sum_counts
from stages.lib.core.types import Json
from stages.lib.report.benchmark_table import benchmarks
from stages.lib.report.examples import examples
from stages.lib.report.inputs import Inputs, most_alike_first
from stages.lib.report.section_charts import draw, paint, seen
from stages.lib.style.markup import FEATURES

GREY = "#8a8f98"  # models that were not fine-tuned here
TRAINING = (  # of a run's summary, what has room beside one another
    "rows", "dropped_control_string", "dropped_too_long", "tokens", "trained_share", "steps", "epochs",
    "first_loss", "last_loss", "mean_loss",
)  # fmt: skip
VERSIONS = ("axolotl", "torch", "transformers")  # of a run's summary
INHERITANCE = ("inheritance", "direction", "mean", "median", "factor")  # of a fine-tune's style, on the page
TRAINED = ("mixed rows", "training steps")  # steps of the line that a page without runs lacks
MOST_PAIRS = 30  # of models with their words
SECTIONS = {
    "benchmarks": "Benchmarks",
    "paper": "Beside the paper",
    "teachers": "Teachers",
    "judge": "Judge",
    "style": "Style",
    "similarity": "Similarity",
    "runs": "Runs",
    "left-out": "Left out",
    "throughput": "Throughput and cost",
    "answers": "Conversations",
    "made": "How it was made",
}
TRACES = {  # of each section: what is in which folder
    "benchmarks": {"evaluate": "scores", "evaluations": "intervals and reasons"},
    "paper": {"agreement": "all numbers"},
    "teachers": {"agreement": "all numbers"},
    "judge": {"preference": "scores, rates, flips, words", "judge": "missing verdicts"},
    "style": {"styling": "all numbers"},
    "similarity": {"similarity": "all numbers"},
    "runs": {"mix": "rows and shortages", "train": "the training", "loss": "the curve"},
    "left-out": {"prompts": "source rows", "gate": "conversations", "verdicts": "conversations"},
    "throughput": {"throughput": "all numbers"},
    "answers": {"responses": "responses", "verdicts": "their status", "answers": "answers"},
    "made": {"models": "weights", "recipes.json": "responses and mixes"},
}


def make_page(inputs: Inputs, num_examples: int) -> Json:
    """All that the template shows."""
    models = dict.fromkeys([*inputs.dgms, *inputs.runs, *inputs.compare])
    colour = colours(inputs)
    table = benchmarks(inputs.scores, inputs.results)
    page = {
        "benchmarks": table,
        "colours": colour,
        "examples": examples(inputs.answers, num_examples),
        "facts": [name for name in TRAINING if any(name in train for train in inputs.train.values())],
        "families": families(inputs),
        "flow": flow(inputs),
        "gaps": gaps(inputs, table),
        "inputs": inputs,
        "judged": inputs.compare or [dgm for dgm in inputs.dgms if dgm in inputs.preference.get("models", {})],
        "alike": most_alike_first(inputs.similarity.get("dgms", {})),
        "models": [provenance(key, inputs) for key in models],
        "only_reported": only_reported(inputs.gate),
        "reasons": list(sum_counts(gate["found"] for gate in inputs.gate.values())),
        "seen": seen(inputs, table),
        "sets": [found.name for found in inputs.collections if found.models],
        "shortages": shortages(inputs.mix),
        "skipped": skipped(inputs),
        "sources": [name for name in colour if any(name in mix["sources"] for mix in inputs.mix.values())],
        "telling_pairs": telling_pairs(inputs.preference),
        "traces": traces(inputs.sources),
        "unchecked": unchecked(inputs.gate),
    }
    return {**page, "charts": draw(inputs, page), "features": FEATURES, "inheritance": INHERITANCE, "titles": SECTIONS}


def flow(inputs: Inputs) -> list[Json]:
    """The pipeline as a line: what each step counts, how many, and of what."""
    gates, dgms, runs = inputs.gate.values(), len(inputs.dgms), len(inputs.runs)
    steps = [train["steps"] for train in inputs.train.values() if "steps" in train]
    counts = (
        ("source rows", inputs.prompts.get("rows"), "conversations"),
        ("prompts", inputs.prompts.get("prompts"), "that can be asked"),
        ("responses", sum(gate["conversations"] for gate in gates), f"by {dgms} DGM{'s' * (dgms != 1)}"),
        ("kept", sum(gate["kept"] for gate in gates), "after validation"),
        ("mixed rows", sum(mix["rows"] for mix in inputs.mix.values()), f"in {runs} run{'s' * (runs != 1)}"),
        ("training steps", sum(steps) if len(steps) == runs else None, f"for {runs} fine-tune{'s' * (runs != 1)}"),
    )
    return [{"name": name, "count": count, "note": note} for name, count, note in counts if runs or name not in TRAINED]


def families(inputs: Inputs) -> dict[str, Json]:
    """For each DGM its style and that of the fine-tunes on it; on the same questions where the DGM is compared."""
    answers, responses = inputs.styling.get("answers", {}), inputs.styling.get("responses", {})
    found = {}
    for dgm in (dgm for dgm in inputs.dgms if dgm in {**answers, **responses}):
        tuned = {pair["run"]: pair for pair in inputs.styling["fine_tunes"] if pair["dgm"] == dgm}
        found[dgm] = {
            "label": dgm if dgm in answers else f"{dgm} responses",
            "style": answers[dgm] if dgm in answers else responses[dgm],
            "runs": {key: {"style": answers[key], **tuned[key]} for key in inputs.runs if key in tuned},
            "bases": sorted({pair["base"] for pair in tuned.values()} & set(answers)),
        }
    return found


def shortages(mixes: Mapping[str, Json]) -> list[Json]:
    """Every source that had fewer rows than a run asked of it."""
    return [
        {"run": name, "source": source, "asked": asked["rows"], "taken": taken}
        for name, mix in mixes.items()
        for source, asked in mix["asked"].items()
        for taken in [int(mix["sources"].get(source, {}).get("rows", 0))]
        if taken < asked.get("rows", 0)
    ]


def skipped(inputs: Inputs) -> dict[str, str]:
    """The sections that have nothing to show, and why."""
    dgms = len(inputs.dgms)
    checks = {
        "benchmarks": (inputs.scores, "`compare` names no model in params.yaml"),
        "teachers": (inputs.agreement, "no model was compared"),
        "judge": (any(map(has_mean, inputs.preference.get("models", {}).values())), "nothing was judged"),
        "style": (families(inputs), "the profile has no DGM"),
        "runs": (inputs.mix, "`mix.runs` names no run in params.yaml"),
        "similarity": (inputs.pairs, f"it takes two DGMs, and there is {dgms or 'none'}"),
        "throughput": (inputs.throughput["dgms"], "the profile has no DGM"),
        "answers": (any(found.models for found in inputs.collections), "there is no model"),
    }
    return {name: why for name, (found, why) in checks.items() if not found} | inputs.skipped


def gaps(inputs: Inputs, table: Json) -> list[str]:
    """What single sections lack, in words."""
    found = [f"{gap['name']} of {gap['model']}: {gap['reason']}" for gap in table["missing"]]
    found += [
        f"The judge's score of {model}: {counts['failed']} verdicts are missing"
        for model, counts in inputs.judge.items()
        if counts["failed"]
    ]
    if inputs.similarity and not inputs.similarity["synonyms"]:
        found.append("METEOR's synonyms: WordNet was not asked (`make wordnet`, then `similarity.synonyms: true`)")
    return found


def unchecked(gates: Mapping[str, Json]) -> dict[int, list[str]]:
    """The reasons that could not be looked for, by in how many conversations, the most first."""
    found: dict[int, list[str]] = {}
    for reason, count in sum_counts(gate.get("not_checked", {}) for gate in gates.values()).items():
        found.setdefault(count, []).append(reason)
    return found


def only_reported(gates: Mapping[str, Json]) -> list[str]:
    """The reasons that were found and dropped nothing."""
    dropping = {reason for gate in gates.values() for reason in gate["dropped_by"]}
    return [reason for reason in sum_counts(gate["found"] for gate in gates.values()) if reason not in dropping]


def telling_pairs(preference: Json) -> list[tuple[str, Json]]:
    """The pairs of models whose judgments differ in words, those with most of them first."""
    pairs = preference.get("words", {}).get("pairs", {})
    telling = [(names, pair) for names, pair in pairs.items() if pair["by_winner"]["different"]]
    return sorted(telling, key=lambda item: -int(item[1]["by_winner"]["different"]))[:MOST_PAIRS]


def has_mean(found: Json) -> bool:
    """Whether a model has a score of the judge."""
    return found["mean"] is not None


def traces(sources: Mapping[str, str]) -> dict[str, list[Json]]:
    """Of each section, the files that its numbers are from: path, sha256, and what of it."""
    found = {
        section: [
            {"path": path, "sha256": digest, "what": what}
            for folder, what in folders.items()
            for path, digest in sources.items()
            if folder == kind(path)
        ]
        for section, folders in TRACES.items()
    }
    return {section: files for section, files in found.items() if files}


def kind(path: str) -> str:
    """What a file or folder is of: the folder below data/ or metrics/ in which it lies, or its own name there."""
    return next(part for part in Path(path).parts if part not in {"data", "metrics"})


def colours(inputs: Inputs) -> dict[str, str]:
    """One colour for each DGM, run and auxiliary set, the same in every chart; the rest is grey."""
    sources = (source for key in inputs.runs for source in inputs.recipes["runs"][key]["sources"])
    names = dict.fromkeys([*inputs.dgms, *inputs.runs, *sources])
    grown = [family["label"] for family in inputs.agreement.get("scaling", [])]  # of their own charts
    return dict.fromkeys(inputs.compare, GREY) | paint(list(names)) | paint(grown)


def provenance(key: str, inputs: Inputs) -> Json:
    """Where one model is from, on what data, what ran it and on which machine; no path of a machine."""
    model, result, train, cost = (
        found.get(key, {})
        for found in (inputs.models, inputs.results, inputs.train, inputs.throughput.get("costs", {}))
    )
    place = model.get("location", "") if model.get("kind") == "hub" else Path(model.get("location", "")).name
    trained_with = [f"{name} {version}" for name, version in train.items() if name in VERSIONS]
    tasks = result.get("tasks", {}).values()
    harnesses = {f"{task['harness']} {task['harness_version']}" for task in tasks if task["harness_version"]}
    return {
        "id": key,
        "source": f"fine-tune of {train.get('base', 'its base')}" if key in inputs.runs else place,
        "commit": model.get("commit") or result.get("commit"),
        "data": inputs.mixes.get(key) or inputs.recipes["dgms"].get(key, {}).get("responses"),
        "tools": [*cost.get("engines", []), *trained_with, *sorted(harnesses)],
        "hardware": cost.get("hardware", ""),
    }
