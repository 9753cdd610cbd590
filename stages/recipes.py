"""Resolve what every run takes from which source, by digest (paper, Tab. 1).

In:  metrics/digests/dgms/, metrics/digests/auxiliary/, data/benchmarks/
Out: metrics/recipes.json. `mix@run` depends on its own key of `runs` alone, so it runs again only if the sources that
     it names or the rows that it takes change. The amounts asked for are kept apart, in `asked`
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.core.artifacts import DIGESTS
from stages.lib.core.files import read_json, sha256_folder, write_json
from stages.lib.settings.reading import load, load_entries, load_value, run
from stages.lib.settings.sections import Amount, Auxiliary, Mix, Run

BENCHMARKS = Path("data/benchmarks")
PAPER_SIZE = 246_750  # conversations in Tab. 1, with 99,800 and 20,000 auxiliary rows
Digests = dict[str, dict[str, Any]]
Amounts = dict[str, dict[str, int]]  # {"rows": n} or {"tokens": n} by source


def split_rows(total: int, weights: dict[str, float]) -> dict[str, int]:
    """Divide a number of rows by weights so that the parts add up to it exactly (largest remainder)."""
    total_weight = sum(weights.values())
    if weights and total_weight <= 0:
        raise UserError("mix.runs: the weights of a run's dgms must add up to more than 0")
    shares = {name: total * weight / total_weight for name, weight in weights.items()}
    parts = {name: int(share) for name, share in shares.items()}
    rest = total - sum(parts.values())
    for name in sorted(shares, key=lambda name: (parts[name] - shares[name], name))[:rest]:
        parts[name] += 1
    return parts


def resolve_amounts(name: str, entry: Run, mix: Mix, digests: Digests) -> Amounts:
    """Resolve how much a run asks for of each source, in rows or tokens; raise UserError for impossible shares."""
    rows = entry.rows or mix.size
    factor = rows / PAPER_SIZE if mix.scale_auxiliary else 1
    dgms = split_rows(rows, entry.dgms) if entry.dgms else {}
    amounts: Amounts = {source: {"rows": count} for source, count in dgms.items() if entry.dgms[source]}
    shares: dict[str, float] = {}
    for source, amount in entry.auxiliary.items():
        if amount == "all":
            amounts[source] = {"rows": digests[source]["kept"]}
        elif isinstance(amount, int):
            amounts[source] = {"rows": round(amount * factor)}
        elif isinstance(amount, Amount) and amount.tokens:
            amounts[source] = {"tokens": round(amount.tokens * factor)}
        elif isinstance(amount, Amount) and amount.share:
            shares[source] = amount.share
    other_rows = sum(amount.get("rows", 0) for amount in amounts.values())
    return amounts | resolve_shares(name, shares, other_rows)


def resolve_shares(name: str, shares: dict[str, float], other_rows: int) -> Amounts:
    """Resolve shares of all rows to rows of each source, given the rows of the other sources."""
    rest = 1 - sum(shares.values())
    if shares and (rest <= 0 or not other_rows):
        raise UserError(f"mix.runs.{name}: shares are of all rows, so they must leave some to sources without a share")
    return {source: {"rows": round(other_rows * share / rest)} for source, share in shares.items()}


def resolve_recipe(name: str, asked: Amounts, mix: Mix, digests: Digests, benchmarks: str = "") -> dict[str, Any]:
    """Resolve one run to all that decides its mix; raise UserError for a shortage if on_shortage is `error`."""
    entry = mix.runs[name]
    sources = {source: resolve_source(name, source, amount, mix, digests[source]) for source, amount in asked.items()}
    recipe: dict[str, Any] = {"base": entry.base, "seed": mix.seed, "on_shortage": mix.on_shortage, "sources": sources}
    if entry.dgms:
        recipe["filters"] = {key: getattr(mix, key) for key in ("min_turns", "languages", "exclude_toxic")}
    if entry.reference:
        recipe["reference"] = {"dgm": entry.reference, **folder_digests(digests[entry.reference])}
    if mix.duplicates != "off":
        recipe["duplicates"] = {"then": mix.duplicates, "similarity": mix.duplicate_similarity}
    if mix.contamination != "off":
        recipe["contamination"] = {"then": mix.contamination, "words": mix.ngram_words, "benchmarks": benchmarks}
    return recipe


def resolve_source(name: str, source: str, amount: dict[str, int], mix: Mix, digest: dict[str, Any]) -> dict[str, Any]:
    """Resolve what a run takes from one source; with `cap`, at most what exists, however much is asked for."""
    rows, kept = amount.get("rows", 0), digest["kept"]
    if rows > kept and mix.on_shortage == "error":
        raise UserError(
            f"mix.runs.{name} asks {source} for {rows} rows, but it has {kept}; "
            f"ask for fewer, generate more, or set mix.on_shortage: cap"
        )
    if rows > kept:
        log_line(f"{name}: {source} has {kept} rows, {rows} were asked for; on_shortage: {mix.on_shortage}")
    take = {"rows": min(rows, kept)} if "rows" in amount and mix.on_shortage == "cap" else amount
    return {**folder_digests(digest), "kind": digest["kind"], "take": take}


def folder_digests(digest: dict[str, Any]) -> dict[str, str]:
    """Return the digests of a source's folders."""
    return {name: digest[name] for name in ("responses", "verdicts", "rows") if name in digest}


def read_digests(dgm_ids: list[str], set_names: Iterable[str]) -> Digests:
    """Read the digests of these DGMs and auxiliary sets, and of no others, such as those of another profile."""
    dgms = {name: {**read_json(DIGESTS / "dgms" / f"{name}.json"), "kind": "dgm"} for name in dgm_ids}
    sets = {name: read_json(DIGESTS / "auxiliary" / f"{name}.json") for name in set_names}
    return dgms | {name: {**digest, "kind": "auxiliary"} for name, digest in sets.items()}


READS = ("dgms", "auxiliary", "mix")


def main() -> None:
    """Resolve every run."""
    mix = load(Mix)
    dgm_ids = load_value("dgms")
    digests = read_digests(dgm_ids, load_entries(Auxiliary))
    ledgers = {name: digests[name]["ledger"] for name in dgm_ids}
    benchmarks = sha256_folder(BENCHMARKS) if mix.contamination != "off" else ""
    asked = {name: resolve_amounts(name, entry, mix, digests) for name, entry in mix.runs.items()}
    runs = {name: resolve_recipe(name, amounts, mix, digests, benchmarks) for name, amounts in asked.items()}
    dgms = {name: folder_digests(digests[name]) for name in dgm_ids}
    write_json(Path("metrics/recipes.json"), {"asked": asked, "dgms": dgms, "ledgers": ledgers, "runs": runs})


if __name__ == "__main__":
    run(main)
