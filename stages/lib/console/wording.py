"""What is wrong with a value that does not fit its section, in words: pydantic's errors as faults."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from stages.lib.console.faults import MISSING, Fault, dotted, nearest, suggest, without_echoes
from stages.lib.console.yaml_lines import Key

HIDDEN: Final = "hidden"  # the type of an error whose input may hold a password, and so is not shown
LONGEST = 60  # characters of a value that a line shows
PERCENT = 100
FACTORS = {"k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "%": 0.01, "": 1.0}
TRUE, FALSE = ("yes", "on", "true", "1"), ("no", "off", "false", "0")
NAME = "a name of letters, digits, -, _ and . that begins with a letter, digit or _"
EXPECTED: dict[str, str] = {  # by the type of pydantic's error, filled in from its context
    **dict.fromkeys(("int_type", "int_from_float", "int_parsing"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), "a number"),
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "keys with values"),
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "string_pattern_mismatch": NAME,
}
KINDS = ("int_type", "int_from_float", "float_type", "bool_type", "string_type", "list_type", "dict_type", "model_type")
TYPES = r"(int|float|str|bool|literal\[.*|list\[.*|dict\[.*|function-.*|constrained-.*|\[key\]|[A-Z]\w+)$"  # in a place
NO_SECTIONS: Mapping[str, str] = {}


def to_faults(
    error: ValidationError,
    model: type[BaseModel],
    content: Any,
    file: str,
    prefix: Key = (),
    elsewhere: Mapping[str, str] = NO_SECTIONS,
) -> list[Fault]:
    """Return what is wrong with the content of a section that stands in a file under the key `prefix`.

    `elsewhere` has keys of other sections with their full names: for a key in the wrong section.
    """
    by_key: dict[Key, list[Any]] = {}
    for entry in error.errors():
        by_key.setdefault(_place(entry["loc"], content, is_missing=entry["type"] == "missing"), []).append(entry)
    faults = []
    for key, entries in by_key.items():
        is_deeper = any(len(other) > len(key) and other[: len(key)] == key for other in by_key)
        if is_deeper and not _is(entries[0], "value_error"):
            continue  # one of several types fits so far, and what is wrong is inside
        if _is(entries[0], "extra"):
            problem, meant = _unknown(key, model, prefix, elsewhere)
            faults.append(Fault(file, prefix + key, problem, meant=meant))
        else:
            faults.append(Fault(file, prefix + key, _problem(entries)))
    return faults


def explain(error: ValidationError, model: type[BaseModel], where: str, content: Any = None) -> str:
    """Return one line for each thing that is wrong with a section's content; `where` names it, and its file."""
    faults = without_echoes(to_faults(error, model, content, where))
    return "\n".join(f"{'.'.join([where, *map(str, fault.key)])}: {fault.problem}" for fault in faults)


def _is(entry: Any, kind: str) -> bool:
    return str(entry["type"]).startswith(kind)


def _place(loc: Sequence[str | int], content: Any, *, is_missing: bool) -> Key:
    """Return where an error is in the content: its place without the names of types that pydantic tried."""
    if content is None:
        return tuple(part for part in loc if not re.match(TYPES, str(part)))
    here: Any = content
    key = list[Any]()
    for number, part in enumerate(loc):
        is_there = part in here if isinstance(here, dict) else isinstance(here, list) and isinstance(part, int)
        if is_there:
            key.append(part)
            here = here[part]
        elif is_missing and number == len(loc) - 1:
            key.append(part)
    return tuple(key)


def _unknown(key: Key, model: type[BaseModel], prefix: Key, elsewhere: Mapping[str, str]) -> tuple[str, str]:
    """Return what to say of an unknown key, and the full name of the key that was meant; empty if none was."""
    owner, name = _model_at(model, key[:-1]), str(key[-1])
    known = [field.alias or each for each, field in owner.model_fields.items()]
    renamed: dict[str, str] = getattr(owner, "RENAMED", {})
    if name in renamed:
        return f"is called {renamed[name]} now", dotted((*prefix, *key[:-1], renamed[name]))
    if name in elsewhere:
        return f"no such key; did you mean {elsewhere[name]}?", elsewhere[name]
    near = nearest(name, known)
    return f"no such key{suggest(name, known)}", dotted((*prefix, *key[:-1], near)) if near else ""


