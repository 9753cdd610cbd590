"""Analyse replies that exist already, of several DGMs, with the pipeline's own functions: no DVC, no GPU. Not a stage.

python -m commands.analyse FILE [OUT]     FILE: parquet or JSON lines, or a folder of them; OUT: analysis/<its name>

OUT is like data/ of the pipeline: prompts, responses and verdicts of every DGM, similarity, styling, judgments and
preference where there are scores, and report/index.html; analysis.json says what was read and left out. Settings are
those of params.yaml, but all prompts count. Memory holds the prompts' texts, a key for each reply, and the texts of
one DGM at a time; similarity 500 turns of all DGMs, and 32 bytes for each of its scores; the bootstrap its draws.
"""

import argparse
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from commands.analyse.columns import read_existing
from commands.analyse.folder import MARKER, begin, check_place, default_out, scratch
from commands.analyse.intake import Intake, Taken, ids_of, take_in, write_prompts
from commands.analyse.page import build_inputs
from commands.analyse.screen import tell
from stages import generate, preference, similarity, styling, validate
from stages.gate import count_verdicts
from stages.lib.console.errors import UserError
from stages.lib.console.formats import format_counts
from stages.lib.console.shell import log_line, progress
from stages.lib.core.files import ROWS_SUMMARY, new_folder, read_json, write_json
from stages.lib.core.numbers import sum_counts
from stages.lib.core.types import Json
from stages.lib.engines.request import dgm_config
from stages.lib.generation.imports import ImportedConversations
from stages.lib.judging.judge_replies import count_statuses
from stages.lib.models.catalogue import Model, import_digest, save_model
from stages.lib.records.judgments import JUDGMENT
from stages.lib.records.pairings import PAIRING
from stages.lib.records.shards import read_rows, write_table
from stages.lib.report import index
from stages.lib.settings.reading import load
from stages.lib.settings.sections import MAX_RESPONSES, Generate, Preference, Report, Similarity, Styling, Validate
from stages.lib.similarity.pair_scores import PAIRS_FILE
from stages.lib.similarity.wordnet import open_wordnet

MOST_READ = 5_000  # conversations of each DGM, on the page to read them


@dataclass(frozen=True, slots=True)
class Settings:
    """The sections of params.yaml that say how replies are analysed."""

    generate: Generate
    validate: Validate
    similarity: Similarity
    styling: Styling
    preference: Preference
    report: Report


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of the source, when its replies lie in OUT."""

    models: dict[str, Model]  # by id
    taken: dict[str, Taken]
    prompts: int
    found: Json  # for MARKER


class Watch:
    """How many seconds each part took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Time a block."""
        begun = time.perf_counter()
        yield
        self.seconds[part] = time.perf_counter() - begun


def read_settings() -> Settings:
    """The settings as params.yaml has them."""
    return Settings(
        generate=load(Generate),
        validate=load(Validate),
        similarity=load(Similarity),
        styling=load(Styling),
        preference=load(Preference),
        report=load(Report),
    )


def fit(settings: Settings, prompts: int, *, synonyms: bool) -> Settings:
    """The settings for all of so many prompts."""
    return replace(
        settings,
        similarity=settings.similarity.model_copy(update={"num_prompts": prompts, "synonyms": synonyms}),
        styling=settings.styling.model_copy(update={"num_responses": min(prompts, MAX_RESPONSES)}),
        report=settings.report.model_copy(update={"num_conversations": min(prompts, MOST_READ)}),
    )


def has_wordnet() -> bool:
    """Whether WordNet is there; where not, METEOR counts no synonyms, and that is said."""
    try:
        open_wordnet()
    except UserError:
        log_line(
            "WordNet is not there, so METEOR counts no synonyms and is about .008 lower; `make wordnet` fetches it"
        )
        return False
    return True


def read_in(source: Path, out: Path, folder: Path) -> Read:
    """Sort the source's rows by model into a folder, then begin OUT with the prompts."""
    rows = progress(read_existing(source), desc="reading", unit="rows")
    intake = take_in(rows, folder, str(source))
    begin(out)
    digest = import_digest(source)
    models = describe(intake, source, digest)
    with new_folder(out / "prompts") as prompts:
        by_turns = write_prompts(prompts, intake.prompts(source.resolve().name))
        left_out = intake.all_left_out()
        counts = {"rows": intake.rows, "replies": intake.rows - sum(left_out.values()), "left_out": left_out}
        write_json(prompts / ROWS_SUMMARY, counts | {"prompts": by_turns.total(), "by_turns": by_turns})
    for model in models.values():
        save_model(out / "models" / model.id, model)
    taken = {model.id: intake.models[model.name] for model in models.values()}
    found = {
        "source": source.resolve().name,
        "sha256": digest,
        "rows": intake.rows,
        "left_out": left_out,
        "models_without_a_reply": intake.silent,
    }
    return Read(models, taken, by_turns.total(), found)


def describe(intake: Intake, source: Path, digest: str) -> dict[str, Model]:
    """The DGMs of a source, by id; each is an import of it."""
    known = {"location": source.resolve().name, "kind": "import", "commit": digest, "parameters_billions": 0.0}
    return {
        own: Model(id=own, name=name, context_window=0, **known)  # type: ignore[arg-type]
        for name, own in ids_of(intake.models).items()
    }


def write_responses(read: Read, out: Path, settings: Settings) -> None:
    """Write every DGM's replies to all prompts, `not_imported` where it has none."""
    for dgm, model in progress(read.models.items(), desc="responses", unit="DGMs"):
        source = ImportedConversations(model, dgm_config(model, settings.generate), read.taken[dgm].replies())
        generate.write_responses(source, read_rows(out / "prompts"), out)


