"""Everything on pages that work offline: no clock, nothing from a network, and equal inputs give equal bytes.

In:  summaries and metrics of the profile's DGMs, runs and compared models, by their ids; the responses, verdicts,
     answers, judgments, evaluations and loss curves that metrics/ names; data/pairwise/
Out: data/report/: index.html, conversations.html and samples.html, each with the folder of what it loads, charts/ (the
     charts as files, for DVC plots), summary.json (the page's numbers)
"""

from pathlib import Path

from stages.lib.console.shell import log_line
from stages.lib.core.files import new_folder
from stages.lib.report.index import write_report
from stages.lib.report.inputs import read_inputs
from stages.lib.settings.reading import load, load_value, run
from stages.lib.settings.sections import Report

READS = ("report", "profile", "dgms", "compare")
OUT = Path("data/report")


def main() -> None:
    """Write the report of what the pipeline made."""
    inputs = read_inputs(load_value("profile"), load_value("dgms"), load_value("compare"), load(Report))
    with new_folder(OUT) as folder:
        write_report(folder, inputs)
    log_line(f"{OUT}/index.html: open it in a browser")


if __name__ == "__main__":
    run(main)
