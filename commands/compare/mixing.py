"""Two DGMs on the same prompts: may the rows of both be mixed?"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from commands.compare.lines import Key, Line, Unit, align_values, lines_of, mean_cell
from commands.compare.replies import Replies, count_replies
from commands.compare.scores import JUDGE
from commands.compare.sides import Side
from commands.compare.style import mean_of
from stages.differences import to_rows
from stages.lib.console.errors import UserError
from stages.lib.core.files import read_json
from stages.lib.core.pairs import Pair
from stages.lib.core.types import Floats, Json, Row
from stages.lib.judging.judgment_grid import JudgmentGrid
from stages.lib.records.shards import read_rows
from stages.lib.settings.sections import Differences, Parser
from stages.lib.similarity.measures import COLUMNS, score_replies
from stages.lib.similarity.pair_scores import PAIRS_FILE
from stages.lib.statistics.intervals import SHARE, clustered_means, score_interval
from stages.lib.statistics.verdicts import Verdict

WORDS, MARKUP = "words per reply", "Markdown per reply"
REFUSALS, CUT, KEPT, LOOP = "refusals", "cut replies", "kept by validation", "loop"
COUNTED_ELSEWHERE = ("refusal", "finish_length")  # reasons of validation that lines of their own are about
RESPONSE_COLUMNS = ["conversation_hash", "turns", "status"]
VERDICT_COLUMNS = ["conversation_hash", "keep", "reasons"]
FAMILY = "the measures of this table"


@dataclass(frozen=True)
class Conversations:
    """What one DGM made of the prompts that both have."""

    replies: Replies
    kept: dict[Key, float]  # 1 or 0
    reasons: dict[str, set[str]]  # of its verdicts, by prompt


def read_conversations(sides: tuple[Side, Side], num: int, parser: Parser) -> tuple[Conversations, Conversations]:
    """Read the first `num` conversations that both have, in the order of A's."""
    folders = [{name: side.out("dgms", name) for name in ("responses", "verdicts")} for side in sides]
    others = set(list_answered(folders[1]["responses"]))
    prompts = list(islice((name for name in list_answered(folders[0]["responses"]) if name in others), num))
    if not prompts:
        raise UserError(f"{sides[0].name} and {sides[1].name} have no prompt in common")
    one, other = (read_side(folder["responses"], folder["verdicts"], prompts, parser) for folder in folders)
    return one, other


def list_answered(folder: Path) -> Iterator[str]:
    """Yield the prompts of a DGM's conversations, each once; an import lacks some."""
    rows = read_rows(folder, ["conversation_hash", "status"])
    yield from dict.fromkeys(
        row["conversation_hash"] for row in rows if row["conversation_hash"] and row["status"] != "not_imported"
    )


def read_side(responses: Path, verdicts: Path, prompts: list[str], parser: Parser) -> Conversations:
    """Read a DGM's conversations on these prompts, and the verdicts on them."""
    judged = {row["conversation_hash"]: row for row in take(verdicts, VERDICT_COLUMNS, prompts)}
    return Conversations(
        replies=count_replies(take(responses, RESPONSE_COLUMNS, prompts), "conversation_hash", parser),
        kept={(name, 1): float(row["keep"]) for name, row in judged.items()},
        reasons={name: set(row["reasons"]) for name, row in judged.items()},
    )


def take(folder: Path, columns: list[str], prompts: Iterable[str]) -> Iterator[Row]:
    """Yield the first row of each of these prompts, and read no further than the last of them."""
    wanted = set(prompts)
    for row in read_rows(folder, columns):
        if row["conversation_hash"] in wanted:
            wanted.remove(row["conversation_hash"])
            yield row
            if not wanted:
                return


def compare_replies(
    pair: Pair, one: Conversations, other: Conversations, grid: JudgmentGrid | None, settings: Differences
) -> list[Line]:
    """Compare length, style, refusals, verdicts with their reasons, and the judge's scores, if both were judged."""
    shares = {
        REFUSALS: (one.replies.refusals, other.replies.refusals),
        CUT: (one.replies.cut, other.replies.cut),
        KEPT: (one.kept, other.kept),
    } | {reason.replace("_", " "): mark_reason(reason, one, other) for reason in list_reasons(one, other)}
    rows = {
        WORDS: align_values(pair, one.replies.words, other.replies.words),
        MARKUP: align_values(pair, one.replies.markup, other.replies.markup),
    } | {name: align_values(pair, *values, is_share=True) for name, values in shares.items()}
    margins = dict.fromkeys(rows, settings.margin_replies)
    margins |= {WORDS: settings.margin_length * mean_of(rows[WORDS].scores), MARKUP: settings.margin_markup}
    units: dict[str, Unit] = dict.fromkeys(rows, "share")
    units |= {WORDS: "number", MARKUP: "number"}
    if grid and np.isfinite(grid.scores).all(axis=1).any():
        rows[JUDGE], margins[JUDGE], units[JUDGE] = to_rows(grid), settings.margin_judge, "points"
    counted = {name: "questions" if name == JUDGE else "prompts" for name in rows}
    return lines_of(rows, pair, margins, units, settings, FAMILY, counted)


