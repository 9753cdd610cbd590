"""What docs/columns.md says of every out: the columns of its rows, the keys of its JSON, their types and meanings.

The meanings stand beside the columns and keys in the code, as comments: no digest and no byte of an out depends on
them. A comment on a key of a JSON object that a function builds begins with its type: `# integer: how many`.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pyarrow as pa

from stages.lib.console.errors import UserError
from stages.lib.similarity.measures import COLUMNS as SCORE_COLUMNS

DESCRIBED = re.compile(r'^\s*\("(\w+)",.*\),? {2}# (.+)$', re.MULTILINE)  # a column and the comment beside it
COMMENT = re.compile(r" {2}# (.+)$")
TYPED = re.compile(r"((?:integer|number|string|boolean|object|list|null)(?: or \w+)*): (.+)")
METRIC = "score of the pair; null without one"
NO_COMMENT = dict.fromkeys(SCORE_COLUMNS, METRIC)
FEW = 2  # fields of a struct, that its type names
RECORDS = "stages.lib.records"
JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one kind of out: where they lie, what they are, and the schema with the modules that describe it."""

    place: str
    schema: str
    modules: tuple[str, ...]
    about: str = ""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a JSON object: the file and the place in it, and the class or function of a module that makes it."""

    place: str
    within: str  # empty: the whole file
    module: str
    maker: str


ROWS = (
    Rows("data/prompts", "PROMPT", (f"{RECORDS}.prompts",), "what every DGM answers"),
    Rows("data/responses/<dgm>", "RESPONSE", (f"{RECORDS}.responses",), "a DGM's conversations"),
    Rows("data/ledger/<dgm>", "LEDGER", ("stages.generate", "stages.lib.generation.costs"), "what they cost"),
    Rows("data/verdicts/<dgm>", "VERDICT", (f"{RECORDS}.verdicts",), "which of them may be used, and why others not"),
    Rows("data/auxiliary/<set>, data/mixes/<run>", "CHAT", (f"{RECORDS}.chats",), "chats to train on"),
    Rows(
        "data/manifests/<run>/found.parquet", "FINDING", ("stages.lib.mixing.screening",),
        "what screening found in a mix: duplicates, texts of benchmarks",
    ),
    Rows("data/benchmarks", "TEXT", ("stages.benchmarks",), "the texts that a mix is screened for"),
    Rows("data/answers/<model>", "ANSWER", (f"{RECORDS}.answers",), "a compared model's answers to the questions"),
    Rows(
        "data/evaluations/<model>/samples", "SAMPLE", ("stages.lib.evaluation.samples",),
        "every row of every benchmark; a file for each task",
    ),
    Rows("data/judgments/<model>", "JUDGMENT", (f"{RECORDS}.judgments",), "a judge's score of every answer"),
    Rows(
        "data/pairwise", "PAIRING", (f"{RECORDS}.pairings",),
        "a judge's choice between two models' answers; each pair in both orders",
    ),
    Rows("data/similarity", "SCORE", ("stages.similarity",), "two DGMs' replies to one turn, every pair"),
    Rows(
        "data/suitability/<base>", "SUITABILITY", ("stages.suitability", "stages.lib.suitability.scores"),
        "a DGM's conversations as a base model reads them",
    ),
)  # fmt: skip
RESULTS = "stages.lib.evaluation.results"
EVALUATION = "data/evaluations/<model>/results.json"
MANIFEST = "data/manifests/<run>/.summary.json"
KEYS = (
    Keys(EVALUATION, "", "stages.evaluate", "evaluate"),
    Keys(EVALUATION, "tasks.<task>", RESULTS, "TaskResult"),
    Keys(EVALUATION, "tasks.<task>.metrics.<metric>", RESULTS, "measure"),
    Keys(EVALUATION, "averages.<name>", RESULTS, "average"),
    Keys("models/<id>/model.json", "", "stages.lib.models.catalogue", "Model"),
    Keys("data/costs/<stage>/<id>.json", "", "stages.lib.core.costs", "write_cost"),
    Keys(MANIFEST, "", "stages.lib.mixing.manifest", "Manifest.summary"),
    Keys(MANIFEST, "", "stages.lib.mixing.screening", "Screening.summary"),
    Keys(MANIFEST, "", "stages.mix", "summarize_sources"),
    Keys("data/pairwise/.summary.json", "stop", "stages.lib.judging.stopped", "describe_stops"),
    Keys("data/pairwise/.summary.json", "stop.pairs[]", "stages.lib.judging.stopped", "describe_pair"),
    Keys("data/preference/tables.json", "", "stages.preference", "measure_preference"),
    Keys("data/differences/tables.json", "", "stages.differences", "build_tables"),
    Keys("data/agreement/tables.json", "", "stages.agreement", "build_tables"),
    Keys("data/styling/tables.json", "", "stages.styling", "measure_style"),
    Keys("data/styling/tables.json", "answers.<model>, responses.<dgm>", "stages.lib.style.features", "describe_style"),
    Keys("data/similarity/.pairs.json", "<one> <other>", "stages.lib.similarity.aggregates", "describe_pairs"),
    Keys("metrics/suitability/<base>.json", "", "stages.suitability", "summarize"),
    Keys("metrics/suitability/<base>.json", "dgms.<dgm>", "stages.lib.suitability.ratio", "describe_dgm"),
)


def columns_lines() -> list[str]:
    """Describe the columns of every kind of rows, each under a heading."""
    lines = []
    for rows in ROWS:
        table = to_table(("column", "type", "meaning"), describe_columns(rows))
        lines += [f"### {code(rows.place)}", "", f"{rows.about[:1].upper()}{rows.about[1:]}.", "", *table, ""]
    return lines[:-1]


def keys_lines() -> list[str]:
    """Describe the keys of every JSON file, each under a heading."""
    lines = []
    for place in dict.fromkeys(keys.place for keys in KEYS):
        rows = (row for keys in KEYS if keys.place == place for row in describe_keys(keys))
        lines += [f"### {code(place)}", "", *to_table(("key", "type", "meaning"), rows), ""]
    return lines[:-1]


def code(places: str) -> str:
    """Mark the places of a list as code."""
    return f"`{places}`".replace(", ", "`, `")


def describe_columns(rows: Rows) -> Iterator[Sequence[str]]:
    """Yield a table row for each column of a schema; raise UserError for one without a comment."""
    meanings = NO_COMMENT | read_comments(rows.modules)
    for name, kind in flatten(schema_of(rows)):
        meaning = meanings.get(name.rpartition(".")[2])
        if meaning is None and "." in name:
            continue  # described where its module defines it
        if meaning is None:
            raise UserError(f"{rows.modules[0]}: the column {name!r} of {rows.schema} has no comment beside it")
        yield f"`{name}`", f"`{kind}`", meaning


def schema_of(rows: Rows) -> pa.Schema:
    """Return the schema of rows."""
    return getattr(import_module(rows.modules[0]), rows.schema)


def read_comments(modules: Iterable[str]) -> dict[str, str]:
    """Return the comment beside each column that these modules define; where two define one, the first module's."""
    sources = [source_of(module) for module in modules]
    return {name: comment for text in reversed(sources) for name, comment in DESCRIBED.findall(text)}