def _model_at(model: type[BaseModel], key: Key) -> type[BaseModel]:
    """Return the model of the section at a key of a section."""
    for part in key:
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        if part in fields:
            model = next(_models(fields[str(part)].annotation), model)
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _problem(entries: list[Any]) -> str:
    """Return what is wrong with one value; of a value that may have several types there are several errors."""
    first = next((entry for entry in entries if entry["type"] == "value_error"), entries[0])
    value = first["input"]
    if first["type"] == "missing":
        return MISSING
    if first["type"] in {"value_error", HIDDEN}:
        return str(first["msg"]).removeprefix("Value error, ")
    if first["loc"] and first["loc"][-1] == "[key]":
        return f"the name should be {NAME}"
    if first["type"] in {"too_short", "string_too_short"}:
        return "is empty"
    if value is None:
        return f"is empty; it should be {_expected(entries)}"
    hints = (_hint(entry, value) for entry in entries if len(entries) == 1 or entry["type"] != "list_type")
    hint = next(filter(None, hints), "")
    return f"should be {_expected(entries)}, got {show(value)}{hint}"


def _expected(entries: list[Any]) -> str:
    words = [_expected_once(entry) for entry in entries]
    return " or ".join(dict.fromkeys(words))


def _expected_once(entry: Any) -> str:
    values = entry.get("ctx", {}).items()
    context = {name: f"{value:g}" if isinstance(value, float) else value for name, value in values}
    if entry["type"] == "literal_error":
        return str(context["expected"]).replace("'", "")
    if entry["type"] in EXPECTED:
        return EXPECTED[entry["type"]].format(**context) if context else EXPECTED[entry["type"]]
    return str(entry["msg"]).removeprefix("Input should be ")


def show(value: object) -> str:
    """Return a value as a line shows it: what kind it is, and what, if that is short."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return "a list" if isinstance(value, list) else "{" + ", ".join(f"{key}: …" for key in [*value][:3]) + "}"
    if isinstance(value, str):
        return f"the text '{value if len(value) <= LONGEST else value[:LONGEST] + '…'}'"
    return str(value)


def _hint(entry: Any, value: object) -> str:
    """Return what to write instead, where that is plain."""
    kind = str(entry["type"])
    given = HINTS[kind](entry, value) if kind in HINTS else ""
    return f"; {given}" if given else ""


def _number_hint(_: Any, value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return f"write {int(value)}"
    number = _to_number(value) if isinstance(value, str) else None
    return "" if number is None else f"write {int(number) if number.is_integer() else number:g}"[:LONGEST]


def _to_number(text: str) -> float | None:
    """Return the number that a text means: `1,000`, `20k`, `5 %`, `0,5`; None if it means none."""
    plain = text.strip().replace(" ", "").replace("_", "")
    if re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+", plain):
        plain = plain.replace(",", "")
    match = re.fullmatch(r"([-+]?\d*[.,]?\d+(?:[eE][-+]?\d+)?)([kmgb%]?)", plain, re.IGNORECASE)
    if not match:
        return None
    return round(float(match[1].replace(",", ".")) * FACTORS[match[2].lower()], 12)


def _bool_hint(_: Any, value: object) -> str:
    word = str(value).lower()
    return "write true" if word in TRUE else "write false" if word in FALSE else ""


def _text_hint(_: Any, value: object) -> str:
    is_plain = isinstance(value, int | float) and not isinstance(value, bool)
    return f"put it in quotes: '{value}'" if is_plain else "write one text" if isinstance(value, list) else ""


def _list_hint(_: Any, value: object) -> str:
    return f"write [{value}]" if isinstance(value, str | int | float) and len(str(value)) < LONGEST else ""


def _choice_hint(entry: Any, value: object) -> str:
    choices = re.findall(r"'([^']*)'", str(entry["ctx"]["expected"]))
    near = nearest(value, choices) if isinstance(value, str) else ""
    return f"did you mean {near}?" if near else ""


def _most_hint(entry: Any, value: object) -> str:
    is_share = any(re.search("share|ratio|margin", str(part)) for part in entry["loc"])
    if not is_share or not isinstance(value, int | float) or not 1 < value <= PERCENT:
        return ""
    return f"for {value:g} % write {value / PERCENT:g}"


def _keys_hint(_: Any, value: object) -> str:
    names = value if isinstance(value, list) else [value]
    is_plain = bool(names) and all(isinstance(name, str) and len(name) < LONGEST for name in names)
    return "write {" + ", ".join(f"{name}: …" for name in names) + "}" if is_plain else ""


HINTS: dict[str, Callable[[Any, object], str]] = {
    **dict.fromkeys(("int_type", "int_from_float", "float_type"), _number_hint),
    "bool_type": _bool_hint,
    "string_type": _text_hint,
    "list_type": _list_hint,
    "literal_error": _choice_hint,
    "dict_type": _keys_hint,
    **dict.fromkeys(("less_than", "less_than_equal"), _most_hint),
}
