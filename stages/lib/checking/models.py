"""What is wrong with the catalogue, and with the folders of weights and the templates that its entries name."""

import re
from collections.abc import Iterator
from pathlib import Path

from jinja2 import TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import ValidationError

from stages.lib.checking.profile import Profile, missing_path
from stages.lib.checking.schema import find_id_fault
from stages.lib.checking.weights import find_weights_faults
from stages.lib.console.faults import Fault, load_yaml, suggest
from stages.lib.console.wording import to_faults
from stages.lib.models.catalogue import CATALOGUE, HUB_PREFIX, Entry
from stages.lib.settings.licenses import check_license
from stages.lib.settings.values import check_repository

Catalogue = tuple[dict[str, Entry], list[Fault]]  # the entries that can be read, and what is wrong with the others
SHA256 = r"[0-9a-f]{64}"
OWN_TAGS = r"generation"  # that transformers adds to Jinja


def read_catalogue() -> Catalogue:
    """Read every file of the catalogue: the entries that can be read, and what is wrong with the others."""
    entries, faults = dict[str, Entry](), list[Fault]()
    for path in sorted(CATALOGUE.glob("*.yaml")):
        faults += find_id_fault(path.stem, str(path), ())
        read = read_entry_file(path)
        if isinstance(read, Entry):
            entries[path.stem] = read
            faults += find_entry_faults(read, path)
        else:
            faults += read
    return entries, faults


def read_entry_file(path: Path) -> Entry | list[Fault]:
    """Read a file of the catalogue, or return all that is wrong with it."""
    try:
        content, faults = load_yaml(str(path), path.read_text(encoding="utf-8"))
        return faults or Entry.model_validate(content)
    except UnicodeDecodeError:
        return [Fault(str(path), (), "is not UTF-8 text: save it as UTF-8")]
    except ValidationError as error:
        return to_faults(error, Entry, content, str(path))


def find_entry_faults(entry: Entry, path: Path) -> Iterator[Fault]:
    """Yield what is wrong with an entry beyond its types: the name of its repository or licence, its chat template."""
    for key, name in (("repository", entry.repository), ("import", entry.import_ if entry.on_hub else "")):
        try:
            check_repository(name.removeprefix(HUB_PREFIX) or "a/b")
        except ValueError as error:
            yield Fault(str(path), (key,), str(error))
    try:
        check_license(entry.license)
    except ValueError as error:
        yield Fault(str(path), ("license",), str(error))
    if entry.chat_template:
        yield from find_template_faults(Path(entry.chat_template), path)


def find_template_faults(template: Path, path: Path) -> Iterator[Fault]:
    """Yield why the chat template that an entry names cannot be read, or is not valid Jinja."""
    key = ("chat_template",)
    try:
        text = template.read_text(encoding="utf-8")
        ImmutableSandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"]).parse(text)
    except FileNotFoundError:
        yield Fault(str(path), key, missing_path(template))
    except (OSError, UnicodeDecodeError) as error:
        yield Fault(str(path), key, f"{template} cannot be read ({error})")
    except TemplateSyntaxError as error:
        if not re.search(OWN_TAGS, str(error)):
            yield Fault(str(template), (), f"is not valid Jinja: {error.message}", line=error.lineno)


def find_listed_faults(profile: Profile) -> Iterator[Fault]:
    """Yield ids of `dgms` and `bases` without a catalogue file, or in both."""
    known = sorted(path.stem for path in CATALOGUE.glob("*.yaml"))
    dgms = profile.names("dgms")
    for name in ("dgms", "bases"):
        for number, model in profile.listed(name):
            if model not in known:
                other = CATALOGUE / f"{model}.yml"
                hint = f", but {other}: rename that" if other.exists() else suggest(model, known)
                problem = f"there is no {CATALOGUE / model}.yaml{hint}"
                yield profile.fault(name, problem, number)
            elif name == "bases" and model in dgms:
                yield profile.fault(name, f"{model!r} is in dgms and in bases; one of them is enough", number)


def find_local_faults(profile: Profile) -> Iterator[Fault]:
    """Yield what is wrong with the local files that the entries of `dgms` and `bases` name."""
    for model in dict.fromkeys(profile.ids()):
        entry, file = profile.models.get(model), str(CATALOGUE / f"{model}.yaml")
        if entry is None or entry.on_hub or entry.server or entry.import_ == "reference":
            continue
        key, path = ("path", entry.path) if entry.path else ("import", entry.import_)
        if not Path(path).exists():
            yield Fault(file, (key,), missing_path(Path(path)), missing=path)
            continue
        if not re.fullmatch(SHA256, entry.revision):
            given = f"is {entry.revision!r}, which is not a sha256" if entry.revision else "is missing"
            yield Fault(file, ("revision",), f"the revision {given}: `make pin ID={model}` writes it")
        if entry.path:
            yield from find_weights_faults(entry, file)
