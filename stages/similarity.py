"""How alike the DGMs answer the same prompts (paper, App. A, Tab. 5), over all pairs of DGMs.

In:  data/responses/<dgm>/ of every DGM; WordNet, if `synonyms`
Out: data/similarity/: shards with the scores of every pair on every turn; .summary.json, .pairs.json (every pair)
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.console.shell import progress
from stages.lib.core.artifacts import require_folder
from stages.lib.core.files import ROWS_SUMMARY, new_folder, read_json, write_json
from stages.lib.core.types import Json
from stages.lib.records.shards import chunks, read_rows, shard_path
from stages.lib.settings.reading import load, run
from stages.lib.settings.sections import Similarity
from stages.lib.similarity.aggregates import against_references, by_prompt, counted, model_table, pair_table, spread
from stages.lib.similarity.pair_scores import (
    BATCH,
    METRICS,
    PAIRS_FILE,
    REASONS,
    Scores,
    TurnReplies,
    align_replies,
    processes_for,
    score_all,
)
from stages.lib.similarity.wordnet import wordnet_sha256

ROWS_PER_GROUP = 1 << 17  # small rows: the names would be repeated in each group
COLUMNS = ["conversation_hash", "turns.list.element.assistant"]
_NAME = pa.dictionary(pa.int32(), pa.string())
SCORE = pa.schema([  # two DGMs' replies to one turn
    ("conversation_hash", _NAME),  # the prompt
    ("turn", pa.int32()),  # from 1
    ("one", _NAME),  # a DGM
    ("other", _NAME),  # the DGM it is compared with
    *((metric, pa.float64()) for metric in METRICS),  # null: no score
    ("reason", _NAME),  # why there is no score
])


def pairs_of(dgms: Sequence[str]) -> int:
    """How many pairs there are."""
    return len(dgms) * (len(dgms) - 1) // 2


def to_table(dgms: Sequence[str], asked: Sequence[TurnReplies], scores: Sequence[Scores]) -> pa.Table:
    """One row of SCORE for each turn and pair."""
    one, other = np.triu_indices(len(dgms), 1)
    turns, pairs = len(asked), len(one)
    values = np.array([found.values for found in scores])
    columns = [
        named(np.repeat(np.arange(turns), pairs), [row.conversation for row in asked]),
        pa.array(np.repeat([row.turn for row in asked], pairs), pa.int32()),
        named(np.tile(one, turns), dgms),
        named(np.tile(other, turns), dgms),
        *(pa.array(values[:, row].ravel(), from_pandas=True) for row in range(len(METRICS))),
        named(np.concatenate([found.reasons for found in scores]), REASONS),
    ]
    return pa.Table.from_arrays(columns, schema=SCORE)


def named(places: Any, names: Sequence[str]) -> pa.Array:  # noqa: ANN401  (integers of any width)
    """A column that names each row by its place in a list."""
    return pa.DictionaryArray.from_arrays(pa.array(places, pa.int32()), pa.array(names, pa.string()))


def summarize(
    dgms: Sequence[str], conversations: Sequence[str], scores: Sequence[Scores], similarity: Similarity
) -> tuple[Json, Json]:
    """The summary, and the table of pairs, of turns of these conversations; a conversation counts as their mean."""
    num_pairs = pairs_of(dgms)
    by_turn = np.array([found.values for found in scores]).reshape(-1, len(METRICS), num_pairs)
    reasons = np.array([found.reasons for found in scores], dtype=np.int8).reshape(-1, num_pairs)
    values = by_prompt(by_turn, conversations)
    found = {
        "prompts": len(values),
        "turns": len(conversations),
        "pairs": num_pairs,
        "unscorable": counted(reasons),
        "synonyms": similarity.synonyms,
        "wordnet_sha256": wordnet_sha256() if similarity.synonyms else None,
        "dgms": model_table(dgms, values),
        "spread": spread(values),
    }
    if similarity.references:
        found["against_references"] = against_references(dgms, values, similarity.references, similarity.seed)
    return found, pair_table(dgms, values, reasons)


READS = ("similarity",)


def main() -> None:
    """Compare every pair of DGMs."""
    similarity = load(Similarity)
    rows: dict[str, Iterable[Json]] = {}
    for dgm, digests in read_json(Path("metrics/recipes.json"))["dgms"].items():
        folder = require_folder(Path("data/responses") / dgm, digests["responses"], f"generate@{dgm}")
        rows[dgm] = read_rows(folder, COLUMNS)
    with new_folder(Path("data/similarity")) as folder:
        write(folder, rows, similarity)


def write(folder: Path, rows: dict[str, Iterable[Json]], similarity: Similarity, processes: int = 0) -> None:
    """Fill the folder of the stage; 0 processes: as many as are of use."""
    dgms = list(rows)
    if len(dgms) < 2:
        write_json(folder / ROWS_SUMMARY, {})
        write_json(folder / PAIRS_FILE, {})
        return
    if similarity.synonyms:
        wordnet_sha256()  # is WordNet there?
    all_turns = similarity.turns == "all"
    asked = align_replies(rows, similarity.num_prompts, all_turns)
    scored = score_all(asked, similarity.synonyms, processes or processes_for(similarity.num_prompts * pairs_of(dgms)))
    total = None if all_turns else similarity.num_prompts
    names, scores = [], []
    for number, batch in enumerate(chunks(progress(scored, desc="similarity", unit="turns", total=total), BATCH)):
        table = to_table(dgms, *zip(*batch, strict=True))
        pq.write_table(table, shard_path(folder, number), compression="zstd", row_group_size=ROWS_PER_GROUP)
        names += [row.conversation for row, _ in batch]
        scores += [found for _, found in batch]
    summary, pairs = summarize(dgms, names, scores, similarity)
    write_json(folder / ROWS_SUMMARY, summary)
    write_json(folder / PAIRS_FILE, pairs)


if __name__ == "__main__":
    run(main)