def list_reasons(one: Conversations, other: Conversations) -> list[str]:
    """List the reasons of the verdicts on both, the most frequent first; `loop` in any case."""
    counts = Counter(reason for side in (one, other) for reasons in side.reasons.values() for reason in reasons)
    found = sorted(counts, key=lambda reason: (-counts[reason], reason))
    return [LOOP, *(reason for reason in found if reason not in {LOOP, *COUNTED_ELSEWHERE})]


def mark_reason(reason: str, *sides: Conversations) -> tuple[dict[Key, float], ...]:
    """Return 1 for each prompt whose verdict gives a reason, else 0, of both sides."""
    return tuple({(name, 1): float(reason in found) for name, found in side.reasons.items()} for side in sides)


def measure_likeness(pair: Pair, one: Replies, other: Replies) -> Json:
    """Measure how alike replies are: the share that is equal word for word, and ROUGE-1 of the first ones."""
    equal = {key: float(one.texts[key] == other.texts[key]) for key in one.texts.keys() & other.texts.keys()}
    rows = align_values(pair, equal, equal, is_share=True)
    return {
        "replies": len(equal),
        "equal": mean_cell(rows, pair[0], "share") if equal else {"value": None, "ci95": None},
        "rouge1": measure_rouge(one, other),
    }


def measure_rouge(one: Replies, other: Replies) -> Json:
    """Return the mean ROUGE-1 of the first replies to each prompt, with its interval, and of how many it is."""
    keys = sorted(key for key in one.texts.keys() & other.texts.keys() if key[1] == 1)
    column = COLUMNS.index("rouge1")
    scores = np.array([score_replies([one.texts[key], other.texts[key]], False).values[column, 0] for key in keys])
    return mean_share(scores)


def mean_share(scores: Floats) -> Json:
    """Return the mean of the scores from 0 to 1 that are known, with its interval, and of how many it is."""
    known = scores[np.isfinite(scores)][:, None]
    if not len(known):
        return {"value": None, "ci95": None, "n": 0}
    means = clustered_means(known, np.arange(len(known)))
    ends = score_interval(means.values, means.stderrs, means.clusters, SHARE)[0]
    return {
        "value": float(means.values[0]),
        "ci95": None if np.isnan(ends).any() else [float(end) for end in ends],
        "n": len(known),
    }


def read_other_likeness(sides: tuple[Side, Side]) -> Json | None:
    """Return the mean ROUGE-1 of each side's DGM with all other DGMs of its source; None where there are none."""
    means = {}
    for side in sides:
        folder = None if side.source.commit else side.source.shared_out("similarity")
        pairs = read_pairs(folder) if folder else {}
        others = {other.model for other in sides}
        values = [
            moments["rouge1"]["mean"]
            for pair, moments in pairs.items()
            if side.model in pair and not set(pair) <= others and moments["rouge1"]["mean"] is not None
        ]
        if values:
            means[side.name] = {"value": float(np.mean(values)), "dgms": len(values)}
    return means or None


def read_pairs(folder: Path) -> dict[tuple[str, ...], Json]:
    """Read the similarity of every two DGMs."""
    return {tuple(pair.split(" ")): moments for pair, moments in read_json(folder / PAIRS_FILE).items()}


def answer(lines: list[Line], num_prompts: int) -> str:
    """Answer in one sentence whether the rows of both may be mixed."""
    differ = [line.name for line in lines if line.verdict in {Verdict.BETTER, Verdict.WORSE}]
    undecided = [line for line in lines if line.verdict == Verdict.NOT_DECIDED]
    if not differ and not undecided:
        return f"Yes: on the same {num_prompts} prompts both are equivalent in every measure."
    parts = [f"No: they differ in {join(differ)}"] if differ else []
    kind = "not decided" if differ else "Not decided"
    parts += [f"{kind}: {join([describe_open(line) for line in undecided])}"] if undecided else []
    return f"{'; '.join(parts)}."


def describe_open(line: Line) -> str:
    """Name a measure that is not decided, with what would decide it."""
    if line.reason:
        return f"{line.name} ({line.reason})"
    return f"{line.name} (about {line.needed:,} {line.counted} would decide)" if line.needed else line.name


def join(names: list[str]) -> str:
    """Join names to a list in words."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
