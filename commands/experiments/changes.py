"""What states of the project changed: their params against those of the base."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from commands.experiments.states import RUNTIME, State
from stages.lib.console.errors import UserError
from stages.lib.core.types import Json

Flat = Mapping[str, Any]  # the values of params.yaml by their keys, joined by dots
ABSENT = object()  # a key that one of two states does not have
UNKNOWN = "-"


def flatten(params: Json, prefix: str = "") -> dict[str, Any]:
    """Return the values of params by their keys; a list is one value."""
    flat: dict[str, Any] = {}
    for key, value in params.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, dict) and value else {name: value}
    return flat


def find_changes(state: State, base: State | None) -> dict[str, Any]:
    """Return the values that differ from the base, by key, without those of how to run; ABSENT where there is none."""
    if base is None:
        return {}
    ours, theirs = flatten(state.params), flatten(base.params)
    keys = [*theirs, *(key for key in ours if key not in theirs)]
    return {
        key: ours.get(key, ABSENT)
        for key in keys
        if ours.get(key, ABSENT) != theirs.get(key, ABSENT) and key.partition(".")[0] != RUNTIME
    }


def list_changed(states: Sequence[State], base: State | None) -> list[str]:
    """List the keys in which any state differs from the base."""
    return list(dict.fromkeys(key for state in states for key in find_changes(state, base)))


def find_keys(asked: Iterable[str], states: Sequence[State], changed: Sequence[str]) -> list[str]:
    """Return the keys that the user asks for; of a section those that changed, or all if none did.

    Raises UserError for a key that no state has, with the nearest that one has.
    """
    known = list(dict.fromkeys(key for state in states for key in flatten(state.params)))
    keys = []
    for name in asked:
        inside = [key for key in known if key == name or key.startswith(f"{name}.")]
        if not inside:
            nearest = get_close_matches(name, known, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            raise UserError(f"KEYS={name}: params.yaml has no such key, here or in an experiment{hint}")
        keys += [key for key in inside if key in changed] or inside
    return list(dict.fromkeys(keys))


def format_param(value: Any) -> str:
    """Format a value of params.yaml as YAML has it, on one line."""
    if value is ABSENT:
        return UNKNOWN
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list):
        return f"[{', '.join(map(format_param, value))}]"
    return "{}" if value == {} else str(value)


def describe_changes(changes: Flat) -> str:
    """Describe changes as `dvc exp run -S` takes them; a key that is gone as `without`."""
    return ", ".join(
        f"without {key}" if value is ABSENT else f"{key}={format_param(value)}" for key, value in changes.items()
    )
