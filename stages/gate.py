"""Count the verdicts on one DGM, write its digests, and stop the pipeline if too much was dropped.

In:  data/responses/<dgm>/, data/verdicts/<dgm>/, data/ledger/<dgm>/
Out: metrics/gate/<dgm>.json, metrics/digests/dgms/<dgm>.json
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from stages.lib.console.errors import UserError
from stages.lib.console.formats import format_counts
from stages.lib.console.shell import log_line
from stages.lib.core.artifacts import DIGESTS
from stages.lib.core.files import ROWS_SUMMARY, read_json, sha256_folder, write_json
from stages.lib.core.numbers import sum_counts
from stages.lib.records.responses import UNANSWERED
from stages.lib.settings.reading import load, run
from stages.lib.settings.sections import Gate

CUT = "finish_length"  # the reason of a conversation with a reply that ended at the token limit
COUNTS = ("conversations", "kept", "missing", "dropped_by", "found", "not_checked")


def count_verdicts(summary: dict[str, Any], finish_reasons: Mapping[str, int]) -> dict[str, Any]:
    """Return the counts that go to git, the share dropped, and the share of conversations with each reason.

    `finish_reasons` counts turns: `replies` are those that were answered, `cut` those that ended at the token limit.
    """
    replies = sum(number for name, number in finish_reasons.items() if name not in UNANSWERED)
    shares = {reason: to_share(number, summary) for reason, number in summary["found"].items()}
    describe_dropped = to_share(summary["conversations"] - summary["kept"], summary)
    counts = {name: summary[name] for name in COUNTS} | {"replies": replies, "cut": finish_reasons.get("length", 0)}
    return counts | {"dropped_share": describe_dropped, "found_share": shares}


def to_share(number: int, summary: dict[str, Any]) -> float:
    """Divide a number of conversations by all of them."""
    return round(number / max(int(summary["conversations"]), 1), 4)


def find_stop_reason(dgm: str, summary: dict[str, Any], gate: Gate) -> str:
    """Return the reason to stop, with three examples and what to do; empty if there is none."""
    where = f"Look at data/verdicts/{dgm}"
    if not summary["conversations"] or summary["unreadable_shards"] or summary["missing"]:
        return (
            f"{dgm}: {summary['unreadable_shards']} of {summary['shards']} shards of responses cannot be read and "
            f"{summary['missing']} prompts have no response. {where}/.shards.json; `dvc repro -f generate@{dgm}` "
            "writes them again from the store"
        )
    if excesses := "; ".join(describe_excesses(summary, gate)):
        cut = advise_on_cuts(reason for reason in gate.max_share if reason in excesses)
        return f"{dgm}: {excesses}. {where}, {cut}or raise gate.max_share in params.yaml"
    if summary["conversations"] - summary["kept"] > gate.max_dropped_share * summary["conversations"]:
        cut = advise_on_cuts(summary["dropped_by"])
        return f"{dgm}: {describe_dropped(summary, gate)}. {where}, {cut}or raise gate.max_dropped_share in params.yaml"
    return ""


def advise_on_cuts(reasons: Iterable[str]) -> str:
    """Say what to do where replies were cut at the token limit; empty where that is none of the reasons."""
    return "raise generate.max_tokens, allow `length` in validate.finish_reasons, " if CUT in reasons else ""


def describe_excesses(summary: dict[str, Any], gate: Gate) -> Iterator[str]:
    """Describe each reason that more conversations gave than its limit allows, with examples."""
    conversations = summary["conversations"]
    for reason, allowed in gate.max_share.items():
        number = summary["found"].get(reason, 0)
        if number > allowed * conversations:
            yield (
                f"{reason} in {number} of {conversations} conversations ({number / conversations:.1%}, allowed "
                f"{allowed:.1%}), as in {list_examples(summary, reason)}"
            )


def describe_dropped(summary: dict[str, Any], gate: Gate) -> str:
    """Describe how many conversations were dropped, by reason, the most frequent first and with examples."""
    conversations = summary["conversations"]
    number = conversations - summary["kept"]
    reasons = sum_counts([summary["dropped_by"]])
    first = next(iter(reasons))
    return (
        f"{number} of {conversations} conversations dropped ({number / conversations:.1%}, allowed "
        f"{gate.max_dropped_share:.1%}): {format_counts(reasons)}; "
        f"{first} as in {list_examples(summary, first)}"
    )


def list_examples(summary: dict[str, Any], reason: str) -> str:
    """List the examples of a reason by the first 12 characters of their hashes."""
    return ", ".join(name[:12] for name in summary["examples"].get(reason, []))


READS = ("gate",)


def main(dgm: str) -> None:
    """Write one DGM's counts and digests; fail if too much was dropped."""
    folders = {name: Path("data") / name / dgm for name in ("responses", "verdicts", "ledger")}
    summary = read_json(folders["verdicts"] / ROWS_SUMMARY)
    if stop_reason := find_stop_reason(dgm, summary, load(Gate)):
        raise UserError(stop_reason)
    if summary["temperature_outside"]:
        log_line(f"{dgm}: its temperature is outside 0.3 to 1.2, where App. F warns of bad answers")
    counts = count_verdicts(summary, read_json(folders["responses"] / ROWS_SUMMARY)["finish_reasons"])
    digests = {name: sha256_folder(folder) for name, folder in folders.items()}
    write_json(DIGESTS / "dgms" / f"{dgm}.json", {**digests, "kept": counts["kept"]})
    write_json(Path("metrics/gate") / f"{dgm}.json", counts)
    log_line(f"{dgm}: {counts['kept']} of {counts['conversations']} conversations kept")


if __name__ == "__main__":
    run(main)
