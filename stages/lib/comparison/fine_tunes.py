"""A fine-tune as the comparisons see it: its base model, its DGMs and its other sources."""

from dataclasses import dataclass
from pathlib import Path

from stages.lib.core.files import read_json
from stages.lib.core.types import Json
from stages.lib.settings.sections import Amount, Run

METRICS = Path("metrics")


@dataclass(frozen=True)
class FineTune:
    """A run with the sources that its model was trained on."""

    id: str
    base: str
    weights: dict[str, float]  # the share of the conversations by DGM
    extras: str  # auxiliary sets, and the reference that limits the length of replies; empty: none
    take: int  # DGM conversations that its recipe takes
    rows: int  # DGM conversations in its mix, without those dropped as duplicates and the like

    @property
    def dgms_label(self) -> str:
        """Its DGMs in words, with their shares where these are not equal."""
        equal = len(set(self.weights.values())) == 1
        return " + ".join(name if equal else f"{share:g} {name}" for name, share in sorted(self.weights.items()))

    @property
    def only_dgm(self) -> str:
        """Its DGM if it was trained on one alone, else empty."""
        return next(iter(self.weights)) if len(self.weights) == 1 else ""


def read_fine_tunes(runs: dict[str, Run]) -> list[FineTune]:
    """Read every run of the profile, with the rows that its recipe takes and that its mix has."""
    recipes = read_json(METRICS / "recipes.json")["runs"]
    return [
        build_fine_tune(name, entry, recipes[name], read_json(METRICS / "mix" / f"{name}.json"))
        for name, entry in runs.items()
    ]


def build_fine_tune(name: str, entry: Run, recipe: Json, mix: Json) -> FineTune:
    """Describe a run by its entry of `mix.runs`, its recipe in recipes.json and its file of metrics/mix."""
    total = sum(entry.dgms.values())
    weights = {dgm: round(weight / total, 9) for dgm, weight in sorted(entry.dgms.items()) if weight}
    return FineTune(
        id=name,
        base=entry.base,
        weights=weights,
        extras=describe_extras(entry),
        take=sum(recipe["sources"][dgm]["take"]["rows"] for dgm in weights),
        rows=sum(mix["sources"].get(dgm, {}).get("rows", 0) for dgm in weights),
    )


def describe_extras(entry: Run) -> str:
    """Describe the extras of a run, its sources other than DGMs: equal texts for equal extras, empty for none."""
    amounts = {
        name: " ".join(f"{key} {value}" for key, value in amount.model_dump(exclude_none=True).items())
        if isinstance(amount, Amount)
        else amount
        for name, amount in entry.auxiliary.items()
    }
    sets = [f"{name} ({amount})" for name, amount in sorted(amounts.items())]
    return join_label(*sets, f"no longer than {entry.reference}" if entry.reference else "")


def join_label(*parts: str) -> str:
    """Join the parts of a label that are not empty."""
    return ", ".join(filter(None, parts))