def write_verdicts(read: Read, out: Path, settings: Settings) -> dict[str, Json]:
    """Validate every DGM's replies; the counts by DGM, as `gate` has them."""
    for model in read.models.values():
        validate.write_verdicts(out, settings.validate, model, dgm_config(model, settings.generate))
    return {dgm: count_verdicts(read_json(out / "verdicts" / dgm / ROWS_SUMMARY)) for dgm in read.models}


def write_similarity(read: Read, out: Path, settings: Settings) -> str:
    """Compare every two DGMs; why that says nothing, if so."""
    rows: dict[str, Iterable[Json]] = {
        dgm: read_rows(out / "responses" / dgm, similarity.RESPONSE_COLUMNS) for dgm in read.models
    }
    with new_folder(out / "similarity") as folder:
        similarity.write_similarity(folder, rows, settings.similarity)
    if len(read.models) < 2:
        return "there is one DGM only"
    if any(pair["rouge1"]["n"] for pair in read_json(out / "similarity" / PAIRS_FILE).values()):
        return ""
    why = format_counts(sum_counts([read_json(out / "similarity" / ROWS_SUMMARY)["unscorable"]]))
    return f"no two replies to the same prompt can be scored ({why})"


def write_styling(read: Read, out: Path, settings: Settings) -> None:
    """Measure the style of every DGM, alone and beside every other on the prompts that both answered."""
    folders = {dgm: out / "responses" / dgm for dgm in read.models}
    counted = dict(styling.read_responses(folders, settings.styling))
    styling.write_style(out, styling.measure_style(counted, counted.items(), {}, settings.styling))


def write_preference(read: Read, out: Path, settings: Settings) -> str:
    """Compare the scores of a judge; why there is nothing to compare, if so."""
    places = {row["conversation_hash"]: at for at, row in enumerate(read_rows(out / "prompts", ["conversation_hash"]))}
    tables, beyond = {}, 0
    for dgm, taken in read.taken.items():
        rows = [to_judgment(row, places[row["conversation_hash"]]) for row in taken.judgments()]
        kept = [row for row in rows if row["question_id"] < MAX_RESPONSES]
        beyond += len(rows) - len(kept)
        if kept:
            tables[dgm] = write_judgments(out / "judgments" / dgm, kept)
    if beyond:
        log_line(f"preference: {beyond} judgments of other than the first {MAX_RESPONSES} prompts are left out")
    if not any(table["status"].to_pylist().count("ok") for table in tables.values()):
        return "no row has a number in judge_score"
    preference.write_preference(
        out, *preference.measure_preference(tables, PAIRING.empty_table(), {}, settings.preference)
    )
    return ""


def to_judgment(row: Json, place: int) -> Json:
    """A row of JUDGMENT of one scored reply; a conversation of several turns has its one score at the first."""
    has_score, has_reply = row["score"] is not None, row["chars"] > 0
    return {
        "question_id": place,
        "category": "",
        "turn": 1,
        "score": row["score"],
        "text": row["text"],
        "chars": row["chars"],
        "status": "ok" if has_score else "failed" if has_reply else "unanswered",
        "reason": "" if has_score else "no number in judge_score" if has_reply else "the model gave no reply",
    }


def write_judgments(place: Path, rows: list[Json]) -> pa.Table:
    """Write one DGM's rows of JUDGMENT in the order of the prompts; the table."""
    table = pa.Table.from_pylist(sorted(rows, key=lambda row: int(row["question_id"])), schema=JUDGMENT)
    scores = [row["score"] for row in rows if row["score"] is not None]
    mean = round(sum(scores) / len(scores), 4) if scores else None
    with new_folder(place) as folder:
        write_table(folder, table)
        write_json(
            folder / ROWS_SUMMARY, {"score": mean, "judge": "judge_score", "status": "ok", **count_statuses(rows)}
        )
    return table


def write_report(read: Read, out: Path, settings: Settings, gate: dict[str, Json], skipped: Mapping[str, str]) -> None:
    """Write the page, on which the sections of what was not done here are skipped."""
    inputs = build_inputs(out, read.found["source"], gate, skipped, settings.report)
    with new_folder(out / "report") as folder:
        index.write_report(folder, inputs)


def analyse(source: Path, out: Path) -> None:
    """Read, validate, compare, and say what was found."""
    settings, watch = read_settings(), Watch()
    check_place(source, out)
    with scratch(out) as folder:
        with watch("reading"):
            read = read_in(source, out, folder)
        settings = fit(settings, read.prompts, synonyms=has_wordnet())
        with watch("responses"):
            write_responses(read, out, settings)
        with watch("preference"):
            unjudged = write_preference(read, out, settings)
    with watch("verdicts"):
        gate = write_verdicts(read, out, settings)
    with watch("similarity"):
        unalike = write_similarity(read, out, settings)
    with watch("styling"):
        write_styling(read, out, settings)
    skipped = {part: why for part, why in (("similarity", unalike), ("preference", unjudged)) if why}
    with watch("report"):
        write_report(read, out, settings, gate, skipped)
    dgms = {dgm: {"name": model.name, **read.taken[dgm].summary()} for dgm, model in read.models.items()}
    found = {**read.found, "prompts": read.prompts, "dgms": dgms, "skipped": skipped}
    write_json(out / MARKER, {"complete": True, **found})
    tell(found, gate, out, watch.seconds)


def main(words: list[str] | None = None) -> None:
    """Analyse the file or folder that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m commands.analyse", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("out", type=Path, nargs="?")
    asked = parser.parse_args(words)
    analyse(asked.file, asked.out or default_out(asked.file))
