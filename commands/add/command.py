"""A new model came out: where does it stand among the DGMs of this profile? Not a stage.

python -m commands.add MODEL [--id ID] [--num NUM] [--calls CALLS]

MODEL is a repository of the hub, a folder of weights, or an id of the catalogue. The command writes dgms/<id>.yaml from
the model's own files unless it is there, pins it, lets it answer the first NUM prompts as `make pilot` does, and
compares it with what the DGMs replied to them before: nothing that the store holds is asked again. The judge compares
it with five DGMs, in at most CALLS replies. The screen has the answer, standing/<id>/index.html all of it, and
metrics/standing.json a row that git keeps.
"""

import argparse
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from commands.add.choices import CALLS, NUM_ANCHORS, ORDERS, stand
from commands.add.entry import check_id, find_entry, make_id, write_entry
from commands.add.field import DATA, Sample, is_paid, take_field, take_sample
from commands.add.likeness import build_grid, choose_anchors, measure_similarity, read_spread
from commands.add.page import write_pages
from commands.add.placement import STANDING, Placement, describe_sample, nearest_first, to_row, write_row
from commands.add.screen import describe as describe_placement
from commands.add.source import open_source
from commands.add.suitability import suit_bases
from commands.add.template import find_warnings
from commands.pilot.command import NUM_CONVERSATIONS, make_prompts_and_models, open_job, pilot, read_sample
from commands.pilot.job import Settings, load_settings, read_sizes
from commands.pin import pin
from stages.lib.checking.weights import find_weights_faults
from stages.lib.console.errors import UserError
from stages.lib.console.faults import describe
from stages.lib.console.formats import format_counts
from stages.lib.console.shell import log_line
from stages.lib.core.names import NO_JUDGE, NOBODY_JUDGED
from stages.lib.core.sections import PARAMS, read_yaml
from stages.lib.core.types import Json
from stages.lib.models.catalogue import CATALOGUE, Entry, Model, check_copy, read_entry
from stages.lib.models.hub import COMMIT, COPIES, find_copy
from stages.lib.records.shards import ROWS_PER_SHARD
from stages.lib.settings.reading import load
from stages.lib.settings.sections import Differences, Judge, Similarity, Styling, Suitability, Throughput
from stages.lib.statistics.bootstrap import Bootstrap
from stages.lib.style.distances import measure_distances
from stages.resolve import resolve

MOST_CALLS = 1_000_000
LISTS = {"dgms": "so that it answers all prompts", "compare": "so that it is evaluated and judged; needs weights"}


def register(text: str, asked: str) -> str:
    """Write and pin the catalogue file of what MODEL names, as far as that is to do; return its id."""
    if not Path(text).is_dir() and (CATALOGUE / f"{text}.yaml").is_file():
        model = text
    else:
        source = open_source(text, asked or make_id(text.rpartition("/")[2]))
        model = check_id(asked or find_entry(source) or make_id(source.name))
        if model in ((read_yaml(PARAMS).get("mix") or {}).get("runs") or {}):
            raise UserError(f"{model} is a run of {PARAMS}: name a free id, as ID=…")
        for line in write_entry(model, source):
            log_line(f"{model}: {line}")
    pin_entry(model, read_entry(model))
    return model


def pin_entry(model: str, entry: Entry) -> None:
    """Pin an entry that has no pin; raise UserError where there is nothing to ask or load."""
    file = f"{CATALOGUE / model}.yaml"
    if entry.import_:
        raise UserError(
            f"{file} is an import, whose replies exist already: add it to `dgms`, `make compare` compares it"
        )
    if entry.path and (faults := list(find_weights_faults(entry, file))):
        raise UserError(describe(faults))
    if entry.repository and COPIES in os.environ:
        if not re.fullmatch(COMMIT, entry.revision):
            log_line(f"{model}: not pinned, as ${COPIES} holds files without a commit")
    elif entry.on_hub or (entry.path and not entry.revision):
        log_line(f"{model}: {pin(model)}")


def resolve_model(model: str, entry: Entry) -> Model:
    """Return the exact model of an entry, as `resolve` and `load_model` make it, but without a file."""
    resolved = resolve(model, entry)
    copy = (
        check_copy(find_copy(resolved.location, resolved.commit, model), resolved) if resolved.kind == "hub" else None
    )
    return resolved.model_copy(update={"kind": "local", "location": str(copy.folder)}) if copy else resolved


@dataclass(frozen=True)
class Answers:
    """What the model and the DGMs replied to the prompts."""

    prompts: int
    own: Sample
    field: list[Sample]
    left_out: Mapping[str, str]  # DGMs, and why
    warnings: list[str]


