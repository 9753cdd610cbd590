"""The chart of a comparison: every difference on its interval, in units of the margin within which both are equal."""

from collections.abc import Sequence

from matplotlib import style

from commands.compare.lines import Line, format_value
from stages.lib.report.palette import GREY, PALETTE
from stages.lib.report.svg import PALE, STYLE, new_row_chart, to_svg, write_value
from stages.lib.statistics.verdicts import Verdict

ONE, OTHER, EQUIVALENT = PALETTE[0], PALETTE[1], PALETTE[2]
COLOURS = {
    Verdict.BETTER: ONE,
    Verdict.WORSE: OTHER,
    Verdict.EQUIVALENT: EQUIVALENT,
    Verdict.NOT_DECIDED: GREY,
}


@style.context(STYLE, after_reset=True)
def plot_differences(lines: Sequence[Line], title: str) -> str:
    """Plot the difference of each line on its 95 % interval, over the band of its margin, -1 to 1."""
    figure, axes = new_row_chart([line.name for line in lines])
    axes.axvspan(-1, 1, color=EQUIVALENT, alpha=0.12, linewidth=0)
    axes.axvline(0, color=PALE, linewidth=1)
    for row, line in enumerate(lines):
        write_value(axes, row, format_value(line.difference["value"], line.unit, signed=True))
        value, ci95, colour = line.difference["value"], line.difference["ci95"], COLOURS[line.verdict]
        unit = line.margin or 1.0
        if ci95:
            ends = [end / unit for end in ci95]
            axes.plot(ends, [row, row], color=colour, linewidth=5, alpha=0.45, solid_capstyle="round")
        axes.plot([value / unit], [row], "o", color=colour, markersize=8)
    most = max([1.5, *(abs(end) for end in axes.get_xlim())])
    axes.set_xlim(-most, most)
    return to_svg(figure, title)
