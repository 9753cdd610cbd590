"""How fast `styling` counts real answers, beside other parsers in the same run, and whether they count the same.

python -m perf.styling responses.parquet

The file has a column `response`. Seconds are of one core (process time), the best of several rounds in turn; ratios are
to the paper's way. What is not installed (beautifulsoup4, cmarkgfm: nothing but this uses them) is left out by name.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as pq
from markdown_it import MarkdownIt

from stages.lib.style.markup import EXTRA_TAGS, TAGS, count_commonmark, count_paper

ROUNDS = 3
ELEMENTS = (*TAGS, *EXTRA_TAGS.values())  # what all of them can count
Found = tuple[int, ...] | None
PAPER = "paper's way: markdown2, BeautifulSoup"


def elements(counts: Found) -> Found:
    """Of our counts, the elements: without visible length and emoji."""
    return counts and (*counts[: len(TAGS)], *counts[len(TAGS) + 1 : -1])


def tally(tags: Sequence[str]) -> tuple[int, ...]:
    return tuple(tags.count(name) for name in ELEMENTS)


def with_tokens() -> Callable[[str], Found]:
    """markdown-it-py: elements from its tokens."""
    markdown = MarkdownIt("commonmark").enable("table")

    def count(text: str) -> Found:
        parts = [part for token in markdown.parse(text) for part in (token, *(token.children or []))]
        found = [part.tag for part in parts if part.nesting == 1 and not part.hidden]
        blocks = sum(part.type in {"fence", "code_block"} for part in parts)
        return tally([*found, *["pre"] * blocks])

    return count


def with_soup(soup: ModuleType) -> Callable[[str], Found]:
    """The paper's way: markdown2 without extras, the page parsed by BeautifulSoup, its text taken too."""
    from markdown2 import markdown

    def count(text: str) -> Found:
        try:
            page = soup.BeautifulSoup(markdown(text.strip()), "html.parser")
        except RecursionError:
            return None
        page.get_text()
        return tally([tag.name for tag in page.find_all(ELEMENTS)])

    return count


def with_cmark(cmark: ModuleType) -> Callable[[str], Found]:
    """cmarkgfm, raw HTML left out, the tags found as ours are."""
    from stages.lib.style.markup import _COUNTED

    def count(text: str) -> Found:
        return tally(_COUNTED.findall(cmark.markdown_to_html_with_extensions(text, 0, ["table"])))

    return count


def ways() -> dict[str, Callable[[str], Found]]:
    """Every way to count that can be had here."""
    found = {
        "ours, commonmark: all features": lambda text: elements(count_commonmark(text)),
        "ours, paper: all features": lambda text: elements(count_paper(text)),
        "markdown-it-py: elements": with_tokens(),
    }
    for name, module, way in (
        ("cmarkgfm: elements", "cmarkgfm.cmark", with_cmark),
        (PAPER, "bs4", with_soup),
    ):
        try:
            found[name] = way(import_module(module))
        except ImportError:
            print(f"{name}: left out, {module} is not installed")
    return found


def measure(way: Callable[[str], Found], answers: list[str]) -> tuple[list[Found], float]:
    """What a way counts, and in how many seconds of one core."""
    start = time.process_time()
    counts = [way(text) for text in answers]
    return counts, time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("responses", type=Path)
    parser.add_argument("--answers", type=int, default=1500, help="that every way counts, evenly spread")
    options = parser.parse_args()
    texts = [text for text in pq.read_table(options.responses)["response"].to_pylist() if text and text.strip()]
    answers = texts[:: max(1, len(texts) // options.answers)]
    print(f"{len(answers)} of {len(texts)} answers, {sum(map(len, answers)) / len(answers):,.0f} characters each")
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    counts: dict[str, list[Found]] = {}
    seconds: dict[str, float] = {}
    found = ways()
    for _ in range(ROUNDS):
        for name, way in found.items():
            counts[name], taken = measure(way, answers)
            seconds[name] = min(taken, seconds.get(name, taken))
    base = seconds.get(PAPER, seconds["ours, paper: all features"])
    for name, taken in seconds.items():
        print(f"{len(answers) / taken:10,.0f} answers a second of one core, {base / taken:6.1f} times  {name}")
    first, paper = list(counts)[:2]
    for one, other in [*((first, name) for name in counts if name != first), (paper, PAPER)]:
        if other in counts:
            equal = sum(a == b for a, b in zip(counts[one], counts[other], strict=True)) / len(answers)
            print(f"{equal:8.2%} of the answers have the same counts: {one} and {other}")
    whole, taken = measure(found[first], texts)
    reference, _ = measure(found["markdown-it-py: elements"], texts)
    differ = sum(a != b for a, b in zip(whole, reference, strict=True))
    print(f"all {len(texts)}: {len(texts) / taken:,.0f} a second; {differ} differ from markdown-it-py")
    print(f"unparsable in the paper's way: {sum(count is None for count in counts[paper])} of {len(answers)}")


if __name__ == "__main__":
    main()
