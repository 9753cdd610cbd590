"""Write exactly the rows that a run's recipe names, shuffled (paper, Tab. 1, sec. 3.1).

In:  metrics/recipes.json (the key of this run alone) and the sources that it names, checked by digest; models/<base>/
Out: data/mixes/<run>/ (conversation_hash, source, messages), data/manifests/<run>/: what they are
"""

from pathlib import Path
from typing import Any

import numpy as np

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.core.files import ROWS_SUMMARY, new_folder, read_json, write_json
from stages.lib.mixing.screening import Screening
from stages.lib.mixing.selection import Candidates, Source, order_by_key, repeat_rows
from stages.lib.mixing.sources import leave_out_systems, open_sources
from stages.lib.mixing.token_lengths import TokenCounter
from stages.lib.mixing.writer import shuffle, write_mix
from stages.lib.models.catalogue import load_model
from stages.lib.records.external_sort import read_by_rank
from stages.lib.settings.reading import run

HINT = "ask for fewer, make more, or set mix.on_shortage to cap or upsample"
MIXES = Path("data/mixes")
MANIFESTS = Path("data/manifests")


def choose_rows(source: Source, recipe: dict[str, Any], screening: Screening, counter: TokenCounter) -> np.ndarray:
    """Choose the rows that a mix takes from a source: their indices in key order."""
    order = order_by_key(source.candidates, recipe["seed"])
    screened = screening.filter_rows(source, order, source.take.get("rows", len(order)))
    if "tokens" in source.take:
        row_indices = take_tokens(source, screened, recipe["on_shortage"], counter)
        screening.keep_findings_of(source.name, source.candidates.names.take(row_indices))
        return row_indices
    return take_rows(source.candidates, screened, source.take["rows"], recipe["on_shortage"])


def take_rows(candidates: Candidates, row_indices: np.ndarray, rows: int, on_shortage: str) -> np.ndarray:
    """Take the first `rows` of these rows; if there are fewer, do what `on_shortage` says."""
    if len(row_indices) >= rows or on_shortage == "cap":
        return row_indices[:rows]
    if on_shortage == "upsample":
        return repeat_rows(row_indices, rows)
    left_out = ", ".join(f"{reason} {count}" for reason, count in candidates.counts().items())
    raise UserError(
        f"{candidates.source}: {rows} rows were asked for and {len(row_indices)} can be taken "
        f"(left out: {left_out}); {HINT}"
    )


def take_tokens(source: Source, row_indices: np.ndarray, on_shortage: str, counter: TokenCounter) -> np.ndarray:
    """Take the first rows until they have the tokens asked for, the row that reaches them included.

    Takes all of them if they have fewer tokens, unless `on_shortage` is `error`.
    """
    tokens = source.take["tokens"]
    counts = np.zeros(0, np.int64)
    for table in read_by_rank([source.select(row_indices, np.arange(len(row_indices)))]):
        counts = np.append(counts, counter.count(table["messages"]))
        if counts.sum() >= tokens:
            break
    if counts.sum() < tokens and on_shortage == "error":
        raise UserError(f"{source.name}: {tokens} tokens were asked for and {counts.sum()} can be taken; {HINT}")
    return row_indices[: int(np.searchsorted(np.cumsum(counts), tokens)) + 1]


def summarize_sources(sources: dict[str, Source]) -> dict[str, Any]:
    """Count the rows of each source that were left out by reason, and name the licences of the auxiliary sets."""
    left_out = {name: source.candidates.counts() for name, source in sources.items()}
    sets = {name: read_json(source.folder / ROWS_SUMMARY) for name, source in sources.items() if not source.is_dgm}
    licenses = {name: {key: summary[key] for key in ("license", "origin")} for name, summary in sets.items()}
    return {
        "left_out": {name: counts for name, counts in left_out.items() if counts},  # object: rows by source and reason
        "licenses": licenses,  # object: license and origin of each auxiliary set
    }


READS = ()


def main(key: str) -> None:
    """Make the mix of one run."""
    recipe = read_json(Path("metrics/recipes.json"))["runs"][key]
    counter = TokenCounter(load_model(recipe["base"]))
    screening = Screening(recipe)
    sources, reference = open_sources(recipe)
    if not counter.has_system_role:
        for source in sources.values():
            leave_out_systems(source)
    row_indices = {name: choose_rows(source, recipe, screening, counter) for name, source in sources.items()}
    if not any(map(len, row_indices.values())):
        raise UserError(f"mix.runs.{key} takes no rows: name dgms or auxiliary sets in it")
    parts = shuffle(sources, row_indices, recipe["seed"])
    manifest = write_mix(MIXES / key, parts, reference, counter)
    with new_folder(MANIFESTS / key) as folder:
        screening.write(folder)
        write_json(folder / ROWS_SUMMARY, manifest.summary() | screening.summary() | summarize_sources(sources))
    log_line(f"{key}: {', '.join(f'{part.source.name} {len(part.row_indices)}' for part in parts)} rows")


if __name__ == "__main__":
    run(main)
