"""An analysis of replies on the screen: what was found, in a few plain lines."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from stages.lib.console.formats import format_counts
from stages.lib.console.shell import log_line
from stages.lib.core.files import ROWS_SUMMARY, read_json
from stages.lib.core.numbers import sum_counts
from stages.lib.core.types import Json
from stages.lib.similarity.pair_scores import PAIRS_FILE


def extremes(pairs: Json) -> Iterator[str]:
    """The two DGMs that reply most alike and those that do so least, by ROUGE-1."""
    scores = {pair.replace(" ", " and "): found["rouge1"]["mean"] for pair, found in pairs.items()}
    scores = {pair: mean for pair, mean in scores.items() if mean is not None}
    if scores:
        for what, choose in (("most", max), ("least", min)):
            pair = choose(scores, key=lambda pair: scores[pair])
            yield f"{what} alike: {pair}, ROUGE-1 {scores[pair]:.3f}"


def read_counts(file: Path) -> Json:
    """A summary; empty when there is none."""
    found: Json = read_json(file) if file.exists() else {}
    return found


def tell(found: Json, gate: Mapping[str, Json], out: Path, seconds: Mapping[str, float]) -> None:
    """Say what was found in a few lines."""
    replies = sum(dgm["imported"] for dgm in found["dgms"].values())
    kept = sum(counts["kept"] for counts in gate.values())
    log_line(f"DGMs: {len(gate)}, prompts: {found['prompts']}, replies: {replies} of {found['rows']} rows")
    log_line(f"rows left out: {format_counts(sum_counts([found['left_out']])) or 'none'}")
    if found["models_without_a_reply"]:
        log_line(f"models without a reply: {', '.join(found['models_without_a_reply'])}")
    dropped = format_counts(sum_counts(counts["dropped_by"] for counts in gate.values()))
    absent = len(gate) * found["prompts"] - replies
    log_line(f"kept by validation: {kept} of {replies}")
    log_line(f"dropped, with {absent} prompts that a DGM did not answer: {dropped or 'none'}")
    for line in extremes(read_json(out / "similarity" / PAIRS_FILE)):
        log_line(line)
    judged = [counts for dgm in gate if (counts := read_counts(out / "judgments" / dgm / ROWS_SUMMARY))]
    if judged:
        statuses = ("ok", "failed", "unanswered")
        log_line(
            f"scores of the judge: {format_counts(sum_counts({key: one[key] for key in statuses} for one in judged))}"
        )
    for part, why in found["skipped"].items():
        log_line(f"no {part}: {why}")
    log_line("seconds: " + ", ".join(f"{part} {took:.0f}" for part, took in seconds.items()))
    log_line(f"the page: {out}/report/index.html")
