"""What every run takes from which source, by digest: the hinge between DGMs and runs (paper, Tab. 1).

In:  metrics/digests/dgms/, metrics/digests/auxiliary/
Out: metrics/recipes.json. `mix@run` depends on its own key of `runs` alone: a run follows exactly the sources it names
     and the rows it takes. What was asked for stands apart, in `asked`
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from stages.lib.params import PARAMS, Section, UserError, load, read_yaml
from stages.lib.shards import read_json, write_json
from stages.lib.shell import run, say

DIGESTS = Path("metrics/digests")


class Run(Section):
    """An entry of `mix.runs`."""

    base: str
    dgms: dict[str, float] = Field(default_factory=dict)  # weights, which need not add up to one
    auxiliary: dict[str, int] = Field(default_factory=dict)  # rows
    rows: int | None = Field(default=None, gt=0)  # DGM conversations; mix.size where it is not given


class Mix(Section):
    """The section `mix`."""

    seed: int
    size: int = Field(gt=0)  # DGM conversations in every run that names none of its own
    scale_auxiliary: bool  # the auxiliary rows belong to PAPER_SIZE conversations and grow with them
    on_shortage: Literal["error", "cap"]
    runs: dict[str, Run]


PAPER_SIZE = 246_750  # Tab. 1: the conversations beside which 99,800 and 20,000 auxiliary rows stand


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


def wanted(entry: Run, mix: Mix) -> dict[str, int]:
    """How many rows a run asks of each source."""
    rows = entry.rows or mix.size
    factor = rows / PAPER_SIZE if mix.scale_auxiliary else 1
    auxiliary = {name: round(count * factor) for name, count in entry.auxiliary.items()}
    return {**(split(rows, entry.dgms) if entry.dgms else {}), **auxiliary}


def recipe(name: str, asked: dict[str, int], mix: Mix, digests: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Resolve one run: digest of each source and rows taken of it. Raise UserError on a shortage that is one."""
    sources = {}
    for source, rows in asked.items():
        kept = digests[source]["kept"]
        if rows > kept and mix.on_shortage == "error":
            raise UserError(
                f"mix.runs.{name} asks {source} for {rows} rows, but it has {kept}; "
                f"ask for fewer, generate more, or set mix.on_shortage: cap"
            )
        if rows > kept:
            say(f"{name}: {source} has {kept} rows, {rows} were asked for; all are taken")
        decides = {key: value for key, value in digests[source].items() if key != "kept"}
        sources[source] = {**decides, "take": min(rows, kept)}
    return {"seed": mix.seed, "sources": sources}


def read_digests(params: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The digests of the DGMs and auxiliary sets that params.yaml names; never those of another profile."""
    dgms = {name: {**read_json(DIGESTS / "dgms" / f"{name}.json"), "kind": "dgm"} for name in params["dgms"]}
    sets = {name: read_json(DIGESTS / "auxiliary" / f"{name}.json") for name in params["auxiliary"] or {}}
    return dgms | {name: {**digest, "kind": "auxiliary"} for name, digest in sets.items()}


def main() -> None:
    """Resolve every run."""
    mix = load("mix", Mix)
    params = read_yaml(PARAMS)
    digests = read_digests(params)
    ledgers = {name: digests[name].pop("ledger") for name in params["dgms"]}
    asked = {name: wanted(entry, mix) for name, entry in mix.runs.items()}
    runs = {name: recipe(name, rows, mix, digests) for name, rows in asked.items()}
    dgms = {name: {key: digests[name][key] for key in ("responses", "verdicts")} for name in params["dgms"]}
    write_json(Path("metrics/recipes.json"), {"asked": asked, "dgms": dgms, "ledgers": ledgers, "runs": runs})


if __name__ == "__main__":
    run(main)
