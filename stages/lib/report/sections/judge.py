"""Judge: the scores and choices of a judge, flips between a DGM and its fine-tune, and the words of the judgments."""

from collections.abc import Mapping, Sequence

from stages.lib.core.files import ROWS_SUMMARY
from stages.lib.core.names import NOBODY_JUDGED
from stages.lib.core.numbers import num_decimals
from stages.lib.core.types import Json
from stages.lib.judging.words.significant_words import split_by_side, word_label
from stages.lib.report.findings import find_extremes, find_leader, rank_cells, to_sentence
from stages.lib.report.inputs import Inputs
from stages.lib.report.section import Chart, Content, Section, cell_of, find_best, find_winner
from stages.lib.report.svg import plot_intervals, plot_opposed_bars
from stages.lib.report.tables.heat import HeatCell, HeatMap, shade_difference

NUM_WORDS = 10  # of each side, on the chart
MOST_PAIRS = 30  # of models, in the table of words


def build(inputs: Inputs) -> Content:
    """Read the judge's scores and what `preference` made of them."""
    if "preference" in inputs.absent:
        return Content(skipped=inputs.absent["preference"])
    files = inputs.files
    preference = files.read_json(files.data / "preference" / "tables.json")
    words = files.read_rows(files.data / "preference" / "words_by_winner_of_all")
    counts = files.read_json_of(inputs.compare, files.metrics / "judge")
    scores = preference.get("models", {})
    models = sort_by_score(inputs.compare or [dgm for dgm in inputs.dgms if dgm in scores], scores)
    by_score, by_choice = preference.get("by_score", {}), preference.get("side_by_side", {}).get("pairs", {})
    return Content(
        values={
            "counts": counts,
            "preference": preference,
            "models": models,
            "decimals": num_decimals(list(make_cells(scores, models).values())),
            "rate_decimals": count_rate_decimals([*by_score.values(), *by_choice.values()]),
            "map": map_scores(models, by_score),
            "choices_map": map_choices(models, by_choice),
            "stop": (stop := preference.get("side_by_side", {}).get("stop")),
            "num_questions": len(by_choice) * stop["questions"] if stop else 0,
            "best": find_preferred(inputs, scores, models),
            "cut": count_cut_answers(inputs),
            "word_pairs": sort_word_pairs(preference),
        },
        charts=draw_scores(scores, models, inputs.colours) | draw_words(words),
        finding=find_favourite(inputs, scores, models),
        gaps=[
            f"The judge's score of {model}: {count['failed']} judgments are missing"
            for model, count in counts.items()
            if count["failed"]
        ],
        skipped="" if any(score["mean"] is not None for score in scores.values()) else explain_absence(counts),
    )


def sort_by_score(models: list[str], scores: Mapping[str, Json]) -> list[str]:
    """Sort models by their mean score, the highest first, those without one last."""
    ranked = rank_cells(make_cells(scores, models))
    return [*ranked, *(model for model in models if model not in ranked)]


def find_preferred(inputs: Inputs, scores: Mapping[str, Json], models: list[str]) -> str | None:
    """Return the model that the judge scores better than every other one, by the verdicts on every two.

    An analysis has no verdicts: there it is the one whose interval lies above all others.
    """
    if inputs.is_analysis or not inputs.compare:
        return find_best(make_cells(scores, models))
    tables = inputs.files.read_json(inputs.files.data / "differences" / "tables.json")
    return find_winner(inputs.compare, tables["judge"])


def find_favourite(inputs: Inputs, scores: Mapping[str, Json], models: list[str]) -> str:
    """Say whom the judge scores highest: with the verdicts where there are some, else with the lowest beside it."""
    cells = make_cells(scores, models)
    if inputs.is_analysis or not inputs.compare:
        return to_sentence(find_extremes(cells, "has the highest mean score", "has the lowest", "has mean score"))
    tables = inputs.files.read_json(inputs.files.data / "differences" / "tables.json")
    return to_sentence(find_leader(cells, tables["judge"], "mean score"))


def count_cut_answers(inputs: Inputs) -> dict[str, int]:
    """Return how many answers of each compared model ended at the token limit, where some did."""
    folders = {model: inputs.files.find_compared(model, "answers") for model in inputs.compare}
    summaries = {model: inputs.files.read_json(folder / ROWS_SUMMARY) for model, folder in folders.items()}
    counts = {model: summary["finish_reasons"].get("length", 0) for model, summary in summaries.items()}
    return {model: count for model, count in counts.items() if count}


def explain_absence(counts: Mapping[str, Json]) -> str:
    """Say why no reply has a score."""
    is_skipped = any(count["status"] == "skipped" for count in counts.values())
    return NOBODY_JUDGED if is_skipped else "no reply has a score"


