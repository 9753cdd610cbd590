"""Everything on one page that works offline: no scripts, no clock, and equal inputs give equal bytes.

In:  summaries and metrics of the profile's DGMs, runs and compared models, by their ids; the answers, evaluations
     and loss curves that metrics/digests/ names
Out: data/report/: index.html, charts/ (the page's charts as files, for DVC plots), summary.json (the page's numbers)
"""

import csv
import re
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from pydantic import Field

from stages.lib.charts import bars, curves, heat, intervals, stacks
from stages.lib.families import draw_families
from stages.lib.likest import FEWEST, square
from stages.lib.markup import FEATURES
from stages.lib.page import render
from stages.lib.params import PARAMS, Section, load, read_yaml
from stages.lib.replies import examples
from stages.lib.shards import new_folder, read_json, read_table, write_json
from stages.lib.shell import run, say
from stages.lib.sources import compared

DATA, MODELS, METRICS = Path("data"), Path("models"), Path("metrics")
PALETTE = ("#d55e00", "#0072b2", "#009e73", "#d98f00", "#45a3dc", "#cc79a7", "#8a6d3b")  # after Okabe and Ito
TRAINING = (  # of a run's summary, what has room beside one another
    "rows", "dropped_control_string", "dropped_too_long", "tokens", "trained_share", "steps", "epochs",
    "first_loss", "last_loss", "mean_loss",
)  # fmt: skip
INHERITANCE = ("inheritance", "direction", "mean", "median", "factor")  # of a fine-tune's style, on the page
GREY = "#8a8f98"  # models that were not fine-tuned here


class Report(Section):
    """The section `report`."""

    num_examples: int = Field(ge=0)


@dataclass(frozen=True)
class Inputs:
    """All that the page shows, by id, as the stages before wrote it."""

    profile: str
    dgms: list[str]
    runs: list[str]
    compare: list[str]
    prompts: dict[str, Any]
    recipes: dict[str, Any]
    gate: dict[str, dict[str, Any]]
    mix: dict[str, dict[str, Any]]
    train: dict[str, dict[str, Any]]
    losses: dict[str, list[tuple[float, float]]]  # step and loss
    scores: dict[str, dict[str, float | None]]
    results: dict[str, dict[str, Any]]
    answers: dict[str, list[dict[str, Any]]]
    styling: dict[str, Any]
    similarity: dict[str, Any]  # summary and pairs
    throughput: dict[str, Any]
    judge: dict[str, dict[str, Any]]
    preference: dict[str, Any]
    agreement: dict[str, Any]
    models: dict[str, dict[str, Any]]
    mixes: dict[str, str]  # digests


