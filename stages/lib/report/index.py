"""The report as files: index.html, conversations.html with what it loads, charts/, and the page's numbers."""

import re
from pathlib import Path

from stages.lib.core.files import SUMMARY, write_json
from stages.lib.report.browser import write_browser
from stages.lib.report.inputs import Inputs
from stages.lib.report.page import render
from stages.lib.report.sections import make_page


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