def source_of(module: str) -> str:
    """Read the source of a module."""
    return Path(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")


def flatten(schema: pa.Schema) -> Iterator[tuple[str, str]]:
    """Yield the name and type of each column; of a list of turns also those of its fields."""
    for field in schema:
        value = (
            field.type.value_type if pa.types.is_list(field.type) or pa.types.is_dictionary(field.type) else field.type
        )
        yield field.name, f"list<{name_of(value)}>" if pa.types.is_list(field.type) else str(value)
        if pa.types.is_struct(value) and field.name == "turns" and value.num_fields > FEW:
            yield from ((f"turns.{inner.name}", str(inner.type)) for inner in value)


def name_of(kind: pa.DataType) -> str:
    """Name a type; of a struct of few fields, these too."""
    if not pa.types.is_struct(kind):
        return str(kind)
    return "struct" if kind.num_fields > FEW else f"struct<{', '.join(field.name for field in kind)}>"


def describe_keys(keys: Keys) -> Iterator[Sequence[str]]:
    """Yield a table row for each key of a JSON object; raise UserError for one without type or meaning."""
    places = keys.within.split(", ")
    for name, kind, meaning in read_keys(keys):
        path = "`, `".join(".".join(filter(None, [place, name])) for place in places)
        yield f"`{path}`", kind, meaning


def read_keys(keys: Keys) -> Iterator[tuple[str, str, str]]:
    """Yield name, type and meaning of each key: of the fields of a class, or of the object that a function builds."""
    maker = import_module(keys.module)
    for part in keys.maker.split("."):
        maker = getattr(maker, part)
    lines = source_of(keys.module).splitlines()
    node: Any = ast.parse("\n".join(lines))
    for part in keys.maker.split("."):
        node = next(each for each in node.body if getattr(each, "name", "") == part)
    if not isinstance(node, ast.ClassDef):
        for key in keys_of(node):
            yield (str(key.value), *read_typed(read_meaning(lines, key.lineno), f"{keys.module}: {key.value!r}"))
        return
    own = {ast.unparse(field.target): field.lineno for field in node.body if isinstance(field, ast.AnnAssign)}
    for base in maker.__mro__[1:]:  # a model's options are those of its base
        if base.__module__ == keys.module:
            others = read_keys(Keys(keys.place, keys.within, keys.module, base.__name__))
            yield from (row for row in others if row[0] not in own)
    types = get_type_hints(maker)
    for name, line in own.items():
        meaning = read_meaning(lines, line)
        if not meaning:
            raise UserError(f"{keys.module}: the field {name!r} of {keys.maker} has no comment beside it")
        yield name, json_type(types[name]), meaning


def keys_of(function: ast.FunctionDef) -> Iterator[ast.Constant]:
    """Yield the keys that are strings of the dicts that a function's statements build, or else of its first one."""
    values = [each.value for each in function.body if isinstance(each, ast.Assign | ast.Return)]
    dicts = [value for value in values if isinstance(value, ast.Dict)]
    for each in dicts or [next(each for each in ast.walk(function) if isinstance(each, ast.Dict))]:
        yield from (key for key in each.keys if isinstance(key, ast.Constant))


def read_typed(comment: str, where: str) -> tuple[str, str]:
    """Return the type and the meaning of a key from its comment; raise UserError when one is not there."""
    typed = TYPED.fullmatch(comment)
    if typed is None:
        raise UserError(f"{where} needs its type and meaning beside it, such as `# integer: how many`")
    return typed[1], typed[2]


def read_meaning(lines: list[str], number: int) -> str:
    """Return the comment beside line `number`, counted from 1, or the one in the lines right above it; else nothing."""
    if comment := COMMENT.search(lines[number - 1]):
        return comment[1]
    above = []
    for line in reversed(lines[: number - 1]):
        if not line.strip().startswith("# "):
            break
        above.append(line.strip().removeprefix("# "))
    return " ".join(reversed(above))


def json_type(kind: Any) -> str:
    """Name the JSON type of a Python type."""
    if get_origin(kind) in {Union, UnionType}:
        return " or ".join(dict.fromkeys(map(json_type, get_args(kind))))
    if get_origin(kind) is Literal:
        return "string"
    if get_origin(kind) is list:
        return "list"
    return JSON_TYPES.get(kind, "object")


def to_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, *rows)]
    return [lines[0], f"|{'---|' * len(heads)}", *lines[1:]]
