"""Everything on pages that work offline: no clock, nothing from a network, and equal inputs give equal bytes.

In:  summaries and metrics of the profile's DGMs, runs and compared models, by their ids; the responses, verdicts,
     answers, judgments, evaluations and loss curves that metrics/ names; data/pairwise/
Out: data/report/: index.html, conversations.html with conversations/ (what it loads), charts/ (the charts as files, for
     DVC plots), summary.json (the page's numbers)
"""

import re
from pathlib import Path

from pydantic import Field

from stages.lib.browser import write_browser
from stages.lib.files import SUMMARY, new_folder, write_json
from stages.lib.inputs import DATA, Inputs, read_inputs
from stages.lib.page import render
from stages.lib.sections import PARAMS, Section, read_yaml
from stages.lib.settings import load
from stages.lib.shell import run, say
from stages.lib.shown import make_page


class Report(Section):
    """The section `report`."""

    num_examples: int = Field(ge=0)  # questions with all answers on the page
    num_conversations: int = Field(ge=0)  # of each DGM, the first ones, on the page to read them


def write_report(folder: Path, inputs: Inputs, num_examples: int) -> None:
    """Fill a folder with the pages, the charts and the numbers."""
    page = make_page(inputs, num_examples)
    html = render(Path(__file__).with_suffix(".html"), page)
    (folder / "index.html").write_text(html, encoding="utf-8", newline="\n")
    collections = [collection for collection in inputs.collections if collection.models]
    if collections:
        write_browser(folder, collections, f"Rewild {inputs.profile}")
    (folder / "charts").mkdir()
    for section, drawn in page["charts"].items():
        for name, svg in drawn.items():
            file = folder / "charts" / re.sub(r"[^\w.-]", "_", f"{section}-{name}.svg")
            file.write_text(svg, encoding="utf-8", newline="\n")
    numbers = {key: page[key] for key in ("benchmarks", "families", "flow", "shortages", "skipped")}
    write_json(folder / SUMMARY, {"profile": inputs.profile, **numbers})


def main() -> None:
    """Write the report of what the pipeline made."""
    report = load("report", Report)
    inputs = read_inputs(read_yaml(PARAMS), report.num_conversations)
    with new_folder(DATA / "report") as folder:
        write_report(folder, inputs, report.num_examples)
    say("data/report/index.html: open it in a browser")


if __name__ == "__main__":
    run(main)
