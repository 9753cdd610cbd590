"""What replies are like, turn by turn: words, Markdown elements, refusals, and whether they were cut."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from commands.compare.lines import Key
from commands.pilot.quality import WORD
from stages.lib.core.types import Row
from stages.lib.records.responses import IMPORTED, UNANSWERED
from stages.lib.settings.sections import Parser
from stages.lib.style.features import add_markup, align_answers, count_answers
from stages.lib.validation.relevance import is_refusal

CUT = "length"  # the finish reason of a reply that ended at the token limit


@dataclass(frozen=True)
class Replies:
    """The replies of one model: their texts and what is counted of each, by turn."""

    texts: dict[Key, str] = field(default_factory=dict)
    words: dict[Key, float] = field(default_factory=dict)
    markup: dict[Key, float] = field(default_factory=dict)  # not of empty replies, and of those that no parser reads
    refusals: dict[Key, float] = field(default_factory=dict)  # 1 or 0
    cut: dict[Key, float] = field(default_factory=dict)  # 1 or 0; not where the finish reason is not known


def count_replies(rows: Iterable[Row], key: str, parser: Parser) -> Replies:
    """Count rows of ANSWER or RESPONSE; `key` is the column that names a row. Turns without a reply are left out."""
    known = list(rows)
    replies = Replies(markup=count_markup(known, key, parser))
    for place, turn in list_turns(known, key):
        text = turn["assistant"] or ""
        replies.texts[place] = text
        replies.words[place] = float(len(WORD.findall(text)))
        replies.refusals[place] = float(is_refusal(text))
        if turn["finish_reason"] != IMPORTED:
            replies.cut[place] = float(turn["finish_reason"] == CUT)
    return replies


def list_turns(rows: Iterable[Row], key: str) -> Iterator[tuple[Key, Row]]:
    """Yield each turn that has a reply, with its place."""
    for row in rows:
        for number, turn in enumerate(row["turns"] or [], start=1):
            if turn["finish_reason"] not in UNANSWERED:
                yield (row[key], number), turn


def count_markup(rows: Iterable[Row], key: str, parser: Parser) -> dict[Key, float]:
    """Count the Markdown elements of each reply."""
    counts = count_answers(rows, key, parser)
    if not counts.answers:
        return {}
    elements = add_markup(align_answers({"": counts}).values[""])[:, -1]
    return dict(zip(sorted(counts.answers), elements.tolist(), strict=True))
