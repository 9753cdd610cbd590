"""Which tokens of the prepared data are trained: counted, compared with generation's encodings, and made readable.

Runs in the training environment too, which has little more than numpy and Arrow.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

IGNORE_INDEX = -100  # the label of a token that is not trained
Ids = npt.NDArray[np.int64]


class Example(TypedDict):
    """A chat as generation encodes it: its token ids, and the first and last token of each reply."""

    ids: list[int]
    replies: list[tuple[int, int]]  # the last one is the end of turn


@dataclass(frozen=True)
class PreparedRow:
    """One prepared conversation: token ids, and the same as labels or IGNORE_INDEX."""

    ids: Ids
    labels: Ids


@dataclass(frozen=True)
class Batch:
    """Prepared conversations, one after the other: row n is from starts[n] to starts[n + 1]."""

    ids: Ids
    labels: Ids
    starts: Ids

    def row(self, number: int) -> PreparedRow:
        """Return one conversation."""
        part = slice(self.starts[number], self.starts[number + 1])
        return PreparedRow(self.ids[part], self.labels[part])


def read_batches(dataset: Any, num_rows: int = 1000) -> Iterator[Batch]:
    """Yield a prepared dataset with `input_ids` and `labels`, `num_rows` rows at a time."""
    for part in dataset.select_columns(["input_ids", "labels"]).with_format("arrow").iter(num_rows):
        ids, labels = (part[name].combine_chunks() for name in ("input_ids", "labels"))
        starts = ids.offsets.to_numpy().astype(np.int64)
        yield Batch(flatten(ids), flatten(labels), starts - starts[0])


def flatten(column: Any) -> Ids:
    """Return the numbers of an Arrow column of lists, one list after the other."""
    return np.asarray(column.flatten().to_numpy(), dtype=np.int64)


def count_tokens(batches: Iterable[Batch], end: int) -> dict[str, int]:
    """Count rows, tokens, trained tokens, trained ends of turn (token `end`), and rows without any of these."""
    total = {"rows": 0, "tokens": 0, "trained_tokens": 0, "replies": 0, "rows_without_eos": 0}
    for batch in batches:
        ends = np.add.reduceat(batch.labels == end, batch.starts[:-1], dtype=np.int64)
        total["rows"] += len(ends)
        total["tokens"] += len(batch.labels)
        total["trained_tokens"] += int((batch.labels != IGNORE_INDEX).sum())
        total["replies"] += int(ends.sum())
        total["rows_without_eos"] += int((ends == 0).sum())
    return total


def find_examples(batches: Iterable[Batch], examples: list[Example]) -> list[PreparedRow | None]:
    """Return for each example the prepared conversation with the same token ids, None where there is none."""
    numbers = {np.array(example["ids"], dtype=np.int64).tobytes(): number for number, example in enumerate(examples)}
    lengths = [len(example["ids"]) for example in examples]
    rows: list[PreparedRow | None] = [None] * len(examples)
    for batch in batches:
        for index in np.flatnonzero(np.isin(np.diff(batch.starts), lengths)):
            row = batch.row(int(index))
            if (number := numbers.get(row.ids.tobytes())) is not None:
                rows[number] = row
    return rows


def find_problem(total: dict[str, int], examples: list[Example], rows: list[PreparedRow | None]) -> str:
    """Return in one line why the prepared data must not be trained; empty when they may.

    `total` is what `count_tokens` returns, `rows` what `find_examples` returns for the examples.
    """
    if not total["trained_tokens"]:
        return "nothing would be trained: no reply is marked"
    if num_different := sum(row is None for row in rows):
        return (
            f"{num_different} of {len(rows)} conversations have other token ids in training than in generation: "
            f"the chat template or tokenizer is not the same there"
        )
    for example, row in zip(examples, rows, strict=True):
        if row and (error := mask_error(example, row.labels != IGNORE_INDEX)):
            return error
    if total["rows_without_eos"]:
        return f"in {total['rows_without_eos']} of {total['rows']} conversations no end of turn would be trained"
    return ""


def mask_error(example: Example, is_trained: npt.NDArray[np.bool_]) -> str:
    """Return what is wrong with the mask of an example; empty when its replies to their ends are trained, no more.

    The first token of a reply and the one before its end may be a space of the template, which Axolotl does not train.
    """
    is_reply = np.zeros(len(is_trained), dtype=bool)
    for first, last in example["replies"]:
        is_reply[first : last + 1] = True
    if (is_trained & ~is_reply).any():
        return "a message of a user or the system, or a header, would be trained"
    if not all(is_trained[last] for _, last in example["replies"]):
        return "the end of turn would never be trained, so the model could not stop"
    if not all(is_trained[first + 1 : last - 1].all() for first, last in example["replies"]):
        return "a reply would not be trained, or only a part of it"
    return ""


def mark_trained(row: PreparedRow, decode: Callable[[Ids], str]) -> str:
    """Return a conversation as text, with ⟦ and ⟧ around what is trained."""
    is_trained = row.labels != IGNORE_INDEX
    pieces = np.split(row.ids, np.flatnonzero(np.diff(is_trained)) + 1)
    first = bool(is_trained[0])
    return "".join(f"⟦{decode(piece)}⟧" if (n % 2 == 0) == first else decode(piece) for n, piece in enumerate(pieces))
