"""What of the prepared data is trained: counted, held against what generation would make of it, and made readable.

Runs in the training environment too, where little more than numpy and Arrow is there.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

UNTRAINED = -100
Ids = npt.NDArray[np.int64]


class Example(TypedDict):
    """A chat as generation asks and reads it: its token ids, and the first and last token of each reply."""

    ids: list[int]
    replies: list[tuple[int, int]]  # the last one is the end of turn


@dataclass(frozen=True)
class Prepared:
    """One prepared conversation: token ids, and the same as labels, or UNTRAINED."""

    ids: Ids
    labels: Ids


@dataclass(frozen=True)
class Batch:
    """Prepared conversations, one after the other: row n is from starts[n] to starts[n + 1]."""

    ids: Ids
    labels: Ids
    starts: Ids

    def row(self, number: int) -> Prepared:
        """One conversation."""
        part = slice(self.starts[number], self.starts[number + 1])
        return Prepared(self.ids[part], self.labels[part])


def batches(dataset: Any, length: int = 1000) -> Iterator[Batch]:  # noqa: ANN401  (of the library `datasets`)
    """A prepared dataset with `input_ids` and `labels`, so many rows at a time."""
    for part in dataset.select_columns(["input_ids", "labels"]).with_format("arrow").iter(length):
        ids, labels = (part[name].combine_chunks() for name in ("input_ids", "labels"))
        starts = ids.offsets.to_numpy().astype(np.int64)
        yield Batch(flat(ids), flat(labels), starts - starts[0])


def flat(column: Any) -> Ids:  # noqa: ANN401  (of Arrow)
    """The numbers of an Arrow column of lists, one list after the other."""
    return np.asarray(column.flatten().to_numpy(), dtype=np.int64)


def count(parts: Iterable[Batch], end: int) -> dict[str, int]:
    """Rows, tokens, tokens that are trained, ends of turn (token `end`) among them, and rows without any of these."""
    total = {"rows": 0, "tokens": 0, "trained_tokens": 0, "replies": 0, "endless_rows": 0}
    for part in parts:
        ends = np.add.reduceat(part.labels == end, part.starts[:-1], dtype=np.int64)
        total["rows"] += len(ends)
        total["tokens"] += len(part.labels)
        total["trained_tokens"] += int((part.labels != UNTRAINED).sum())
        total["replies"] += int(ends.sum())
        total["endless_rows"] += int((ends == 0).sum())
    return total


def find(parts: Iterable[Batch], examples: list[Example]) -> list[Prepared | None]:
    """For each example the prepared conversation with the same token ids, None where there is none."""
    wanted = {np.array(example["ids"], dtype=np.int64).tobytes(): number for number, example in enumerate(examples)}
    lengths = [len(example["ids"]) for example in examples]
    found: list[Prepared | None] = [None] * len(examples)
    for part in parts:
        for number in np.flatnonzero(np.isin(np.diff(part.starts), lengths)):
            row = part.row(int(number))
            if (place := wanted.get(row.ids.tobytes())) is not None:
                found[place] = row
    return found


def objection(total: dict[str, int], examples: list[Example], found: list[Prepared | None]) -> str:
    """Why what is prepared must not be trained, in one line; empty when it may."""
    if not total["trained_tokens"]:
        return "nothing would be trained: no reply is marked"
    if differ := sum(row is None for row in found):
        return (
            f"{differ} of {len(found)} conversations have other token ids in training than in generation: "
            f"the chat template or tokenizer is not the same there (a template that asks a clock never is)"
        )
    for example, row in zip(examples, found, strict=True):
        if row and (reason := misfit(example, row.labels != UNTRAINED)):
            return reason
    if total["endless_rows"]:
        return f"in {total['endless_rows']} of {total['rows']} conversations no end of turn would be trained"
    return ""


def misfit(example: Example, trained: npt.NDArray[np.bool_]) -> str:
    """What is wrong with which tokens of an example are trained; empty when these are its replies to their ends.

    The first token of a reply and the one before its end may be a space that stands in the template: Axolotl leaves it.
    """
    of_replies = np.zeros(len(trained), dtype=bool)
    for first, last in example["replies"]:
        of_replies[first : last + 1] = True
    if (trained & ~of_replies).any():
        return "what a user or the system says, or a header, would be trained"
    if not all(trained[last] for _, last in example["replies"]):
        return "the end of turn would never be trained, so the model could not stop"
    if not all(trained[first + 1 : last - 1].all() for first, last in example["replies"]):
        return "a reply would not be trained, or not whole"
    return ""


def marked(row: Prepared, decode: Callable[[Ids], str]) -> str:
    """A conversation as text, with ⟦ and ⟧ around what is trained."""
    trained = row.labels != UNTRAINED
    pieces = np.split(row.ids, np.flatnonzero(np.diff(trained)) + 1)
    first = bool(trained[0])
    return "".join(f"⟦{decode(piece)}⟧" if (n % 2 == 0) == first else decode(piece) for n, piece in enumerate(pieces))
