"""Markdown elements and length per model: is style inherited? (paper, Tab. 3)

In:  data/answers/<model>/ of every compared model, data/responses/<dgm>/ of every DGM
Out: data/styling/
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from pydantic import Field

from stages.lib.params import PARAMS, Section, load, read_yaml
from stages.lib.shards import new_folder, read_json, read_table, write_json
from stages.lib.shell import run
from stages.lib.sources import require

ELEMENTS = ("strong", "em", "ol", "ul", "h1", "h2", "h3", "h4", "p")  # the columns of Tab. 3
MARKUP = ("strong", "em", "ol", "ul", "h1", "h2", "h3", "h4")  # what plain prose has none of


class Styling(Section):
    """The section `styling`."""

    num_responses: int = Field(gt=0)


def count_elements(text: str) -> Counter[str]:
    """Count the elements of Tab. 3 in one answer, parsed as CommonMark."""
    counts = Counter[str]()
    for token in MarkdownIt("commonmark").parse(text):
        for part in (token, *(token.children or [])):
            if part.nesting == 1 and part.tag in ELEMENTS:
                counts[part.tag] += 1
    return counts


def style(texts: list[str]) -> dict[str, float]:
    """Elements and characters per answer: means over the answers."""
    counts = sum((count_elements(text) for text in texts), Counter[str]())
    means = {name: round(counts[name] / len(texts), 3) for name in ELEMENTS}
    markup = sum(counts[name] for name in MARKUP) / len(texts)
    chars = sum(map(len, texts)) / len(texts)
    return {**means, "markup": round(markup, 3), "chars": round(chars, 1), "texts": len(texts)}


def replies(rows: Iterable[dict[str, Any]]) -> list[str]:
    """All replies of the rows' turns."""
    return [turn["assistant"] for row in rows for turn in row["turns"]]


def main() -> None:
    """Measure the style of every compared model and every DGM."""
    styling = load("styling", Styling)
    compare = read_yaml(PARAMS)["compare"]
    styles = {}
    for dgm, digests in read_json(Path("metrics/recipes.json"))["dgms"].items():
        folder = require(Path("data/responses") / dgm, digests["responses"], f"generate@{dgm}")
        rows = read_table(folder, ["turns"]).slice(0, styling.num_responses).to_pylist()
        styles[f"{dgm} responses"] = style(replies(rows))
    for model in compare:
        digest = read_json(Path("metrics/digests/models") / f"{model}.json")["answers"]
        folder = require(Path("data/answers") / model, digest, f"answers@{model}")
        styles[model] = style(replies(read_table(folder, ["turns"]).to_pylist()))
    with new_folder(Path("data/styling")) as folder:
        write_json(folder / "summary.json", styles)


if __name__ == "__main__":
    run(main)
