"""Count the verdicts on one DGM, write its digests, and stop the pipeline when too much was dropped.

In:  data/responses/<dgm>/, data/verdicts/<dgm>/, data/ledger/<dgm>/
Out: metrics/gate/<dgm>.json, metrics/digests/dgms/<dgm>.json
"""

from pathlib import Path
from typing import Any

from pydantic import Field

from stages.lib.params import Section, UserError, load
from stages.lib.shards import read_json, sha256_folder, write_json
from stages.lib.shell import run, say

COUNTS = ("conversations", "kept", "missing", "dropped_by", "found")


class Gate(Section):
    """The section `gate`."""

    max_dropped_share: float = Field(ge=0, le=1)
    max_share: dict[str, float]  # of conversations in which a single reason was found


def count(summary: dict[str, Any]) -> dict[str, Any]:
    """The counts that go to git, and the share dropped."""
    conversations, kept = summary["conversations"], summary["kept"]
    share = round(1 - kept / conversations, 4) if conversations else 0.0
    return {name: summary[name] for name in COUNTS} | {"dropped_share": share}


def refuse(dgm: str, summary: dict[str, Any], gate: Gate) -> str:
    """Say what is wrong, with three examples of the most frequent reason, and what to do; empty when all is well."""
    where = f"Look at data/verdicts/{dgm}"
    if summary["unreadable_shards"] or summary["missing"]:
        return (
            f"{dgm}: {summary['unreadable_shards']} shards of responses cannot be read and {summary['missing']} "
            f"prompts have no response. {where}; `dvc repro -f generate@{dgm}` writes them anew from the store"
        )
    conversations, dropped = summary["conversations"], summary["conversations"] - summary["kept"]
    for reason, allowed in gate.max_share.items():
        found = summary["found"].get(reason, 0)
        if found > allowed * conversations:
            return (
                f"{dgm}: {reason} in {found} of {conversations} conversations ({found / conversations:.1%}, allowed "
                f"{allowed:.1%}), as in {named(summary, reason)}. {where}, or raise gate.max_share in params.yaml"
            )
    if dropped <= gate.max_dropped_share * conversations:
        return ""
    reasons = sorted(summary["dropped_by"].items(), key=lambda item: (-item[1], item[0]))
    counted = ", ".join(f"{reason} {number}" for reason, number in reasons)
    return (
        f"{dgm}: {dropped} of {conversations} conversations dropped ({dropped / conversations:.1%}, allowed "
        f"{gate.max_dropped_share:.1%}): {counted}; {reasons[0][0]} as in {named(summary, reasons[0][0])}. "
        f"{where}, or raise gate.max_dropped_share in params.yaml"
    )


def named(summary: dict[str, Any], reason: str) -> str:
    """The examples of a reason, by the start of their hashes."""
    return ", ".join(name[:12] for name in summary["examples"].get(reason, []))


def main(dgm: str) -> None:
    """Write one DGM's counts and digests, or fail when more than the allowed share was dropped."""
    folders = {name: Path("data") / name / dgm for name in ("responses", "verdicts", "ledger")}
    summary = read_json(folders["verdicts"] / "summary.json")
    if refusal := refuse(dgm, summary, load("gate", Gate)):
        raise UserError(refusal)
    if summary["temperature_outside"]:
        say(f"{dgm}: its temperature is outside 0.3 to 1.2, where App. F warns of bad answers")
    counts = count(summary)
    digests = {name: sha256_folder(folder) for name, folder in folders.items()}
    write_json(Path("metrics/digests/dgms") / f"{dgm}.json", {**digests, "kept": counts["kept"]})
    write_json(Path("metrics/gate") / f"{dgm}.json", counts)
    say(f"{dgm}: {counts['kept']} of {counts['conversations']} conversations kept")


if __name__ == "__main__":
    run(main)