def read_losses(path: Path) -> list[tuple[float, float]]:
    """Read step and loss of every step that logged one; none when there is no curve."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [(float(row["step"]), float(row["loss"])) for row in csv.DictReader(file) if row.get("loss")]


def read_inputs(params: dict[str, Any]) -> Inputs:
    """Read everything by the ids in params and recipes; folders only as the digests name them."""
    dgms, compare, recipes = params["dgms"], params["compare"], read_json(METRICS / "recipes.json")
    runs = sorted(recipes["runs"], key=lambda name: (compare.index(name) if name in compare else len(compare), name))

    def metrics(name: str, ids: list[str]) -> dict[str, Any]:
        return {key: read_json(METRICS / name / f"{key}.json") for key in ids}

    trained = metrics("digests/runs", runs)
    described = {key: MODELS / key / "model.json" for key in dict.fromkeys([*dgms, *compare, *runs])}
    return Inputs(
        profile=params["profile"],
        dgms=dgms,
        runs=runs,
        compare=compare,
        recipes=recipes,
        gate=metrics("gate", dgms),
        mix=metrics("mix", runs),
        train=metrics("train", runs),
        mixes={key: digest["mix"] for key, digest in trained.items()},
        losses={key: read_losses(METRICS / "loss" / f"{key}.csv") for key in runs},
        scores=metrics("evaluate", compare),
        judge=metrics("judge", compare),
        results={key: read_json(compared(key, "evaluations") / "results.json") for key in compare},
        answers={key: read_table(compared(key, "answers")).to_pylist() for key in compare},
        **{name: read_json(DATA / name / "tables.json") for name in ("agreement", "preference", "styling")},
        similarity=read_similarity(DATA / "similarity"),
        models={key: read_json(path) for key, path in described.items() if path.exists()},
        **{name: read_json(DATA / name / "summary.json") for name in ("prompts", "throughput")},
    )


def read_similarity(folder: Path) -> dict[str, Any]:
    """The summary and the pairs, both with the most alike first."""

    def sort(table: dict[str, Any]) -> dict[str, Any]:
        return dict(sorted(table.items(), key=lambda item: -(item[1]["rouge1"]["mean"] or 0)))

    summary, pairs = (read_json(folder / f"{name}.json") for name in ("summary", "pairs"))
    return {"summary": summary | {"dgms": sort(summary.get("dgms", {}))}, "pairs": sort(pairs)}


def flow(inputs: Inputs) -> list[dict[str, Any]]:
    """The pipeline as a line: what each step counts, how many, and of what."""
    gates, dgms, runs = inputs.gate.values(), len(inputs.dgms), len(inputs.runs)
    steps = [train["steps"] for train in inputs.train.values() if "steps" in train]
    counts = (
        ("source rows", inputs.prompts["rows"], "conversations"),
        ("prompts", inputs.prompts["prompts"], "that can be asked"),
        ("responses", sum(gate["conversations"] for gate in gates), f"by {dgms} DGM{'s' * (dgms != 1)}"),
        ("kept", sum(gate["kept"] for gate in gates), "after validation"),
        ("mixed rows", sum(mix["rows"] for mix in inputs.mix.values()), f"in {runs} run{'s' * (runs != 1)}"),
        ("training steps", sum(steps) if len(steps) == runs else None, f"for {runs} fine-tune{'s' * (runs != 1)}"),
    )
    return [{"name": name, "count": count, "note": note} for name, count, note in counts]


def score(scores: dict[str, float | None], result: dict[str, Any], task: str) -> dict[str, Any]:
    """One cell of the benchmark table: value and interval, or the reason why there is none."""
    entry = result["tasks"].get(task, {})
    found = entry.get("metrics", {}).get(entry.get("primary"), {})
    cell = {"value": scores.get(task), "ci95": found.get("ci95"), "n": found.get("n"), "reason": ""}
    if cell["value"] is None:
        cell |= {"ci95": None, "reason": entry.get("reason") or "no value was written"}
    return cell | {"metric": entry.get("primary")}


def benchmarks(scores: dict[str, dict[str, float | None]], results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The headline table: every task and average of every compared model, with what is missing and why."""
    averages = columns_of(results)
    named = [task for columns in averages.values() for task in columns]
    tasks = list(dict.fromkeys([*named, *(task for row in scores.values() for task in row if task not in averages)]))
    rows = {model: {task: score(scores[model], results[model], task) for task in tasks} for model in scores}
    for model, row in rows.items():
        row |= {name: average(scores[model].get(name), columns, row) for name, columns in averages.items()}
    gaps = [
        {"model": model, "name": name, "reason": cell["reason"]}
        for model, row in rows.items()
        for name, cell in row.items()
        if cell["value"] is None
    ]
    metrics = {task: ", ".join(sorted({row[task]["metric"] or "" for row in rows.values()})) for task in tasks}
    best = max((row["average"]["value"] for row in rows.values() if row["average"]["value"] is not None), default=None)
    return {
        "tasks": tasks,
        "metrics": metrics | {name: f"of {len(columns)} benchmarks" for name, columns in averages.items()},
        "averages": averages,
        "rows": rows,
        "best": best,
        "missing": gaps,
    }


