"""Count the verdicts on one DGM, write its digests, and stop the pipeline when too much was dropped.

In:  data/responses/<dgm>/, data/verdicts/<dgm>/, data/ledger/<dgm>/
Out: metrics/gate/<dgm>.json, metrics/digests/dgms/<dgm>.json
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.lib.console.errors import UserError
from stages.lib.console.formats import format_counts
from stages.lib.console.shell import log_line
from stages.lib.core.files import ROWS_SUMMARY, read_json, sha256_folder, write_json
from stages.lib.core.numbers import sum_counts
from stages.lib.settings.reading import load, run
from stages.lib.settings.sections import Gate

COUNTS = ("conversations", "kept", "missing", "dropped_by", "found", "not_checked")


def count(summary: dict[str, Any]) -> dict[str, Any]:
    """The counts that go to git, the share dropped, and the share in which each reason was found."""
    shares = {reason: share(number, summary) for reason, number in summary["found"].items()}
    dropped = share(summary["conversations"] - summary["kept"], summary)
    return {name: summary[name] for name in COUNTS} | {"dropped_share": dropped, "found_share": shares}


def share(number: int, summary: dict[str, Any]) -> float:
    """So many of the conversations, as a share."""
    return round(number / max(int(summary["conversations"]), 1), 4)


def refuse(dgm: str, summary: dict[str, Any], gate: Gate) -> str:
    """Say what is wrong, with three examples, and what to do; empty when all is well."""
    where = f"Look at data/verdicts/{dgm}"
    if not summary["conversations"] or summary["unreadable_shards"] or summary["missing"]:
        return (
            f"{dgm}: {summary['unreadable_shards']} of {summary['shards']} shards of responses cannot be read and "
            f"{summary['missing']} prompts have no response. {where}/.shards.json; `dvc repro -f generate@{dgm}` "
            "writes them again from the store"
        )
    if over := "; ".join(reasons_over(summary, gate)):
        return f"{dgm}: {over}. {where}, or raise gate.max_share in params.yaml"
    if summary["conversations"] - summary["kept"] > gate.max_dropped_share * summary["conversations"]:
        return f"{dgm}: {dropped(summary, gate)}. {where}, or raise gate.max_dropped_share in params.yaml"
    return ""


def reasons_over(summary: dict[str, Any], gate: Gate) -> Iterator[str]:
    """Each reason that was found in more than its share of the conversations, with examples."""
    conversations = summary["conversations"]
    for reason, allowed in gate.max_share.items():
        found = summary["found"].get(reason, 0)
        if found > allowed * conversations:
            yield (
                f"{reason} in {found} of {conversations} conversations ({found / conversations:.1%}, allowed "
                f"{allowed:.1%}), as in {named(summary, reason)}"
            )


def dropped(summary: dict[str, Any], gate: Gate) -> str:
    """How many conversations were dropped, by reason, the most frequent first and with examples."""
    conversations, number = summary["conversations"], summary["conversations"] - summary["kept"]
    reasons = sum_counts([summary["dropped_by"]])
    first = next(iter(reasons))
    return (
        f"{number} of {conversations} conversations dropped ({number / conversations:.1%}, allowed "
        f"{gate.max_dropped_share:.1%}): {format_counts(reasons)}; "
        f"{first} as in {named(summary, first)}"
    )


def named(summary: dict[str, Any], reason: str) -> str:
    """The examples of a reason, by the start of their hashes."""
    return ", ".join(name[:12] for name in summary["examples"].get(reason, []))


READS = ("gate",)


def main(dgm: str) -> None:
    """Write one DGM's counts and digests, or fail when more than the allowed share was dropped."""
    folders = {name: Path("data") / name / dgm for name in ("responses", "verdicts", "ledger")}
    summary = read_json(folders["verdicts"] / ROWS_SUMMARY)
    if refusal := refuse(dgm, summary, load(Gate)):
        raise UserError(refusal)
    if summary["temperature_outside"]:
        log_line(f"{dgm}: its temperature is outside 0.3 to 1.2, where App. F warns of bad answers")
    counts = count(summary)
    digests = {name: sha256_folder(folder) for name, folder in folders.items()}
    write_json(Path("metrics/digests/dgms") / f"{dgm}.json", {**digests, "kept": counts["kept"]})
    write_json(Path("metrics/gate") / f"{dgm}.json", counts)
    log_line(f"{dgm}: {counts['kept']} of {counts['conversations']} conversations kept")


if __name__ == "__main__":
    run(main)
