"""The colours of models and data sets, the same in every chart of a page."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle

from matplotlib.colors import to_hex, to_rgb

PALETTE = ("#d55e00", "#0072b2", "#009e73", "#d98f00", "#45a3dc", "#cc79a7", "#8a6d3b")  # after Okabe and Ito
GREY = "#8a8f98"  # base models where there are few models; models beyond the last colour where there are many
TONES = (("#000000", 0.3), ("#ffffff", 0.42), (GREY, 0.6))  # mixed with a DGM's colour, for its fine-tunes


def assign_colours(names: Iterable[str]) -> dict[str, str]:
    """Return a colour for each line of one chart, in turn: after the last colour comes the first again."""
    return dict(zip(names, cycle(PALETTE), strict=False))


def colour_models(
    dgms: Iterable[str], only_dgms: Mapping[str, str], others: Iterable[str], important: Iterable[str] = ()
) -> dict[str, str]:
    """Return a colour for each model: a DGM has its own, a fine-tune on one DGM a darker, lighter or greyer tone of it.

    `only_dgms` names the only DGM of a run by run; `others` (runs on several, auxiliary sets) have the colours that are
    left. With more names than colours, the first of the `important` models (a fine-tune by its only DGM) have them.
    Nobody shares a colour: the other models are grey, and the labels of the charts tell them apart.
    """
    names = list(dict.fromkeys([*dgms, *(other for other in others if other not in only_dgms)]))
    if has_too_few_colours(names):
        names = list(dict.fromkeys([*(only_dgms.get(model, model) for model in important), *names]))
    colours = dict(zip(names, PALETTE, strict=False))
    num_tones: dict[str, int] = {}
    for run, dgm in only_dgms.items():
        number = num_tones[dgm] = num_tones.get(dgm, -1) + 1
        if dgm in colours and number < len(TONES):
            colours[run] = mix_colours(colours[dgm], *TONES[number])
    return dict.fromkeys([*names, *only_dgms], GREY) | colours


def has_too_few_colours(names: Sequence[str]) -> bool:
    """Return whether there are more names than colours."""
    return len(names) > len(PALETTE)


def mix_colours(one: str, other: str, share: float) -> str:
    """Mix two colours; `share` is that of the other one."""
    return str(to_hex([(1 - share) * a + share * b for a, b in zip(to_rgb(one), to_rgb(other), strict=True)]))
