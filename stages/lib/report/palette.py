"""The colours of models and data sets, the same in every chart of a page."""

from collections.abc import Iterable
from itertools import cycle

PALETTE = ("#d55e00", "#0072b2", "#009e73", "#d98f00", "#45a3dc", "#cc79a7", "#8a6d3b")  # after Okabe and Ito
GREY = "#8a8f98"  # models that were not fine-tuned here


def assign_colours(names: Iterable[str]) -> dict[str, str]:
    """Return a colour for each name, in turn: after the last colour comes the first again."""
    return dict(zip(names, cycle(PALETTE), strict=False))
