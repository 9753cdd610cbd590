"""Analyse replies that exist already, of several DGMs, with the pipeline's own functions: no DVC, no GPU. Not a stage.

python -m commands.analyse FILE [OUT]     FILE: parquet or JSON lines, or a folder of them; OUT: analysis/<its name>

OUT is like data/ of the pipeline: prompts, responses and verdicts of every DGM, similarity, styling, judgments and
preference if there are scores, and report/index.html; analysis.json counts the rows read and left out. Settings are
those of params.yaml, but all prompts count. Memory holds the prompts' texts, a key for each reply, and the texts of one
DGM at a time; similarity 500 turns of all DGMs, and 41 bytes for each pair of replies; the bootstrap its draws.
"""

import argparse
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from commands.analyse.columns import read_by_role
from commands.analyse.folder import MARKER, begin, check_out, default_out, scratch_folder
from commands.analyse.ingest import IngestedRows, assign_ids, ingest
from commands.analyse.judgments import write_judgments
from commands.analyse.model_rows import ModelRows
from commands.analyse.page import build_inputs
from commands.analyse.prompt_texts import write_prompts
from commands.analyse.screen import print_summary
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
from stages.lib.models.catalogue import Model, import_digest, save_model
from stages.lib.readers.reasons import UnreadableRows
from stages.lib.records.pairings import PAIRING
from stages.lib.records.shards import read_rows
from stages.lib.report import index
from stages.lib.settings.reading import load
from stages.lib.settings.sections import Generate, Preference, Report, Similarity, Styling, Validate
from stages.lib.similarity.pair_scores import PAIRS_FILE
from stages.lib.similarity.wordnet import open_wordnet
from stages.lib.statistics.bootstrap import MAX_QUESTIONS

MAX_CONVERSATIONS_SHOWN = 5_000  # of each DGM, on the page with conversations


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
class Source:
    """The replies of a source by model, and its counts for analysis.json; its prompts are in OUT."""

    models: dict[str, Model]  # by id
    rows: dict[str, ModelRows]  # by id
    num_prompts: int
    counts: Json


class Stopwatch:
    """Measures how many seconds each part took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Time a block."""
        start = time.perf_counter()
        yield
        self.seconds[part] = time.perf_counter() - start


def read_settings() -> Settings:
    """Read the settings of params.yaml."""
    return Settings(
        generate=load(Generate),
        validate=load(Validate),
        similarity=load(Similarity),
        styling=load(Styling),
        preference=load(Preference),
        report=load(Report),
    )


def adapt_settings(settings: Settings, num_prompts: int, *, synonyms: bool) -> Settings:
    """Change the settings so that all prompts count, as far as memory allows."""
    num_responses, num_shown = min(num_prompts, MAX_QUESTIONS), min(num_prompts, MAX_CONVERSATIONS_SHOWN)
    return replace(
        settings,
        similarity=settings.similarity.model_copy(update={"num_prompts": num_prompts, "synonyms": synonyms}),
        styling=settings.styling.model_copy(update={"num_responses": num_responses}),
        report=settings.report.model_copy(update={"num_conversations": num_shown}),
    )


def has_wordnet() -> bool:
    """Whether WordNet is installed; if not, a line says that METEOR counts no synonyms."""
    try:
        open_wordnet()
    except UserError:
        log_line(
            "WordNet is not installed, so METEOR counts no synonyms and is .008 lower; `make wordnet` downloads it"
        )
        return False
    return True


def read_source(path: Path, out: Path, scratch: Path) -> Source:
    """Sort the rows of a file or folder by model into `scratch`, then begin OUT with the prompts and the models."""
    unreadable = UnreadableRows()
    rows = progress(read_by_role(path, unreadable), desc="reading", unit="rows")
    ingested = ingest(rows, scratch, str(path), unreadable)
    begin(out)
    name, digest = path.resolve().name, import_digest(path)
    models = describe_models(ingested, name, digest)
    left_out = ingested.all_left_out()
    with new_folder(out / "prompts") as folder:
        by_turns = write_prompts(folder, ingested.prompts.rows(name))
        counts = {"rows": ingested.rows, "replies": ingested.rows - sum(left_out.values()), "left_out": left_out}
        write_json(folder / ROWS_SUMMARY, counts | {"prompts": by_turns.total(), "by_turns": by_turns})
    for model in models.values():
        save_model(out / "models" / model.id, model)
    return Source(
        models=models,
        rows={model.id: ingested.models[model.name] for model in models.values()},
        num_prompts=by_turns.total(),
        counts={
            "source": name,
            "sha256": digest,
            "rows": ingested.rows,
            "left_out": left_out,
            "models_without_a_reply": ingested.models_without_replies,
        },
    )


def describe_models(ingested: IngestedRows, source: str, digest: str) -> dict[str, Model]:
    """Describe the DGMs of a source, by id; each is an import of it."""
    known = {"location": source, "kind": "import", "commit": digest, "parameters_billions": 0.0}
    return {
        model: Model(id=model, name=name, context_window=0, **known)  # type: ignore[arg-type]
        for name, model in assign_ids(ingested.models).items()
    }


