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


class Gate(Section):
    """The section `gate`."""

    max_dropped_share: float = Field(ge=0, le=1)


def count(summary: dict[str, Any]) -> dict[str, Any]:
    """The counts that go to git: conversations, kept, the share dropped, and drops by reason."""
    conversations, kept = summary["conversations"], summary["kept"]
    share = round(1 - kept / conversations, 4) if conversations else 0.0
    return {**summary, "dropped_share": share}


def refuse(dgm: str, counts: dict[str, Any], allowed: float) -> str:
    """Say that too much was dropped, why, and what to do; empty when all is well."""
    if counts["dropped_share"] <= allowed:
        return ""
    reasons = sorted(counts["dropped_by"].items(), key=lambda item: -item[1])
    named = ", ".join(f"{reason} {number}" for reason, number in reasons)
    dropped = counts["conversations"] - counts["kept"]
    return (
        f"{dgm}: {dropped} of {counts['conversations']} conversations dropped ({counts['dropped_share']:.1%}, allowed "
        f"{allowed:.1%}): {named}. Look at data/verdicts/{dgm}, or raise gate.max_dropped_share in params.yaml"
    )


def main(dgm: str) -> None:
    """Write one DGM's counts and digests, or fail when more than the allowed share was dropped."""
    folders = {name: Path("data") / name / dgm for name in ("responses", "verdicts", "ledger")}
    counts = count(read_json(folders["verdicts"] / "summary.json"))
    refusal = refuse(dgm, counts, load("gate", Gate).max_dropped_share)
    if refusal:
        raise UserError(refusal)
    digests = {name: sha256_folder(folder) for name, folder in folders.items()}
    write_json(Path("metrics/digests/dgms") / f"{dgm}.json", {**digests, "kept": counts["kept"]})
    write_json(Path("metrics/gate") / f"{dgm}.json", counts)
    say(f"{dgm}: {counts['kept']} of {counts['conversations']} conversations kept")


if __name__ == "__main__":
    run(main)
