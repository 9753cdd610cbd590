"""Time how fast `styling` counts real answers, compare it with other parsers in the same run, and compare the counts.

python -m perf.styling responses.parquet

The file has a column `response`. Times are CPU seconds on one core, the best of several rounds in turn; ratios are to
the paper's way. Parsers that are not installed (beautifulsoup4, cmarkgfm: nothing else uses them) are left out by name.
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

from stages.lib.style.markup import COUNTED_TAGS, OPENING_TAG, TAGS, count_commonmark, count_paper

ROUNDS = 3
COMMONMARK, PAPER = "ours, commonmark: all features", "ours, paper: all features"
TOKENS = "markdown-it-py: elements"
PAPERS_WAY = "paper's way: markdown2, BeautifulSoup"
Counts = tuple[int, ...] | None
Counter = Callable[[str], Counts]


def select_elements(counts: Counts) -> Counts:
    """Select the elements from our counts: without visible length and emoji, which the others do not count."""
    return counts and (*counts[: len(TAGS)], *counts[len(TAGS) + 1 : -1])


def count_tags(tags: Sequence[str]) -> tuple[int, ...]:
    return tuple(tags.count(name) for name in COUNTED_TAGS)


def use_markdown_it() -> Counter:
    """Count the elements in the tokens of markdown-it-py."""
    markdown = MarkdownIt("commonmark").enable("table")

    def count(text: str) -> Counts:
        tokens = [part for token in markdown.parse(text) for part in (token, *(token.children or []))]
        tags = [token.tag for token in tokens if token.nesting == 1 and not token.hidden]
        num_blocks = sum(token.type in {"fence", "code_block"} for token in tokens)
        return count_tags([*tags, *["pre"] * num_blocks])

    return count


def use_soup(soup: ModuleType) -> Counter:
    """Count in the paper's way: markdown2 without extras, BeautifulSoup, and the page's text extracted too."""
    from markdown2 import markdown

    def count(text: str) -> Counts:
        try:
            page = soup.BeautifulSoup(markdown(text.strip()), "html.parser")
        except RecursionError:
            return None
        page.get_text()
        return count_tags([tag.name for tag in page.find_all(COUNTED_TAGS)])

    return count


def use_cmark(cmark: ModuleType) -> Counter:
    """Count with cmarkgfm, raw HTML left out; its tags are found as ours are."""

    def count(text: str) -> Counts:
        return count_tags(OPENING_TAG.findall(cmark.markdown_to_html_with_extensions(text, 0, ["table"])))

    return count


def find_counters() -> dict[str, Counter]:
    """Return every counter that is installed here, by name."""
    counters: dict[str, Counter] = {
        COMMONMARK: lambda text: select_elements(count_commonmark(text)),
        PAPER: lambda text: select_elements(count_paper(text)),
        TOKENS: use_markdown_it(),
    }
    for name, module, use in (("cmarkgfm: elements", "cmarkgfm.cmark", use_cmark), (PAPERS_WAY, "bs4", use_soup)):
        try:
            counters[name] = use(import_module(module))
        except ImportError:
            print(f"{name}: left out, {module} is not installed")
    return counters


def measure(counter: Counter, answers: list[str]) -> tuple[list[Counts], float]:
    """Return the counts of a counter, and the CPU seconds that they took."""
    start = time.process_time()
    counts = [counter(text) for text in answers]
    return counts, time.process_time() - start


def print_speeds(counters: dict[str, Counter], answers: list[str]) -> dict[str, list[Counts]]:
    """Print how many answers a second each counter counts; return the counts."""
    counts: dict[str, list[Counts]] = {}
    seconds: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, counter in counters.items():
            counts[name], duration = measure(counter, answers)
            seconds[name] = min(duration, seconds.get(name, duration))
    base = seconds.get(PAPERS_WAY, seconds[PAPER])
    for name, best in seconds.items():
        print(f"{len(answers) / best:10,.0f} answers a second of one core, {base / best:6.1f} times  {name}")
    return counts


def print_equal_shares(counts: dict[str, list[Counts]]) -> None:
    """Print in how many answers our counts equal those of the others."""
    pairs = [(COMMONMARK, name) for name in counts if name != COMMONMARK]
    for one, other in [*pairs, (PAPER, PAPERS_WAY)]:
        if other in counts:
            num_equal = sum(a == b for a, b in zip(counts[one], counts[other], strict=True))
            print(f"{num_equal / len(counts[one]):8.2%} of the answers have the same counts: {one} and {other}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("responses", type=Path)
    parser.add_argument("--answers", type=int, default=1500, help="that every parser counts, evenly spread")
    options = parser.parse_args()
    texts = [text for text in pq.read_table(options.responses)["response"].to_pylist() if text and text.strip()]
    answers = texts[:: max(1, len(texts) // options.answers)]
    print(f"{len(answers)} of {len(texts)} answers, {sum(map(len, answers)) / len(answers):,.0f} characters each")
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    counters = find_counters()
    counts = print_speeds(counters, answers)
    print_equal_shares(counts)
    ours, seconds = measure(counters[COMMONMARK], texts)
    reference, _ = measure(counters[TOKENS], texts)
    num_different = sum(a != b for a, b in zip(ours, reference, strict=True))
    print(f"all {len(texts)}: {len(texts) / seconds:,.0f} a second; {num_different} differ from markdown-it-py")
    print(f"unparsable in the paper's way: {sum(count is None for count in counts[PAPER])} of {len(answers)}")


if __name__ == "__main__":
    main()
