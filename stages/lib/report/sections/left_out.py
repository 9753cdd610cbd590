"""Left out: source rows that became no prompt, and conversations that validation dropped, by reason."""

from collections.abc import Mapping

from stages.lib.core.files import ROWS_SUMMARY
from stages.lib.core.numbers import sum_counts
from stages.lib.core.types import Json
from stages.lib.report.inputs import Inputs
from stages.lib.report.section import Content, Section
from stages.lib.statistics.intervals import share_interval


def build(inputs: Inputs) -> Content:
    """Read the counts of prompts and of conversations by reason."""
    values = {
        "prompts": inputs.files.read_json(inputs.files.data / "prompts" / ROWS_SUMMARY),
        "gate": sort_by_dropped(inputs.gate),
        "reasons": list(sum_counts(gate["found"] for gate in inputs.gate.values())),
        "reported_only": find_reported_only(inputs.gate),
        "has_cuts": any(gate["cut"] for gate in inputs.gate.values()),
        "not_checked": group_not_checked(inputs.gate),
    }
    return Content(values=values, finding=describe_losses(inputs.gate))


def describe_losses(gates: Mapping[str, Json]) -> str:
    """Say which share of the conversations validation dropped, with its exact interval, and for which reason most."""
    total = sum(gate["conversations"] for gate in gates.values())
    if not total:
        return ""
    dropped = total - sum(gate["kept"] for gate in gates.values())
    ends = [f"{100 * end:.1f}" for end in share_interval(dropped, total) or []]
    reasons = sum_counts(gate["dropped_by"] for gate in gates.values())
    most = f"; the most frequent reason is {max(reasons, key=lambda name: reasons[name])}" if reasons else ""
    share = f"{100 * dropped / total:.1f} % ({' to '.join(ends)} %)"
    return f"Validation dropped {dropped:,} of {total:,} conversations, {share}{most}."


def sort_by_dropped(gates: Mapping[str, Json]) -> dict[str, Json]:
    """Sort the counts of DGMs by the share of conversations that was dropped, the largest first."""
    return dict(sorted(gates.items(), key=lambda item: item[1]["kept"] / (item[1]["conversations"] or 1)))


def find_reported_only(gates: Mapping[str, Json]) -> list[str]:
    """Return the reasons that dropped no conversation of any DGM."""
    dropping = {reason for gate in gates.values() for reason in gate["dropped_by"]}
    return [reason for reason in sum_counts(gate["found"] for gate in gates.values()) if reason not in dropping]


def group_not_checked(gates: Mapping[str, Json]) -> dict[int, list[str]]:
    """Return the reasons that could not be checked, by the number of such conversations, the largest first."""
    reasons: dict[int, list[str]] = {}
    for reason, count in sum_counts(gate.get("not_checked", {}) for gate in gates.values()).items():
        reasons.setdefault(count, []).append(reason)
    return reasons


SECTION = Section(
    name="left-out",
    title="Left out",
    question="What was left out, and why?",
    sources={"prompts": "source rows", "gate": "conversations", "verdicts": "conversations"},
    build=build,
)
