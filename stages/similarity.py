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
from stages.lib.core.workers import choose_num_processes
from stages.lib.records.shards import chunks, read_rows, shard_path
from stages.lib.settings.reading import load, run
from stages.lib.settings.sections import Similarity
from stages.lib.similarity.aggregates import (
    average_share,
    average_turns,
    compare_with_references,
    count_reasons,
    describe_models,
    describe_pairs,
    describe_spread,
)
from stages.lib.similarity.measures import COLUMNS, REASONS, PairScores
from stages.lib.similarity.pair_scores import (
    PAIRS_FILE,
    PAIRS_PER_PROCESS,
    TURNS_IN_MEMORY,
    TurnReplies,
    align_replies,
    score_turns,
)
from stages.lib.similarity.wordnet import wordnet_sha256

ROWS_PER_GROUP = 1 << 17  # rows are small, and the names are repeated in each group
RESPONSE_COLUMNS = ["conversation_hash", "turns.list.element.assistant"]  # the columns of RESPONSE that are read
_NAME = pa.dictionary(pa.int32(), pa.string())
SCORE = pa.schema([  # two DGMs' replies to one turn
    ("conversation_hash", _NAME),  # the prompt
    ("turn", pa.int32()),  # from 1
    ("one", _NAME),  # a DGM
    ("other", _NAME),  # the DGM it is compared with
    *((name, pa.float64()) for name in COLUMNS),  # null: no score
    ("reason", _NAME),  # why there is no score
    ("share_read", pa.float64()),  # of the letters, by ROUGE, in the reply of which it reads less; null without a reply
])


def count_pairs(dgms: Sequence[str]) -> int:
    """Return the number of pairs of DGMs."""
    return len(dgms) * (len(dgms) - 1) // 2


def to_table(dgms: Sequence[str], turns: Sequence[TurnReplies], scores: Sequence[PairScores]) -> pa.Table:
    """Build one row of SCORE for each turn and pair."""
    one, other = np.triu_indices(len(dgms), 1)
    num_turns, num_pairs = len(turns), len(one)
    values = np.array([pairs.values for pairs in scores])
    columns = [
        to_dictionary(np.repeat(np.arange(num_turns), num_pairs), [turn.conversation for turn in turns]),
        pa.array(np.repeat([turn.turn for turn in turns], num_pairs), pa.int32()),
        to_dictionary(np.tile(one, num_turns), dgms),
        to_dictionary(np.tile(other, num_turns), dgms),
        *(pa.array(values[:, column].ravel(), from_pandas=True) for column in range(len(COLUMNS))),
        to_dictionary(np.concatenate([pairs.reasons for pairs in scores]), REASONS),
        pa.array(np.concatenate([pairs.shares for pairs in scores]), from_pandas=True),
    ]
    return pa.Table.from_arrays(columns, schema=SCORE)


def to_dictionary(places: Any, names: Sequence[str]) -> pa.Array:
    """Build a column that names each row by its place in a list."""
    return pa.DictionaryArray.from_arrays(pa.array(places, pa.int32()), pa.array(names, pa.string()))


def summarize(
    dgms: Sequence[str], conversations: Sequence[str], scores: Sequence[PairScores], similarity: Similarity
) -> tuple[Json, Json]:
    """Return the summary and the table of pairs; `conversations` names that of each turn in `scores`.

    A conversation counts as the mean of its turns.
    """
    num_pairs = count_pairs(dgms)
    by_turn = np.array([pairs.values for pairs in scores]).reshape(-1, len(COLUMNS), num_pairs)
    reasons = np.array([pairs.reasons for pairs in scores], dtype=np.int8).reshape(-1, num_pairs)
    shares = np.array([pairs.shares for pairs in scores]).reshape(-1, num_pairs)
    values = average_turns(by_turn, conversations)
    summary = {
        "prompts": len(values),
        "turns": len(conversations),
        "pairs": num_pairs,
        "unscorable": count_reasons(reasons),
        "share_read": average_share(shares),
        "synonyms": similarity.synonyms,
        "wordnet_sha256": wordnet_sha256() if similarity.synonyms else None,
        "dgms": describe_models(dgms, values),
        "spread": describe_spread(values),
    }
    if similarity.references:
        summary["against_references"] = compare_with_references(dgms, values, similarity.references, similarity.seed)
    return summary, describe_pairs(dgms, values, reasons, shares)


def write_scores(
    folder: Path, dgms: Sequence[str], turns: Iterable[TurnReplies], similarity: Similarity, num_processes: int
) -> tuple[list[str], list[PairScores]]:
    """Score all pairs of DGMs on `turns` and write the rows of SCORE; return each turn's conversation and scores."""
    scored = score_turns(turns, similarity.synonyms, num_processes)
    total = None if similarity.turns == "all" else similarity.num_prompts
    shown = progress(scored, desc="similarity", unit="turns", total=total)
    conversations, scores = [], []
    for number, batch in enumerate(chunks(shown, TURNS_IN_MEMORY)):
        table = to_table(dgms, *zip(*batch, strict=True))
        pq.write_table(table, shard_path(folder, number), compression="zstd", row_group_size=ROWS_PER_GROUP)
        conversations += [turn.conversation for turn, _ in batch]
        scores += [pairs for _, pairs in batch]
    return conversations, scores


def write_similarity(
    folder: Path, rows: dict[str, Iterable[Json]], similarity: Similarity, num_processes: int = 0
) -> None:
    """Compare all pairs of DGMs, given by their rows of RESPONSE, and write the folder of the stage.

    With `num_processes` 0 as many are used as are worth their start.
    """
    dgms = list(rows)
    summary: Json = {}
    pairs: Json = {}
    if len(dgms) > 1:
        if similarity.synonyms:
            wordnet_sha256()  # an error before the work, not after it
        turns = align_replies(rows, similarity.num_prompts, similarity.turns == "all")
        num_processes = num_processes or choose_num_processes(
            similarity.num_prompts * count_pairs(dgms), PAIRS_PER_PROCESS
        )
        conversations, scores = write_scores(folder, dgms, turns, similarity, num_processes)
        summary, pairs = summarize(dgms, conversations, scores, similarity)
    write_json(folder / ROWS_SUMMARY, summary)
    write_json(folder / PAIRS_FILE, pairs)


READS = ("similarity",)


def main() -> None:
    """Compare every pair of DGMs."""
    similarity = load(Similarity)
    rows: dict[str, Iterable[Json]] = {}
    for dgm, digests in read_json(Path("metrics/recipes.json"))["dgms"].items():
        folder = require_folder(Path("data/responses") / dgm, digests["responses"], f"generate@{dgm}")
        rows[dgm] = read_rows(folder, RESPONSE_COLUMNS)
    with new_folder(Path("data/similarity")) as folder:
        write_similarity(folder, rows, similarity)


if __name__ == "__main__":
    run(main)
