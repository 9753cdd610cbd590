"""The summary of an analysis as lines on the screen."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from stages.lib.console.formats import format_counts
from stages.lib.console.shell import log_line
from stages.lib.core.files import ROWS_SUMMARY, read_json
from stages.lib.core.numbers import sum_counts
from stages.lib.core.types import Json
from stages.lib.judging.judge_replies import STATUSES
from stages.lib.similarity.pair_scores import PAIRS_FILE


def print_summary(analysis: Json, gate: Mapping[str, Json], out: Path, seconds: Mapping[str, float]) -> None:
    """Print the summary of a complete analysis: `analysis` is analysis.json, `gate` the counts of validation by DGM."""
    for line in (
        *describe_rows(analysis, gate),
        *describe_extremes(read_json(out / "similarity" / PAIRS_FILE)),
        *describe_scores(out, gate),
        *(f"no {part}: {reason}" for part, reason in analysis["skipped"].items()),
        "seconds: " + ", ".join(f"{part} {duration:.0f}" for part, duration in seconds.items()),
        f"the page: {out}/report/index.html",
    ):
        log_line(line)


def describe_rows(analysis: Json, gate: Mapping[str, Json]) -> Iterator[str]:
    """Describe the rows that were read, left out, kept and dropped."""
    num_replies = sum(dgm["imported"] for dgm in analysis["dgms"].values())
    num_unanswered = len(gate) * analysis["prompts"] - num_replies
    num_kept = sum(counts["kept"] for counts in gate.values())
    dropped = format_counts(sum_counts(counts["dropped_by"] for counts in gate.values()))
    yield f"DGMs: {len(gate)}, prompts: {analysis['prompts']}, replies: {num_replies} of {analysis['rows']} rows"
    yield f"rows left out: {format_counts(sum_counts([analysis['left_out']])) or 'none'}"
    if analysis["models_without_a_reply"]:
        yield f"models without a reply: {', '.join(analysis['models_without_a_reply'])}"
    yield f"kept by validation: {num_kept} of {num_replies}"
    yield f"dropped, including {num_unanswered} prompts that a DGM did not answer: {dropped or 'none'}"


def describe_extremes(pairs: Json) -> Iterator[str]:
    """Name the two DGMs that reply most alike and the two that reply least alike, by ROUGE-1."""
    scores = {pair.replace(" ", " and "): moments["rouge1"]["mean"] for pair, moments in pairs.items()}
    scores = {pair: mean for pair, mean in scores.items() if mean is not None}
    if scores:
        for degree, choose in (("most", max), ("least", min)):
            pair = choose(scores, key=lambda pair: scores[pair])
            yield f"{degree} alike: {pair}, ROUGE-1 {scores[pair]:.3f}"


def describe_scores(out: Path, dgms: Mapping[str, Json]) -> Iterator[str]:
    """Describe how many judgments have a score, if there are any."""
    files = (out / "judgments" / dgm / ROWS_SUMMARY for dgm in dgms)
    judged = [read_json(file) for file in files if file.exists()]
    if judged:
        counts = sum_counts({status: summary[status] for status in STATUSES} for summary in judged)
        yield f"scores of the judge: {format_counts(counts)}"
