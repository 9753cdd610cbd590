"""The two sides of a comparison, A and B: what the user named, checked, and what of it can be compared."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from commands.compare.sources import SHORT, STAGES, Checkout, Commit, Source, find_commit
from stages.lib.console.errors import UserError
from stages.lib.core.artifacts import DIGESTS
from stages.lib.core.seeds import seed_models
from stages.lib.core.types import Json

AT = "@"  # between a model and a commit
Kind = Literal["models", "dgms"]  # of metrics/digests: what a compared model made, and what a DGM made
MAKES: dict[Kind, str] = {"models": "digest_model", "dgms": "gate"}  # the stage that writes the digests


@dataclass(frozen=True)
class Side:
    """One of the two models of a comparison."""

    letter: str  # A or B
    model: str  # its id
    source: Source
    kinds: tuple[Kind, ...]  # what the params of its source say that it is

    @property
    def name(self) -> str:
        """The name that tables and pages show."""
        return self.label(self.model)

    def digests(self, kind: Kind) -> Json | None:
        """Return the sha256 of each out; None where nothing was made yet."""
        digests: Json | None = self.source.metric(DIGESTS / kind / f"{self.model}.json")
        return digests

    def out(self, kind: Kind, name: str) -> Path:
        """Return the folder data/<name>/<model>; raise UserError where it cannot be had."""
        digests = self.digests(kind)
        assert digests, "only asked of what was made"
        return self.source.out(name, self.model, digests[name], STAGES[name])

    def evaluations(self) -> dict[str, Path]:
        """Return the folders of the evaluations of all seeds of a run, or of the model, by name: first its own."""
        run = ((self.source.params().get("mix") or {}).get("runs") or {}).get(self.model) or {}
        folders = {self.name: self.out("models", "evaluations")}
        for model in seed_models(self.model, run.get("seeds") or [])[1:]:
            digests = self.source.metric(DIGESTS / "seeds" / f"{model}.json")
            if digests is None:
                raise UserError(f"{model}, another seed of {self.name}, was not evaluated: run `dvc repro`")
            folders[self.label(model)] = self.source.out("evaluations", model, digests["evaluations"], "evaluate_seed")
        return folders

    def label(self, model: str) -> str:
        """Name a model of this side's source: by its id, with the commit if there is one."""
        return f"{model}{AT}{self.source.commit[:SHORT]}" if self.source.commit else model


def open_sides(one: str, other: str, scratch: Path) -> tuple[Side, Side]:
    """Open both sides, `<model>` or `<model>@<commit>`; `scratch` is an empty folder for the outs of commits.

    Raises UserError for a model or commit that does not exist, and for twice the same.
    """
    sources: dict[str, Source] = {}
    first, second = (open_side(letter, text, sources, scratch) for letter, text in (("A", one), ("B", other)))
    if first.name == second.name:
        raise UserError(f"A and B are both {first.name}: name two models, or one model at two commits")
    return first, second


def open_side(letter: str, text: str, sources: dict[str, Source], scratch: Path) -> Side:
    """Open one side; `sources` holds those that are open, by commit."""
    model, at, revision = text.strip().partition(AT)
    if not model or (at and not revision):
        raise UserError(f"{letter}={text}: name a model, or a model at a commit: <id> or <id>@<commit>")
    commit = find_commit(revision) if at else ""
    if commit is None:
        raise UserError(f"{letter}={text}: git has no commit {revision!r} here; `git log --oneline` lists them")
    if commit not in sources:
        sources[commit] = Commit(commit, scratch / commit) if commit else Checkout()
    side = Side(letter, model, sources[commit], find_kinds(model, sources[commit].params()))
    if not side.kinds:
        raise UserError(f"{letter}={text}: {describe_unknown(model, side)}")
    return side


def find_kinds(model: str, params: Json) -> tuple[Kind, ...]:
    """Return what a model is by params.yaml: compared, a DGM, or both."""
    lists: dict[Kind, str] = {"models": "compare", "dgms": "dgms"}
    return tuple(kind for kind, name in lists.items() if model in (params.get(name) or []))


def describe_unknown(model: str, side: Side) -> str:
    """Say why a model cannot be compared, with the nearest right name."""
    params = side.source.params()
    where = f"at the commit {side.source.commit[:SHORT]}" if side.source.commit else "in params.yaml"
    if model in (params.get("bases") or []) or model in ((params.get("mix") or {}).get("runs") or {}):
        return f"{model} is not in `compare` {where}: add it there and run `dvc repro`"
    known = list(dict.fromkeys([*(params.get("compare") or []), *(params.get("dgms") or [])]))
    nearest = get_close_matches(model, known, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"the models are {', '.join(known) or '(none)'}"
    return f"there is no model {model!r} {where}; {hint}"


def kinds_in_common(sides: tuple[Side, Side]) -> list[Kind]:
    """Return what both sides are and have made.

    Raises UserError where there is nothing, or where of something that both are one has made nothing yet.
    """
    one, other = sides
    shared = [kind for kind in one.kinds if kind in other.kinds]
    if not shared:
        raise UserError(
            f"{one.name} {describe_kinds(one.kinds)} and {other.name} {describe_kinds(other.kinds)}: "
            "only two models of `compare` or two of `dgms` have done the same"
        )
    made = [kind for kind in shared if all(side.digests(kind) for side in sides)]
    if not made:
        raise UserError("; ".join(describe_missing(shared, sides)))
    return made


def describe_kinds(kinds: Iterable[Kind]) -> str:
    """Say what a model is."""
    names: dict[Kind, str] = {"models": "is compared", "dgms": "answers the prompts"}
    return " and ".join(names[kind] for kind in kinds)


def describe_missing(kinds: Iterable[Kind], sides: tuple[Side, Side]) -> list[str]:
    """Say of each side that has made nothing yet what to do."""
    verbs: dict[Kind, str] = {"models": "evaluated and judged", "dgms": "validated"}
    return [
        f"{side.name} was not {verbs[kind]} {advise(kind, side)}"
        for kind in kinds
        for side in sides
        if not side.digests(kind)
    ]


def advise(kind: Kind, side: Side) -> str:
    """Say what to do where a side has made nothing."""
    return "at that commit: name another" if side.source.commit else f"yet: run `dvc repro {MAKES[kind]}@{side.model}`"
