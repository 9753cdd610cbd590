"""Comparison with the paper: the numbers that it prints for the compared models, and ours."""

from stages.lib.report.inputs import Inputs
from stages.lib.report.section import Content, Section, describe_scores


def build(inputs: Inputs) -> Content | None:
    """Read our numbers and the paper's; without a compared model of the paper, the page has no such section."""
    if inputs.is_analysis:
        return None
    tables = inputs.files.read_json(inputs.files.data / "agreement" / "tables.json")
    if not tables.get("paper") and not tables.get("stated"):
        return None
    return Content(
        values={
            "tables": tables["paper"],
            "stated": tables["stated"],
            "conditions": describe_scores(inputs.evaluations),
        }
    )


SECTION = Section(
    name="paper",
    title="Comparison with the paper",
    question="How do our numbers compare with the paper's?",
    sources={"agreement": "all numbers"},
    build=build,
)