def columns_of(results: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """The columns of each average of the compared models, `average` first."""
    found: dict[str, list[str]] = {"average": []} if results else {}
    for result in results.values():
        for name, average in result["averages"].items():
            found[name] = list(dict.fromkeys([*found.get(name, []), *average["columns"]]))
    return found


def average(value: float | None, columns: list[str], row: dict[str, Any]) -> dict[str, Any]:
    """One average of a model, or which benchmarks it lacks."""
    absent = [task for task in columns if row[task]["value"] is None]
    reason = f"it needs {' and '.join(absent)}" if absent else "no value was written"
    return {"value": value, "ci95": None, "reason": reason if value is None else ""}


def families(inputs: Inputs) -> dict[str, dict[str, Any]]:
    """For each DGM its style and that of the fine-tunes on it; on the same questions where the DGM is compared."""
    answers, responses = inputs.styling["answers"], inputs.styling["responses"]
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


def shortages(mixes: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Every source that had fewer rows than a run asked of it."""
    return [
        {"run": name, "source": source, "asked": asked["rows"], "taken": rows_of(mix, source)}
        for name, mix in mixes.items()
        for source, asked in mix["asked"].items()
        if rows_of(mix, source) < asked.get("rows", 0)
    ]


def rows_of(mix: dict[str, Any], source: str) -> int:
    """How many rows a mix holds of a source."""
    return int(mix["sources"].get(source, {}).get("rows", 0))


def colours(inputs: Inputs) -> dict[str, str]:
    """One colour for each DGM, run and auxiliary set, the same in every chart; the rest is grey."""
    sources = (source for key in inputs.runs for source in inputs.recipes["runs"][key]["sources"])
    names = dict.fromkeys([*inputs.dgms, *inputs.runs, *sources])
    families = [family["label"] for family in inputs.agreement["scaling"]]  # of their own charts
    return dict.fromkeys(inputs.compare, GREY) | paint(list(names)) | paint(families)


def paint(names: list[str]) -> dict[str, str]:
    """A colour for each name, in turn."""
    return dict(zip(names, islice(cycle(PALETTE), len(names)), strict=True))


def draw(inputs: Inputs, page: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The page's charts, by section and name."""
    colour, table = page["colours"], page["benchmarks"]
    styles = {dgm: style_rows(dgm, family, inputs.styling["answers"]) for dgm, family in page["families"].items()}
    most = max((value for rows in styles.values() for _, value, _ in rows), default=0)
    taken = {
        key: {source: rows_of(mix, source) for source in page["sources"] if source in mix["sources"]}
        for key, mix in inputs.mix.items()
    }
    losses = {key: curve for key, curve in inputs.losses.items() if curve}
    columns = [*table["averages"], *table["tasks"]] if table["rows"] else []
    return {
        "scores": {
            name: intervals({key: row[name] for key, row in table["rows"].items()}, colour, f"{name} by model")
            for name in columns
        },
        "judge": draw_judge({model: inputs.preference["models"][model] for model in inputs.compare}, colour),
        "similarity": draw_similarity(inputs.similarity["pairs"]),
        "styles": {
            dgm: bars(rows, colour, most, f"markup per answer: {dgm} and the fine-tunes on it")
            for dgm, rows in styles.items()
        },
        "scaling": draw_families(inputs.agreement["names"], inputs.agreement["scaling"], colour),
        "runs": ({"mix": stacks(taken, colour, "rows of every run by source")} if taken else {})
        | ({"loss": curves(losses, colour, "training loss of every run")} if losses else {}),
    }


def draw_judge(models: dict[str, dict[str, Any]], colour: dict[str, str]) -> dict[str, str]:
    """The judge's mean score of every model that has one."""
    cells = {
        model: {"value": found["mean"], "ci95": found["ci95"] if None not in found["ci95"] else None}
        for model, found in models.items()
        if found["mean"] is not None
    }
    return {"score": intervals(cells, colour, "the judge's score by model")} if cells else {}


def draw_similarity(pairs: dict[str, Any]) -> dict[str, str]:
    """How alike every two DGMs answer, where there are more than two."""
    names, values = square(pairs, "rouge1")
    return {"rouge1": heat(names, values, "ROUGE-1 of every two DGMs")} if len(names) >= FEWEST else {}


def style_rows(dgm: str, family: dict[str, Any], answers: dict[str, Any]) -> list[tuple[str, float, str]]:
    """Label, markup per answer and model: a DGM, the fine-tunes on it, and what those were before."""
    styles = {f"{dgm} (DGM)": (family["style"], dgm)}
    styles |= {key: (answers[key], key) for key in family["runs"]}
    styles |= {f"{key} (before)": (answers[key], key) for key in family["bases"]}
    return [(label, style["features"]["markup"]["mean"] or 0.0, model) for label, (style, model) in styles.items()]


def provenance(key: str, inputs: Inputs) -> dict[str, Any]:
    """Where one model is from, on what data, and with which tools; no path of a machine."""
    model, result, train = (found.get(key, {}) for found in (inputs.models, inputs.results, inputs.train))
    place = model.get("location", "") if model.get("kind") == "hub" else Path(model.get("location", "")).name
    tools = {name: value for name, value in train.items() if isinstance(value, str) and not name.startswith("base")}
    if "harness" in result:
        tools[result["harness"]] = result["harness_version"]
    return {
        "id": key,
        "source": f"fine-tune of {train.get('base', 'its base')}" if key in inputs.runs else place,
        "commit": model.get("commit") or result.get("commit"),
        "data": inputs.mixes.get(key) or inputs.recipes["dgms"].get(key, {}).get("responses"),
        "tools": [f"{name} {version}" for name, version in tools.items()],
    }


def make_page(inputs: Inputs, num_examples: int) -> dict[str, Any]:
    """All that the template shows."""
    models = dict.fromkeys([*inputs.dgms, *inputs.runs, *inputs.compare])
    page = {
        "benchmarks": benchmarks(inputs.scores, inputs.results),
        "colours": colours(inputs),
        "examples": examples(inputs.answers, num_examples),
        "facts": [name for name in TRAINING if any(name in train for train in inputs.train.values())],
        "families": families(inputs),
        "flow": flow(inputs),
        "models": [provenance(key, inputs) for key in models],
        "shortages": shortages(inputs.mix),
        "sources": [name for name in colours(inputs) if any(name in mix["sources"] for mix in inputs.mix.values())],
    }
    return {**page, "charts": draw(inputs, page), "features": FEATURES, "inheritance": INHERITANCE, "inputs": inputs}


def main() -> None:
    """Write the page, its charts and its numbers."""
    inputs = read_inputs(read_yaml(PARAMS))
    page = make_page(inputs, load("report", Report).num_examples)
    with new_folder(DATA / "report") as folder:
        (folder / "index.html").write_text(
            render(Path(__file__).with_suffix(".html"), page), encoding="utf-8", newline="\n"
        )
        (folder / "charts").mkdir()
        for section, drawn in page["charts"].items():
            for name, svg in drawn.items():
                file = folder / "charts" / re.sub(r"[^\w.-]", "_", f"{section}-{name}.svg")
                file.write_text(svg, encoding="utf-8", newline="\n")
        numbers = {key: page[key] for key in ("benchmarks", "families", "flow", "shortages")}
        write_json(folder / "summary.json", {"profile": inputs.profile, **numbers})
    say("data/report/index.html: open it in a browser")


if __name__ == "__main__":
    run(main)
