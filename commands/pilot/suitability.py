"""Which DGM suits which base model, from the pilot's conversations: scored as the stage `suitability` scores them."""

from collections.abc import Mapping, Sequence

from stages.lib.console.formats import align_columns, format_count, format_counts
from stages.lib.console.shell import log_line
from stages.lib.core.types import Json, Row
from stages.lib.models.catalogue import load_model
from stages.lib.report.findings import show_cell
from stages.lib.settings.reading import load
from stages.lib.settings.sections import Suitability, Train
from stages.lib.suitability.kept_chats import Chats, to_chats
from stages.lib.suitability.ratio import describe_suitability, sort_by_place
from stages.lib.suitability.scores import Scorer

HEAD = ("DGM", "place", "ratio", "surprisal", "rank", "tokens", "too long", "conversations")
NOTE = (
    "Rank-Surprisal Ratio: lower predicts a better teacher, shown for reasoning in mathematics (arXiv 2601.14249),",
    "not for chat. 95 % intervals over prompts; too long: for train.sequence_length.",
)


def keep_chats(rows: Sequence[Row], verdicts: Sequence[Row]) -> Chats:
    """Return the conversations (rows of RESPONSE) that their verdicts keep, as chats."""
    return to_chats(row for row, verdict in zip(rows, verdicts, strict=True) if verdict["keep"])


def predict_order(chats: Mapping[str, Chats], base: str, settings: Suitability) -> list[str]:
    """Return as lines how well the first kept conversations of each DGM suit a base model, the best first."""
    return format_order(base, measure_suitability(chats, base, settings))


def measure_suitability(chats: Mapping[str, Chats], base: str, settings: Suitability) -> dict[str, Json]:
    """Measure how well the first kept conversations of each DGM suit a base model."""
    scorer = Scorer(load_model(base), load(Train).sequence_length, settings.device)
    firsts = {dgm: dict([*each.items()][: settings.num_conversations]) for dgm, each in chats.items()}
    scores = {
        dgm: dict(zip(each, scorer.score([*each.values()], dgm), strict=True)) for dgm, each in firsts.items() if each
    }
    for dgm in chats.keys() - scores.keys():
        log_line(f"{dgm}: none of its conversations is kept, so {base} reads none")
    return describe_suitability(scores, settings.resamples, settings.seed)


def format_order(base: str, dgms: Mapping[str, Json]) -> list[str]:
    """Format the numbers of each DGM as a table, in the predicted order."""
    known = {dgm: each for dgm, each in dgms.items() if each["ratio"]["value"] is not None}
    rows = [HEAD, *(format_row(dgm, each) for dgm, each in sort_by_place(known).items())]
    missing = [
        f"no score of {dgm}: {format_counts(each['left_out'])}" for dgm, each in dgms.items() if dgm not in known
    ]
    return [f"Which DGM suits {base}?", *align_columns(rows), *missing, *NOTE]


def format_row(dgm: str, numbers: Json) -> tuple[str, ...]:
    """Format the numbers of one DGM."""
    return (
        dgm,
        show_cell(numbers["place"], 0),
        *(show_cell(numbers[name]) for name in ("ratio", "surprisal", "rank", "tokens")),
        f"{numbers['beyond_window']['value']:.1%}",
        format_count(numbers["conversations"]),
    )
