"""What is wrong with the files that params.yaml names: prompts, auxiliary sets, questions, judge prompts, languages."""

import re
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.lib.checking.judge_prompts import find_prompt_faults
from stages.lib.checking.profile import Profile
from stages.lib.console.errors import UserError
from stages.lib.console.faults import Fault, list_names, nearest, suggest
from stages.lib.judging.questions import read_questions
from stages.lib.readers.auxiliary_formats import FORMATS
from stages.lib.readers.columns import auxiliary_columns, prompt_columns
from stages.lib.readers.files import PARQUET, list_data_files, suffix_of
from stages.lib.readers.parquet_rows import parquet_errors

CODE = r"[a-z]{2,3}([-_][A-Za-z]+)?"  # of a language, where its name is asked for
HUB = Path("data/hub")  # where `fetch` puts the sets of `hub`
MADE = ("data", "models", "metrics")  # folders of outs
SECTIONS = ("prompts", "mix")  # that select languages
MOST_ROWS = 5_000_000  # whose languages are read
Columns = Callable[[list[str], Path], object]  # raises UserError for columns that do not fit


class Source(NamedTuple):
    """A source of rows that params name."""

    key: str
    path: Path
    files: str  # the pattern of `auxiliary.<set>.files`
    choose: Columns

    @property
    def hub_name(self) -> str:
        """The entry of `hub` that it is; empty if it is none."""
        return "/".join(self.path.parts[len(HUB.parts) :]) if self.path.parts[: len(HUB.parts)] == HUB.parts else ""


def list_sources(profile: Profile) -> Iterator[Source]:
    """Yield the sources of the prompts and of the auxiliary sets."""
    if profile.has("prompts.source"):
        yield Source("prompts.source", Path(profile.params["prompts"]["source"]), "", prompt_columns)
    for name, entry in (profile.params.get("auxiliary") or {}).items():
        if {"source", "format"} <= set(entry) and entry["format"] in FORMATS:
            choose = partial(choose_auxiliary, entry["format"], entry.get("columns") or {})
            yield Source(f"auxiliary.{name}.source", Path(entry["source"]), entry.get("files") or "", choose)


def choose_auxiliary(format_name: str, renamed: dict[str, str], names: list[str], file: Path) -> object:
    """Raise UserError for columns that do not fit the format of an auxiliary set."""
    return auxiliary_columns(names, format_name, renamed, file)


def find_place_faults(profile: Profile) -> Iterator[Fault]:
    """Yield sources where none can be."""
    hub = profile.names("hub")
    for source in list_sources(profile):
        if not source.path.parts:
            yield profile.fault(source.key, "is empty: name a file, a folder or a set of hub")
        elif source.path.parts[0] == "..":
            yield profile.fault(
                source.key,
                f"{str(source.path)!r} lies outside the repository, where `dvc exp run --temp` and `--queue` "
                f"cannot see it: give an absolute path, or copy it here and `dvc add` it",
            )
        elif name := source.hub_name:
            if name not in hub:
                problem = f"{name!r} is not in hub{suggest(name, hub) or ', which is empty: add it there'}"
                yield profile.fault(source.key, problem)
        elif source.path.parts[0] in MADE:
            problem = f"{source.path} is made by a stage, and nothing would wait for it: name another path"
            yield profile.fault(source.key, problem)


def find_source_faults(profile: Profile) -> Iterator[Fault]:
    """Yield why the rows of sources could not be read; those of `hub` are not there yet."""
    yield from find_missing_sources(profile)
    for source in list_sources(profile):
        if source.path.parts and source.path.exists() and not source.hub_name:
            try:
                for file in list_data_files(source.path, source.files):
                    check_columns(file, source.choose)
            except UserError as error:
                yield profile.fault(source.key, str(error))


