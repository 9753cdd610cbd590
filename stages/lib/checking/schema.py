"""What is wrong in a params file by itself: keys, types and ranges, section by section."""

import re
from collections.abc import Iterator

from pydantic import ValidationError

from stages.lib.console.faults import MISSING, Fault, nearest, suggest
from stages.lib.console.wording import show, to_faults
from stages.lib.console.yaml_lines import Key
from stages.lib.core.names import FORGOTTEN, NO_JUDGE
from stages.lib.core.sections import ID, Section
from stages.lib.core.types import Json
from stages.lib.records.pairings import TIE
from stages.lib.settings.sections import ENTRIES, LISTS, SECTIONS

PROFILE = "profile"  # the name of a params file
KNOWN = (PROFILE, *SECTIONS, *ENTRIES, *LISTS)
_OWNERS = {
    name: [key for key, model in SECTIONS.items() if name in model.model_fields]
    for owner in SECTIONS.values()
    for name in owner.model_fields
}
SECTION_OF = {name: f"{keys[0]}.{name}" for name, keys in _OWNERS.items() if len(keys) == 1}  # full names of keys


def find_schema_faults(params: Json, file: str) -> Iterator[Fault]:
    """Yield what is wrong with the sections, entries and lists of whole params, and their ids."""
    yield from find_unknown_sections(params, file)
    for name, model in SECTIONS.items():
        if name in params:
            yield from find_section_faults(model, params[name], file, (name,))
    for name, model in ENTRIES.items():
        if name in params:
            yield from find_entry_faults(model, params[name], file, name)
    for name in LISTS:
        if name in params:
            yield from find_list_faults(params[name], file, name)
    runs = params["mix"].get("runs") if isinstance(params.get("mix"), dict) else None
    for run in runs if isinstance(runs, dict) else ():
        yield from find_id_fault(run, file, ("mix", "runs", run))


def find_unknown_sections(params: Json, file: str) -> Iterator[Fault]:
    """Yield the sections that no stage knows, and those that are missing."""
    for name in params:
        if name not in KNOWN:
            near = SECTION_OF.get(str(name)) or nearest(name, KNOWN)
            hint = f"; did you mean {near}?" if near else suggest(name, KNOWN)
            yield Fault(file, (name,), f"no such section{hint}", meant=near)
    if PROFILE in params and not isinstance(params[PROFILE], str):
        yield Fault(
            file, (PROFILE,), f"should be text, got {show(params[PROFILE])}; put it in quotes: '{params[PROFILE]}'"
        )
    for name in KNOWN:
        if name not in params:
            yield Fault(file, (name,), MISSING)


def find_section_faults(model: type[Section], content: object, file: str, key: Key) -> list[Fault]:
    """Return what is wrong with one section."""
    try:
        model.model_validate(content)
    except ValidationError as error:
        return to_faults(error, model, content, file, key, SECTION_OF if len(key) == 1 else {})
    return []


def find_entry_faults(model: type[Section], entries: object, file: str, name: str) -> Iterator[Fault]:
    """Yield what is wrong with the entries of `hub` or `auxiliary`."""
    if not isinstance(entries, dict | None):
        yield Fault(file, (name,), f"should be keys with values, got {show(entries)}; write {{}} for none")
        return
    for key, entry in (entries or {}).items():
        yield from find_id_fault(key, file, (name, key))
        yield from find_section_faults(model, entry, file, (name, key))


def find_list_faults(values: object, file: str, name: str) -> Iterator[Fault]:
    """Yield what is wrong with a list of ids."""
    if not isinstance(values, list):
        hint = f"write [{values}]" if isinstance(values, str) else "write [] for none"
        yield Fault(file, (name,), f"should be a list of ids, got {show(values) if values else 'nothing'}; {hint}")
        return
    for number, value in enumerate(values):
        yield from find_id_fault(value, file, (name, number))
        if value in values[:number]:
            yield Fault(file, (name, number), f"{value} stands there twice: leave one out")


def find_id_fault(name: object, file: str, key: Key) -> Iterator[Fault]:
    """Yield why a name cannot be a DVC key and a folder."""
    if name == TIE:
        yield Fault(file, key, f"{name!r} is a judge's choice between equal replies and cannot be an id: rename it")
    elif name == NO_JUDGE:
        yield Fault(file, key, f"{name!r} is what judge.model says where nobody judges, and cannot be an id: rename it")
    elif name in FORGOTTEN:
        yield Fault(file, key, f"{name!r} cannot be an id: DVC's cache takes no notice of keys of that name: rename it")
    elif not isinstance(name, str) or not re.match(ID, name):
        write = re.sub(r"[^a-z0-9_-]+", "-", str(name).lower()).strip("-")
        problem = f"{name!r} is not an id: use lower-case letters, digits, - and _"
        yield Fault(file, key, f"{problem}; write {write if isinstance(name, str) else repr(str(name))}")
