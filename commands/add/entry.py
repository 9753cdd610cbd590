"""The catalogue file of a new model, written from the model's own files."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from commands.add.source import CARD, CONFIG, Source
from stages.lib.checking.models import read_entry_file
from stages.lib.checking.schema import find_id_fault
from stages.lib.checking.weights import WINDOWS, has_template
from stages.lib.console.errors import UserError
from stages.lib.console.faults import describe
from stages.lib.core.files import write_text
from stages.lib.core.types import Json
from stages.lib.models.catalogue import CATALOGUE, Entry
from stages.lib.settings.licenses import LICENSES

MOST_WINDOW = 20_000  # the catalogue's own rule: dgms/README.md
WHOLE_WINDOW = ("default", "llama3", "longrope", "su", "mrope")  # kinds of rope scaling that the window counts already
FROM_ORIGINAL = "yarn"  # that stretches the window before scaling
DTYPES = ("float16", "float32")  # besides the catalogue's default
COMMENT_COLUMN = 38
OWN_TEMPLATE = "write one to a file and name it as `chat_template` in {file}, such as dgms/templates/chatml.jinja"


@dataclass(frozen=True)
class Facts:
    """What the files of a model say of it: the lines of its catalogue file, and what they do not say."""

    lines: list[tuple[str, Any, str]]  # key, value, comment
    unknown: list[str] = field(default_factory=list)


def make_id(name: str) -> str:
    """Return the id of a model by its name: `Qwen2.5-7B-Instruct` is `qwen2-5-7b-instruct`."""
    return re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-")


def check_id(model: str) -> str:
    """Return an id; raise UserError for a name that cannot be one."""
    for fault in find_id_fault(model, "", ()):
        raise UserError(f"ID={model}: {fault.problem}")
    return model


def find_entry(source: Source) -> str:
    """Return the id of the catalogue's entry of a source; empty where there is none."""
    for path in sorted(CATALOGUE.glob("*.yaml")):
        entry = read_entry_file(path)
        if isinstance(entry, Entry) and source.is_of(entry):
            return path.stem
    return ""


def write_entry(model: str, source: Source) -> list[str]:
    """Write the catalogue file of a source, unless it is there; return what was done and what the files do not say.

    Raises UserError where another model has the id.
    """
    path = CATALOGUE / f"{model}.yaml"
    if path.exists():
        entry = read_entry_file(path)
        if not isinstance(entry, Entry):
            raise UserError(describe(entry))
        if not source.is_of(entry):
            other = entry.repository or entry.path or entry.import_ or (entry.server and entry.server.model)
            raise UserError(f"{path} is another model ({other}): name a free id, as ID=…")
        return [f"{path} is there and stays as it is"]
    facts = collect_facts(source, path)
    write_text(path, "\n".join(["# By `make add`, from the model's own files.", *format_lines(facts)]) + "\n")
    return [f"wrote {path}", *facts.unknown]


def format_lines(facts: Facts) -> Iterator[str]:
    """Yield the lines of a catalogue file."""
    for key, value, comment in facts.lines:
        line = f"{key}: {to_scalar(value)}"
        yield f"{line:<{COMMENT_COLUMN}}# {comment}" if comment else line


def to_scalar(value: Any) -> str:
    """Return a value as YAML writes it."""
    stream = StringIO()
    yaml = YAML()
    yaml.width = 10_000
    yaml.dump({"x": value}, stream)
    return stream.getvalue().removeprefix("x: ").rstrip("\n")


