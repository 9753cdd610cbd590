"""Writes the report: index.html, the pages to read with the files that they load, charts/, and the page's numbers."""

import re
from pathlib import Path

from stages.lib.core.files import ROWS_SUMMARY, SUMMARY, write_json
from stages.lib.core.types import Json
from stages.lib.report.browser import SAMPLES, write_browser
from stages.lib.report.inputs import Inputs
from stages.lib.report.page import render
from stages.lib.report.section import Content, Section
from stages.lib.report.sections import (
    answers,
    benchmarks,
    differences,
    judge,
    left_out,
    made,
    paper,
    runs,
    similarity,
    style,
    suitability,
    teachers,
    throughput,
)

SECTIONS = (  # in the page's order
    benchmarks.SECTION,
    differences.SECTION,
    paper.SECTION,
    suitability.SECTION,
    teachers.SECTION,
    judge.SECTION,
    style.SECTION,
    similarity.SECTION,
    runs.SECTION,
    left_out.SECTION,
    throughput.SECTION,
    answers.SECTION,
    made.SECTION,
)

Built = list[tuple[Section, Content]]


def write_report(folder: Path, inputs: Inputs) -> None:
    """Fill a folder with the pages, the charts and the numbers."""
    sections = [(section, content) for section in SECTIONS if (content := section.build(inputs))]
    collections = [collection for collection in inputs.collections if collection.models]
    summary = {
        "profile": inputs.profile,
        "flow": count_steps(inputs),
        "skipped": {section.name: content.skipped for section, content in sections if content.skipped},
    }
    page = {
        **summary,
        "sections": sections,
        "absent": list_absent(sections),
        "gaps": [gap for _, content in sections for gap in content.gaps],
        "traces": trace(inputs.files.digests),
        "collections": [collection.name for collection in collections],
        "sampled": {collection.name: list(collection.models) for collection in inputs.samples},
        "colours": inputs.colours,
        "inputs": inputs,
    }
    html = render(Path(__file__).with_suffix(".html"), page)
    (folder / "index.html").write_text(html, encoding="utf-8", newline="\n")
    write_charts(folder / "charts", sections)
    if collections:
        write_browser(folder, collections, f"Rewild {inputs.profile}", colours=inputs.colours)
    if inputs.samples:
        write_browser(folder, inputs.samples, f"Rewild {inputs.profile}", SAMPLES, inputs.colours)
    numbers = {name: value for _, content in sections for name, value in content.numbers.items()}
    write_json(folder / SUMMARY, summary | numbers)


def list_absent(sections: Built) -> dict[str, str]:
    """Return the questions that the page does not answer, with the reason: of whole sections and of their parts."""
    absent = {}
    for section, content in sections:
        if content.skipped:
            absent[content.question or section.question] = content.skipped
        absent |= content.absent
    return absent


def write_charts(folder: Path, sections: Built) -> None:
    """Write every chart to a file of its own, for DVC's plots."""
    folder.mkdir()
    for name, chart in (item for _, content in sections for item in content.charts.items()):
        file = folder / re.sub(r"[^\w.-]", "_", f"{name}.svg")
        file.write_text(chart.svg, encoding="utf-8", newline="\n")


def count_steps(inputs: Inputs) -> list[Json]:
    """Return the steps of the pipeline: what each counts, how many, and a note."""
    files, gates = inputs.files, inputs.gate.values()
    prompts = files.read_json(files.data / "prompts" / ROWS_SUMMARY)
    steps = [
        ("source rows", prompts.get("rows"), "conversations"),
        ("prompts", prompts.get("prompts"), "that can be asked"),
        ("responses", sum(gate["conversations"] for gate in gates), f"by {count(inputs.dgms, 'DGM')}"),
        ("kept", sum(gate["kept"] for gate in gates), "after validation"),
    ]
    if inputs.runs:
        mixes = files.read_json_of(inputs.runs, files.metrics / "mix").values()
        trainings = files.read_json_of(inputs.runs, files.metrics / "train").values()
        num_steps = [training.get("steps") for training in trainings]
        steps += [
            ("mixed rows", sum(mix["rows"] for mix in mixes), f"in {count(inputs.runs, 'run')}"),
            ("training steps", None if None in num_steps else sum(num_steps), f"for {count(inputs.runs, 'fine-tune')}"),
        ]
    return [{"name": name, "count": number, "note": note} for name, number, note in steps]


def count(things: list[str], noun: str) -> str:
    """Return the number of things with their noun."""
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def trace(digests: dict[str, str]) -> dict[str, list[Json]]:
    """Return, for each section, the files that its numbers come from: path, sha256 and what it takes from them."""
    traces = {
        section.name: [
            {"path": path, "sha256": sha256, "what": what}
            for folder, what in section.sources.items()
            for path, sha256 in digests.items()
            if folder == folder_of(path)
        ]
        for section in SECTIONS
    }
    return {section: files for section, files in traces.items() if files}


def folder_of(path: str) -> str:
    """Return the folder below data/ or metrics/ in which a file or folder lies, or its own name there."""
    return next(part for part in Path(path).parts if part not in {"data", "metrics"})
