"""How alike the DGMs answer the same prompts (paper, App. A, Tab. 5), over all pairs of DGMs.

In:  data/responses/<dgm>/ of every DGM
Out: data/similarity/
"""

from itertools import combinations
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from pydantic import Field
from rouge_score.rouge_scorer import RougeScorer

from stages.lib.params import Section, load
from stages.lib.shards import new_folder, read_json, read_table, write_json
from stages.lib.shell import progress, run
from stages.lib.sources import require

METRICS = ("rouge1", "rougeL")


class Similarity(Section):
    """The section `similarity`."""

    num_prompts: int = Field(gt=0)


def first_replies(rows: list[dict[str, Any]]) -> dict[str, str]:
    """The reply to the first turn, by conversation."""
    return {row["conversation_hash"]: row["turns"][0]["assistant"] for row in rows}


def compare(one: dict[str, str], other: dict[str, str], num_prompts: int) -> dict[str, float]:
    """Mean and standard deviation over common prompts of ROUGE-1 and ROUGE-L (F1, package rouge-score, stemmed)."""
    scorer = RougeScorer(METRICS, use_stemmer=True)
    common = [name for name in one if one[name] and other.get(name)][:num_prompts]
    scores = [scorer.score(one[name], other[name]) for name in common]
    found: dict[str, float] = {"prompts": len(common)}
    for metric in METRICS:
        values = [score[metric].fmeasure for score in scores]
        found[metric] = round(fmean(values), 4) if values else 0.0
        found[f"{metric}_std"] = round(stdev(values), 4) if len(values) > 1 else 0.0
    return found


def main() -> None:
    """Compare every pair of DGMs."""
    similarity = load("similarity", Similarity)
    replies = {}
    for dgm, digests in read_json(Path("metrics/recipes.json"))["dgms"].items():
        folder = require(Path("data/responses") / dgm, digests["responses"], f"generate@{dgm}")
        replies[dgm] = first_replies(read_table(folder, ["conversation_hash", "turns"]).to_pylist())
    pairs = list(combinations(replies, 2))
    scores = {
        f"{one} {other}": compare(replies[one], replies[other], similarity.num_prompts)
        for one, other in progress(pairs, desc="similarity", unit="pairs")
    }
    with new_folder(Path("data/similarity")) as folder:
        write_json(folder / "summary.json", scores)


if __name__ == "__main__":
    run(main)