def collect_facts(source: Source, path: Path) -> Facts:
    """Collect what the files of a source say; raise UserError where they do not name a window."""
    config = source.read(CONFIG)
    text_config = {**config, **(config.get("text_config") or {})}  # of a model that sees pictures too
    own = find_window(text_config)
    if not own:
        raise UserError(
            f"{source.label}: its {CONFIG} names no context window: write {path} by hand, as docs/models.md shows"
        )
    where = [("repository", source.repository), ("revision", source.commit or "main")]
    where = where if source.repository else [("path", source.path)]
    family, family_from = find_family(source.name, str(config.get("model_type") or ""))
    license_, license_from = find_license_of(source)
    dtype = str(text_config.get("dtype") or text_config.get("torch_dtype") or "").removeprefix("torch.")
    lines = [
        ("name", source.name, ""),
        ("family", family, family_from),
        *((key, value, "") for key, value in where),
        ("parameters_billions", float(f"{source.parameters / 1e9:.3g}"), "counted in its files"),
        ("context_window", min(own, MOST_WINDOW), f"its own maximum is {own:,}" if own > MOST_WINDOW else f"{CONFIG}"),
        ("dtype", dtype if dtype in DTYPES else "", CONFIG),
        ("license", license_, license_from),
    ]
    return Facts([line for line in lines if line[1]], list(find_unknown(source, path, config, license_, license_from)))


def find_unknown(source: Source, path: Path, config: Json, license_: str, why: str) -> Iterator[str]:
    """Yield what the files do not say, and what to do."""
    if not license_:
        yield f"licence: {why}: `license` in {path} names one"
    if source.repository and not has_template(source.folder):  # of a folder the check of its weights says so
        yield f"no chat template: {OWN_TEMPLATE.format(file=path)}"
    if config.get("auto_map"):
        yield f"it brings code of its own, which is not run unless {path} says `trust_remote_code: true`"


def find_window(config: Json) -> int:
    """Return the window of a configuration in tokens, as vLLM takes it: stretched where it says so; 0: not named."""
    window = next((config[name] for name in WINDOWS if isinstance(config.get(name), int)), 0)
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    kind = scaling.get("rope_type", scaling.get("type", "default")) if isinstance(scaling, dict) else "default"
    if kind in WHOLE_WINDOW or not isinstance(scaling.get("factor"), int | float):
        return int(window)
    before = scaling.get("original_max_position_embeddings", window) if kind == FROM_ORIGINAL else window
    return int(before * scaling["factor"])


def find_family(name: str, model_type: str) -> tuple[str, str]:
    """Return the family and where it is from: one of the catalogue that the name begins with, else the model's type.

    The catalogue writes a series and its version: `qwen2` is `qwen-2`, `gemma3_text` is `gemma-3`.
    """
    entries = (read_entry_file(path) for path in sorted(CATALOGUE.glob("*.yaml")))
    known = {entry.family for entry in entries if isinstance(entry, Entry)} - {""}
    fitting = [family for family in known if squeeze(name).startswith(squeeze(family))]
    if fitting:
        return max(sorted(fitting), key=len), "of the catalogue, by its name"
    kind = model_type.lower().removesuffix("_text")
    family = re.sub(r"(?<=[a-z])(?=\d)", "-", kind.replace("_", "-"))
    return family, "its model_type: models of one family count as on-policy"


def squeeze(name: str) -> str:
    """Return the letters and digits of a name, in lower case."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def find_license_of(source: Source) -> tuple[str, str]:
    """Return the licence that the model card names, as the catalogue writes it, and where it is from.

    Empty where the card names none, or one that has no address; then the second text says why.
    """
    card = source.read_card()
    given = card.get("license")
    given = given[0] if isinstance(given, list) and given else given
    if not isinstance(given, str) or not given.strip():
        return "", f"its card ({CARD}) names none" if (source.folder / CARD).is_file() else f"it has no card ({CARD})"
    known = {each.hub: name for name, each in LICENSES.items() if each.hub != "other"}
    known |= {name.lower(): name for name in LICENSES}
    own = str(card.get("license_name") or given).strip()
    for name in (given, own):
        if name.strip().lower() in known:
            return known[name.strip().lower()], f"its card ({CARD})"
    link = str(card.get("license_link") or "")
    if not link.startswith("https://"):
        link = f"https://huggingface.co/{source.repository}" if source.repository else ""
    if not link:
        return "", f"its card names {own!r}, which is not known here, without an address"
    return f"{own} {link}", f"its card ({CARD})"