def place(model: Model, num_prompts: int, calls: int) -> Placement:
    """Let a model answer the prompts, and find out where it stands."""
    params, settings, judge, suitability = read_yaml(PARAMS), load_settings(), load(Judge), load(Suitability)
    others = [dgm for dgm in params["dgms"] if dgm != model.id]
    judges = [judge.model] if judge.model != NO_JUDGE else []
    make_prompts_and_models([dgm for dgm in others if is_paid(dgm)], [*judges, *suitability.bases])
    answers = answer_prompts(model, others, num_prompts, settings)
    own, field, styling = answers.own, answers.field, load(Styling)
    grid = build_grid([own, *field], styling)
    similarity = measure_similarity(own, field, load(Similarity).synonyms)
    anchors = choose_anchors(grid, [sample.id for sample in field], NUM_ANCHORS)
    standings, no_judge = ask_judge(own, [sample for sample in field if sample.id in anchors], calls, judge, settings)
    suited = suit_bases(own, field, suitability)
    return Placement(
        own=describe_sample(own, grid),
        commit=model.commit,
        profile=params["profile"],
        prompts=answers.prompts,
        dgms=nearest_first([describe_sample(sample, grid) for sample in field], similarity),
        similarity=similarity,
        style=measure_distances(model.id, grid, Bootstrap(grid.questions, styling.resamples, styling.seed)),
        judge="" if no_judge else judge.model,
        calls=calls,
        standings=standings,
        no_judge=no_judge,
        suitability=suited,
        left_out=answers.left_out,
        notes=[*answers.warnings, *list_notes(own, field, [judge.model, *anchors], suited)],
        add_to=list_additions(model.id, params),
        samples=[own, *field],
    )


def answer_prompts(model: Model, others: Sequence[str], num_prompts: int, settings: Settings) -> Answers:
    """Let a model answer the first prompts as a pilot does; take what the other DGMs replied before."""
    warnings = find_warnings(model, read_entry(model.id), settings.generate) if model.kind != "server" else []
    for warning in warnings:
        log_line(f"{model.id}: {warning}")
    prompts, throughput = read_sample(num_prompts), load(Throughput)
    job = open_job(model, settings, read_sizes())
    result = pilot(job, prompts)
    field, left_out = take_field(others, prompts, settings, throughput)
    own = take_sample(job, prompts, throughput)
    return Answers(len(prompts), own, field, left_out, [*warnings, *result.warnings])


def ask_judge(
    own: Sample, anchors: Sequence[Sample], calls: int, judge: Judge, settings: Settings
) -> tuple[list[Json], str]:
    """Have the judge compare a model with the anchors; return how it stands, and why nobody judged."""
    if judge.model == NO_JUDGE:
        return [], NOBODY_JUDGED
    if not anchors:
        return [], "there is no DGM to compare it with"
    if calls < ORDERS * len(anchors):
        return [], f"{calls} judge replies are too few for {len(anchors)} DGMs"
    try:
        return stand(own, anchors, calls, load(Differences).margin_choices, judge, settings.runtime), ""
    except UserError as error:
        return [], f"the judge could not be asked ({error})"


def list_notes(own: Sample, field: Sequence[Sample], judges: Sequence[str], suited: Sequence[Json]) -> Iterator[str]:
    """Yield what validation found, and what limits the comparison; `judges` are the judge and the DGMs that it sees."""
    if own.counts.found:
        yield f"validation found, by conversations: {format_counts(dict(own.counts.found.most_common()))}"
    if judges[0] in {own.id, *judges[1:]}:
        yield f"{judges[0]} judges its own replies too"
    yield from (f"{row['base']} has read no DGM yet: `make pilot` gives places" for row in suited if not row["dgms"])
    hardware = {sample.id: ", ".join(sample.costs.get("hardware", [])) for sample in (own, *field)}
    if len(set(filter(None, hardware.values()))) > 1:
        yield f"time is not comparable, as not all ran on one hardware; {own.id}: {hardware[own.id] or 'a server'}"
    if spread := read_spread(DATA / "similarity"):
        yield f"two DGMs of the profile are {spread[0]:.3f} to {spread[1]:.3f} alike (data/similarity)"


def list_additions(model: str, params: Json) -> dict[str, str]:
    """Return for each list of params.yaml that a model may be in why, and `is there` where it is."""
    bases = "; take it out of `bases` then" if model in params["bases"] else ""
    return {
        name: "" if model in (params.get(name) or []) else why + (bases if name == "dgms" else "")
        for name, why in LISTS.items()
    }


def parse_arguments(words: list[str] | None) -> argparse.Namespace:
    """Parse the command line; raise UserError for numbers that are none."""
    parser = argparse.ArgumentParser(
        prog="python -m commands.add", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--id", default="")
    parser.add_argument("--num", default=str(NUM_CONVERSATIONS))
    parser.add_argument("--calls", default=str(CALLS))
    options = parser.parse_args(words)
    if not options.model.strip():
        raise UserError("name a model: make add MODEL=<owner>/<name>, or a folder of weights")
    options.num = read_number("NUM", options.num, 1, ROWS_PER_SHARD)
    options.calls = read_number("CALLS", options.calls, 0, MOST_CALLS)
    return options


def read_number(name: str, text: str, least: int, most: int) -> int:
    """Return a number; raise UserError where it is none, or out of range."""
    if not text.isdecimal() or not least <= int(text) <= most:
        raise UserError(f"{name}={text}: name a number from {least} to {most:,}")
    return int(text)


def main(words: list[str] | None = None) -> None:
    """Add a model to the catalogue, and say where it stands."""
    options = parse_arguments(words)
    name = register(options.model.strip().rstrip("/"), options.id.strip())
    placement = place(resolve_model(name, read_entry(name)), options.num, options.calls)
    page = write_pages(placement)
    write_row(name, to_row(placement))
    for line in describe_placement(placement):
        print(line)
    print(f"the page: {page}; its row: {STANDING}")
