"""What every run takes from which source, by digest: the hinge between DGMs and runs (paper, Tab. 1).

In:  metrics/digests/dgms/, metrics/digests/auxiliary/, data/benchmarks/
Out: metrics/recipes.json. `mix@run` depends on its own key of `runs` alone: a run follows exactly the sources it names
     and the rows it takes. What was asked for stands apart, in `asked`
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.core.files import read_json, sha256_folder, write_json
from stages.lib.settings.reading import load, load_entries, load_value, run
from stages.lib.settings.sections import Amount, Auxiliary, Mix, Run

DIGESTS = Path("metrics/digests")
BENCHMARKS = Path("data/benchmarks")
PAPER_SIZE = 246_750  # Tab. 1: the conversations beside which 99,800 and 20,000 auxiliary rows stand
Digests = dict[str, dict[str, Any]]
Amounts = dict[str, dict[str, int]]  # {"rows": n} or {"tokens": n} by source


def split(total: int, weights: dict[str, float]) -> dict[str, int]:
    """Divide a number of rows by weights so that the parts add up to it exactly (largest remainder)."""
    whole = sum(weights.values())
    if weights and whole <= 0:
        raise UserError("mix.runs: the weights of a run's dgms must add up to more than 0")
    shares = {name: total * weight / whole for name, weight in weights.items()}
    parts = {name: int(share) for name, share in shares.items()}
    rest = total - sum(parts.values())
    for name in sorted(shares, key=lambda name: (parts[name] - shares[name], name))[:rest]:
        parts[name] += 1
    return parts


def wanted(name: str, entry: Run, mix: Mix, digests: Digests) -> Amounts:
    """How much a run asks of each source, in rows or in tokens; raise UserError where that means nothing."""
    rows = entry.rows or mix.size
    factor = rows / PAPER_SIZE if mix.scale_auxiliary else 1
    dgms = split(rows, entry.dgms) if entry.dgms else {}
    found: Amounts = {source: {"rows": count} for source, count in dgms.items() if entry.dgms[source]}
    shares: dict[str, float] = {}
    for source, amount in entry.auxiliary.items():
        if amount == "all":
            found[source] = {"rows": digests[source]["kept"]}
        elif isinstance(amount, int):
            found[source] = {"rows": round(amount * factor)}
        elif isinstance(amount, Amount) and amount.tokens:
            found[source] = {"tokens": round(amount.tokens * factor)}
        elif isinstance(amount, Amount) and amount.share:
            shares[source] = amount.share
    return found | by_share(name, shares, sum(amount.get("rows", 0) for amount in found.values()))


def by_share(name: str, shares: dict[str, float], other_rows: int) -> Amounts:
    """The rows of sources that take a share of all rows, beside the rows that are counted."""
    rest = 1 - sum(shares.values())
    if shares and (rest <= 0 or not other_rows):
        raise UserError(f"mix.runs.{name}: shares are of all rows, so they must leave some to sources without a share")
    return {source: {"rows": round(other_rows * share / rest)} for source, share in shares.items()}


def recipe(name: str, asked: Amounts, mix: Mix, digests: Digests, benchmarks: str = "") -> dict[str, Any]:
    """Resolve one run: what decides its mix. Raise UserError on a shortage that is one."""
    entry = mix.runs[name]
    sources = {source: of_source(name, source, amount, mix, digests[source]) for source, amount in asked.items()}
    found: dict[str, Any] = {"base": entry.base, "seed": mix.seed, "on_shortage": mix.on_shortage, "sources": sources}
    if entry.dgms:
        found["filters"] = {key: getattr(mix, key) for key in ("min_turns", "languages", "exclude_toxic")}
    if entry.reference:
        found["reference"] = {"dgm": entry.reference, **of_data(digests[entry.reference])}
    if mix.duplicates != "off":
        found["duplicates"] = {"then": mix.duplicates, "similarity": mix.duplicate_similarity}
    if mix.contamination != "off":
        found["contamination"] = {"then": mix.contamination, "words": mix.ngram_words, "benchmarks": benchmarks}
    return found


def of_source(name: str, source: str, amount: dict[str, int], mix: Mix, digest: dict[str, Any]) -> dict[str, Any]:
    """What a run takes of one source; with `cap`, no more than there is, so that asking for still more is no change."""
    rows, kept = amount.get("rows", 0), digest["kept"]
    if rows > kept and mix.on_shortage == "error":
        raise UserError(
            f"mix.runs.{name} asks {source} for {rows} rows, but it has {kept}; "
            f"ask for fewer, generate more, or set mix.on_shortage: cap"
        )
    if rows > kept:
        log_line(f"{name}: {source} has {kept} rows, {rows} were asked for; on_shortage: {mix.on_shortage}")
    take = {"rows": min(rows, kept)} if "rows" in amount and mix.on_shortage == "cap" else amount
    return {**of_data(digest), "kind": digest["kind"], "take": take}


def of_data(digest: dict[str, Any]) -> dict[str, str]:
    """The digests of a source's folders."""
    return {name: digest[name] for name in ("responses", "verdicts", "rows") if name in digest}


def read_digests(dgm_ids: list[str], set_names: Iterable[str]) -> Digests:
    """The digests of the DGMs and auxiliary sets that params.yaml names; never those of another profile."""
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
    asked = {name: wanted(name, entry, mix, digests) for name, entry in mix.runs.items()}
    runs = {name: recipe(name, amounts, mix, digests, benchmarks) for name, amounts in asked.items()}
    dgms = {name: of_data(digests[name]) for name in dgm_ids}
    write_json(Path("metrics/recipes.json"), {"asked": asked, "dgms": dgms, "ledgers": ledgers, "runs": runs})


if __name__ == "__main__":
    run(main)