def write_responses(source: Source, out: Path, settings: Settings) -> None:
    """Write every DGM's replies to all prompts, `not_imported` where it has none."""
    for dgm, model in progress(source.models.items(), desc="responses", unit="DGMs"):
        config = dgm_config(model, settings.generate)
        conversations = ImportedConversations(model, config, source.rows[dgm].replies())
        generate.write_responses(conversations, generate.PromptFolder(out / "prompts"), out)


def write_verdicts(source: Source, out: Path, settings: Settings) -> dict[str, Json]:
    """Validate every DGM's replies; return the counts by DGM, as `gate` makes them."""
    for model in source.models.values():
        validate.write_verdicts(out, settings.validate, model, dgm_config(model, settings.generate))
    return {dgm: count_replies(dgm, out) for dgm in source.models}


def count_replies(dgm: str, out: Path) -> Json:
    """Return the counts of one DGM."""
    verdicts, responses = (read_json(out / name / dgm / ROWS_SUMMARY) for name in ("verdicts", "responses"))
    return count_verdicts(verdicts, responses["finish_reasons"])


def write_similarity(source: Source, out: Path, settings: Settings) -> str:
    """Compare every two DGMs; return the reason why there is nothing to show, else an empty text."""
    rows: dict[str, Iterable[Json]] = {
        dgm: read_rows(out / "responses" / dgm, similarity.RESPONSE_COLUMNS) for dgm in source.models
    }
    with new_folder(out / "similarity") as folder:
        similarity.write_similarity(folder, rows, settings.similarity)
    if len(source.models) < 2:
        return "there is one DGM only"
    if any(pair["rouge1"]["n"] for pair in read_json(out / "similarity" / PAIRS_FILE).values()):
        return ""
    reasons = format_counts(sum_counts([read_json(out / "similarity" / ROWS_SUMMARY)["unscorable"]]))
    return f"no two replies to the same prompt can be scored ({reasons})"


def write_styling(source: Source, out: Path, settings: Settings) -> None:
    """Measure the style of every DGM, alone and compared with every other on the prompts that both answered."""
    folders = {dgm: out / "responses" / dgm for dgm in source.models}
    counts = dict(styling.read_responses(folders, settings.styling))
    styling.write_style(out, styling.measure_style(counts, counts.items(), {}, settings.styling))


def write_preference(source: Source, out: Path, settings: Settings) -> str:
    """Compare the scores of a judge; return the reason why there is nothing to compare, else an empty text."""
    judgments = write_judgments(source.rows, out)
    if judgments.num_left_out:
        log_line(
            f"preference: {judgments.num_left_out} judgments are left out: only the first {MAX_QUESTIONS} prompts count"
        )
    if not judgments.has_scores:
        return "no row has a number in judge_score"
    tables, words = preference.measure_preference(judgments.tables, PAIRING.empty_table(), {}, settings.preference)
    preference.write_preference(out, tables, words)
    return ""


def write_report(
    source: Source, out: Path, settings: Settings, gate: dict[str, Json], skipped: Mapping[str, str]
) -> None:
    """Write the page; the sections of parts that an analysis does not have are skipped."""
    inputs = build_inputs(out, source.counts["source"], gate, skipped, settings.report)
    with new_folder(out / "report") as folder:
        index.write_report(folder, inputs)


def analyse(path: Path, out: Path) -> None:
    """Read, validate and compare the replies of a file or folder, write OUT, and print a summary."""
    settings, stopwatch = read_settings(), Stopwatch()
    check_out(path, out)
    with scratch_folder(out) as scratch:
        with stopwatch("reading"):
            source = read_source(path, out, scratch)
        settings = adapt_settings(settings, source.num_prompts, synonyms=has_wordnet())
        with stopwatch("responses"):
            write_responses(source, out, settings)
        with stopwatch("preference"):
            no_preference = write_preference(source, out, settings)
    with stopwatch("verdicts"):
        gate = write_verdicts(source, out, settings)
    with stopwatch("similarity"):
        no_similarity = write_similarity(source, out, settings)
    with stopwatch("styling"):
        write_styling(source, out, settings)
    reasons = {"similarity": no_similarity, "preference": no_preference}
    skipped = {part: reason for part, reason in reasons.items() if reason}
    with stopwatch("report"):
        write_report(source, out, settings, gate, skipped)
    dgms = {dgm: {"name": model.name, **source.rows[dgm].summary()} for dgm, model in source.models.items()}
    analysis = {**source.counts, "prompts": source.num_prompts, "dgms": dgms, "skipped": skipped}
    write_json(out / MARKER, {"complete": True, **analysis})
    print_summary(analysis, gate, out, stopwatch.seconds)


def main(arguments: list[str] | None = None) -> None:
    """Analyse the file or folder that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m commands.analyse", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("out", type=Path, nargs="?")
    options = parser.parse_args(arguments)
    analyse(options.file, options.out or default_out(options.file))
