"""Counts of the rows that are published, taken while they are written."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.core.numbers import sum_counts
from stages.lib.core.types import Json
from stages.lib.records.responses import UNANSWERED

NOT_NAMED = "not named"  # the language of a prompt whose source names none


@dataclass
class Counts:
    """Counts of one DGM's published rows."""

    rows: int = 0
    kept: int = 0
    toxic: int = 0
    turns: int = 0
    replies: int = 0
    reply_chars: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    finish_reasons: Counter[str] = field(default_factory=Counter)
    status: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)

    def count(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Yield tables of PUBLISHED as they are, each after it was counted."""
        for table in tables:
            self.add(table)
            yield table

    def add(self, rows: pa.Table) -> None:
        """Count rows of PUBLISHED."""
        turns = pc.list_flatten(rows["turns"]).combine_chunks()
        finishes = turns.field("finish_reason")
        answered = turns.filter(pc.invert(pc.is_in(finishes, value_set=pa.array(UNANSWERED))))
        self.rows += rows.num_rows
        self.kept += count_true(rows["keep"])
        self.toxic += count_true(rows["toxic"])
        self.turns += len(turns)
        self.replies += count_true(pc.greater(pc.utf8_length(answered.field("assistant")), 0))
        self.reply_chars += total(pc.utf8_length(answered.field("assistant")))
        self.prompt_tokens += total(answered.field("prompt_tokens"))
        self.completion_tokens += total(answered.field("completion_tokens"))
        self.finish_reasons.update(finishes.to_pylist())
        self.status.update(rows["status"].to_pylist())
        self.reasons.update(pc.list_flatten(rows["reasons"]).to_pylist())
        self.languages.update(name or NOT_NAMED for name in rows["language"].to_pylist())

    def to_json(self) -> Json:
        """Return the counts, the largest of each kind first."""
        return {
            name: sum_counts([value]) if isinstance(value, Counter) else value for name, value in vars(self).items()
        }


def add_up(counts: Iterable[Mapping[str, object]]) -> Json:
    """Add up the counts of several DGMs."""
    given = list(counts)
    names = given[0].keys() if given else ()
    return {name: add_values([each[name] for each in given]) for name in names}


def add_values(values: list[object]) -> object:
    """Add numbers up, or counts by name."""
    if isinstance(values[0], dict):
        return sum_counts(value for value in values if isinstance(value, dict))
    return sum(value for value in values if isinstance(value, int))


def total(values: pa.Array) -> int:
    """Sum numbers; 0 if there are none."""
    return int(pc.sum(values).as_py() or 0)


def count_true(mask: pa.Array) -> int:
    """Count the true values of a mask."""
    return total(mask.cast(pa.int64()))