def find_missing_sources(profile: Profile) -> Iterator[Fault]:
    """Yield the sources that are not there."""
    for source in list_sources(profile):
        is_elsewhere = source.hub_name or source.path.parts[:1] in {(), *((name,) for name in ("..", *MADE))}
        if not is_elsewhere and not source.path.exists():
            yield profile.missing(source.key, source.path)


def check_columns(file: Path, choose: Columns) -> None:
    """Raise UserError for a file that cannot be opened, is empty or lacks columns; of JSON only whether it is empty.

    Only all rows of JSON together tell its columns: the stage that reads them says what is missing.
    """
    if not file.stat().st_size:
        raise UserError(f"{file} is empty")
    if suffix_of(file) in PARQUET:
        with parquet_errors(file), pq.ParquetFile(file) as opened:
            names = opened.schema_arrow.names
            num_rows = opened.metadata.num_rows
        if len(names) > 1:  # one may hold the records of all
            choose(names, file)
        if not num_rows:
            raise UserError(f"{file} has no rows")


def find_question_faults(profile: Profile) -> Iterator[Fault]:
    """Yield why the questions cannot be asked."""
    path = Path(profile.params["answers"]["questions"])
    if not path.exists():
        yield profile.missing("answers.questions", path)
        return
    try:
        if not read_questions(path):
            yield profile.fault("answers.questions", f"{path} has no question")
    except UserError as error:
        yield profile.fault("answers.questions", str(error))


def find_judge_prompt_faults(profile: Profile) -> Iterator[Fault]:
    """Yield what is wrong with the judge's prompts."""
    folder = Path(profile.params["judge"]["prompts"])
    if not folder.is_dir():
        is_file = folder.exists()
        problem = f"{folder} is a file: name the folder of the two prompts"
        yield profile.fault("judge.prompts", problem) if is_file else profile.missing("judge.prompts", folder)
        return
    for file, line, problem in find_prompt_faults(folder):
        yield (
            profile.fault("judge.prompts", problem)
            if not line and not file.exists()
            else Fault(str(file), (), problem, line=line)
        )


def find_folder_faults(profile: Profile) -> Iterator[Fault]:
    """Yield a folder of alpaca_eval's files that is not there."""
    folder = profile.params["evaluate"]["alpaca_eval_data"]
    if folder and not Path(folder).is_dir():
        yield profile.missing("evaluate.alpaca_eval_data", Path(folder))


def find_language_faults(profile: Profile) -> Iterator[Fault]:
    """Yield languages that no prompt of the source has, if the names of its languages are known."""
    asked = [(name, profile.params[name].get("languages") or []) for name in SECTIONS if profile.has(name)]
    known = read_languages(Path(profile.params["prompts"]["source"])) if any(names for _, names in asked) else []
    for section, names in asked:
        found = [name for name in names if name in known]
        for number, name in enumerate(names):
            near = nearest(name, known)
            if known and name not in known and (near or not found or re.fullmatch(CODE, name)):
                hint = f"; did you mean {near}?" if near else f"; the source has: {list_names(known)}"
                yield profile.fault(f"{section}.languages", f"no prompt is in {name!r}{hint}", number)
    given = [set(names) for _, names in asked if names]
    if len(given) == len(SECTIONS) and not given[0] & given[1]:
        yield profile.fault("mix.languages", "names no language of prompts.languages: no row is left")


def read_languages(source: Path) -> Collection[str]:
    """Return the languages of the prompts of a source, the most frequent first; none where they cannot be told fast."""
    try:
        files = list_data_files(source)
        if any(suffix_of(file) not in PARQUET for file in files):
            return []
        if sum(pq.read_metadata(file).num_rows for file in files) > MOST_ROWS:
            return []
        table = pq.read_table(files, columns=["language"])
        counts = pc.value_counts(table["language"].cast("string")).to_pylist()
    except (UserError, OSError, ValueError, LookupError):
        return []
    return [each["values"] for each in sorted(counts, key=lambda each: -each["counts"]) if each["values"] is not None]