def sort_word_pairs(preference: Json) -> list[tuple[str, Json]]:
    """Return the pairs of models whose judgments differ in words, those with most such words first."""
    pairs = preference.get("words", {}).get("pairs", {})
    different = [(names, pair) for names, pair in pairs.items() if pair["by_winner"]["different"]]
    return sorted(different, key=lambda item: -int(item[1]["by_winner"]["different"]))[:MOST_PAIRS]


def make_cells(scores: Mapping[str, Json], models: list[str]) -> dict[str, Json]:
    """Return the mean score of every model that the judge scored, with its interval."""
    return {model: cell_of(scores[model]["mean"], scores[model]["ci95"]) for model in models if model in scores}


def map_scores(models: list[str], pairs: Mapping[str, Json]) -> HeatMap:
    """Return how often each model scores higher than each other one, shaded by how much more often than lower."""
    return map_rates(models, pairs, "row scores higher, %", "against")


def map_choices(models: list[str], pairs: Mapping[str, Json]) -> HeatMap | None:
    """Return how often the judge prefers each model to each other one, where it chose between more than one pair."""
    return map_rates(models, pairs, "row preferred, %", "against") if len(pairs) > 1 else None


def map_rates(models: list[str], pairs: Mapping[str, Json], corner: str, between: str) -> HeatMap:
    """Return the shares that the rows' models win against the columns', from pairs (`one other`)."""
    known = [model for model in models if any(model in pair.split(" ") for pair in pairs)]
    decimals = count_rate_decimals(list(pairs.values()))
    rows = {one: {other: find_rate(pairs, one, other, decimals) for other in known if other != one} for one in known}
    return HeatMap(corner, between, rows, ("row always loses", "row always wins"), is_signed=True)


def count_rate_decimals(pairs: Sequence[Json]) -> int:
    """Return how many decimals of a percentage the intervals of the shares of pairs support, at most one."""
    cells = [cell_of(None, pair["ci95"]) for pair in pairs]
    return min(
        num_decimals([cell | {"ci95": [100 * end for end in cell["ci95"]]} for cell in cells if cell["ci95"]]), 1
    )


def find_rate(pairs: Mapping[str, Json], one: str, other: str, decimals: int) -> HeatCell | None:
    """Return the share of turns that one model wins against another, whichever of them the pair names first."""
    straight, turned = pairs.get(f"{one} {other}"), pairs.get(f"{other} {one}")
    pair = straight or turned
    if not pair or not pair["turns"]:
        return None
    won, lost = (pair["rate"], pair["rate_other"]) if straight else (pair["rate_other"], pair["rate"])
    ties = f"{100 * pair['ties'] / pair['turns']:.{decimals}f} tied"
    return HeatCell(
        f"{100 * won:.{decimals}f}", shade_difference(won - lost, 1), lines=[ties, f"n = {pair['turns']:,}"]
    )


def draw_scores(scores: Mapping[str, Json], models: list[str], colours: Mapping[str, str]) -> dict[str, Chart]:
    """Draw the judge's mean score of every model that has one, on its interval."""
    cells = {model: cell for model, cell in make_cells(scores, models).items() if cell["value"] is not None}
    if not cells:
        return {}
    chart = Chart(
        plot_intervals(cells, colours, "the judge's score by model"),
        title="The judge's mean score",
        note="1 to 10, 95 % interval",
    )
    return {"judge-score": chart}


def draw_words(words: list[Json]) -> dict[str, Chart]:
    """Draw the words that differ most surely between judgments of the winner and of the loser."""
    rows = choose_words(words)
    if not rows:
        return {}
    chart = Chart(
        plot_opposed_bars(rows, "words of the judgments by winner"),
        title=name_surest(rows),
        note="judgments that use the word of the preferred reply only (right) or of the other reply only (left), "
        "one pair of judgments per question",
    )
    return {"judge-words": chart}


def choose_words(words: list[Json]) -> list[tuple[str, int, int]]:
    """Return (word, loser, winner) of the surest words of either side: how many judgments of that one alone have it."""
    return [
        (word_label(word), word["only_loser"], word["only_winner"])
        for side in split_by_side(words, "only_winner", "only_loser")
        for word in side[:NUM_WORDS]
    ]


def name_surest(rows: list[tuple[str, int, int]]) -> str:
    """Name the surest word of each side in a sentence."""
    sides = {
        "winners": [word for word, loser, winner in rows if winner > loser],
        "losers": [word for word, loser, winner in rows if winner < loser],
    }
    parts = [f"“{words[0]}” of {side}" for side, words in sides.items() if words]
    return f"Judgments say {', '.join(parts)}"


SECTION = Section(
    name="judge",
    title="Judge",
    question="What does a judge prefer?",
    sources={"preference": "scores, rates, flips, words", "judge": "missing judgments"},
    build=build,
)
