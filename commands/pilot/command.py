"""Answer a few hundred prompts first, and print what the full run will take and what the replies are like. Not a stage.

python -m commands.pilot [DGM ...]              of all DGMs of params.yaml, or these

It makes the prompts and models that it needs, and writes only to the store, where `generate` finds the conversations
again: nothing is generated twice. Two notes beside them keep what the rows cannot tell: the pilot's pace (pace.json)
and what its replies were like (pilot.json). The result goes to the screen.
"""

import argparse
import subprocess
from collections.abc import Mapping, Sequence
from itertools import islice

import pyarrow as pa

from commands.pilot.forecasting.forecast import SampledPrompt
from commands.pilot.forecasting.pace import largest_pace
from commands.pilot.forecasting.prediction import predict
from commands.pilot.forecasting.steady_state import Stopwatch, TimedGeneration
from commands.pilot.job import PROMPTS, Job, PromptSize, Settings, load_settings, read_sizes
from commands.pilot.note import PilotNote, digest_asked, write_note
from commands.pilot.review import count, example_lines, find_verdicts, find_warnings, gate_message
from commands.pilot.screen import PilotResult, explanation, format_block, format_table
from commands.pilot.suitability import keep_chats, predict_order
from stages.lib.console.errors import MachineError, UserError
from stages.lib.console.shell import log_line
from stages.lib.core.sections import PARAMS, read_yaml
from stages.lib.core.types import Row
from stages.lib.engines.request import dgm_config, with_reply_format
from stages.lib.generation.place import open_store
from stages.lib.models.catalogue import Model, load_model
from stages.lib.records.shards import ROWS_PER_SHARD, read_rows
from stages.lib.settings.reading import load
from stages.lib.settings.sections import Suitability

NUM_CONVERSATIONS = 200


def make_prompts_and_models(dgms: Sequence[str], bases: Sequence[str]) -> None:
    """Run the stages before `generate`; a model that cannot be resolved is reported when its turn comes."""
    if subprocess.run(["dvc", "repro", "--quiet", "check", "prompts"], check=False).returncode:  # noqa: S607
        raise MachineError("the prompts could not be made; the lines above say why")
    known = read_yaml(PARAMS)["dgms"]
    stages = {model: "resolve" if model in known else "resolve_base" for model in (*dgms, *bases)}
    if targets := [f"{stage}@{model}" for model, stage in stages.items()]:
        subprocess.run(["dvc", "repro", "--quiet", "--keep-going", *targets], check=False)  # noqa: S607


def read_sample(num_conversations: int) -> list[Row]:
    """Read the first prompts, which are in keyed-hash order; raise UserError when there is none."""
    prompts = list(islice(read_rows(PROMPTS), num_conversations))
    if not prompts:
        raise UserError(f"{PROMPTS} holds no prompt")
    return prompts


def generate(prompts: list[Row], job: Job) -> tuple[pa.Table, Stopwatch | None]:
    """Take the conversations of these prompts from the store or generate them; the stopwatch is None if none was."""
    settings = job.settings
    generation = TimedGeneration(job.model, job.config, settings.generate.engine, job.store, settings.runtime)
    with job.store.exclusive():
        return generation.table(prompts), generation.stopwatch


def pilot(job: Job, prompts: list[Row]) -> PilotResult:
    """Answer some prompts with one DGM, review the replies, predict the rest."""
    table, stopwatch = generate(prompts, job)
    rows = table.to_pylist()
    verdicts = find_verdicts(rows, prompts, job)
    quality, counts = count(rows, prompts, verdicts, job)
    asked = digest_asked(job.model, job.config, job.settings.validate)
    dropped = counts.conversations - counts.kept
    write_note(job.store.folder, PilotNote(asked, counts.conversations, dict(counts.found), dropped))
    sample = [SampledPrompt(job.sizes[row["conversation_hash"]], row["turns"]) for row in rows]
    return PilotResult(
        dgm=job.dgm,
        name=job.model.name,
        quality=quality,
        kept=counts.kept,
        reasons=counts.found,
        dropping=set(counts.found) - set(job.settings.validate.report_only),
        examples=counts.examples,
        gate=gate_message(job, counts),
        forecast=predict(job, table, sample, *largest_pace(job, stopwatch)),
        warnings=list(find_warnings(job, quality, counts)),
        example=example_lines(rows[0]["turns"]),
        chats=keep_chats(rows, verdicts),
    )


def open_job(model: Model, settings: Settings, sizes: Mapping[str, PromptSize]) -> Job:
    """Return the job of a model that an engine or a server answers for."""
    config = with_reply_format(dgm_config(model, settings.generate), model, settings.generate.engine)
    return Job(model, config, settings, open_store(model.id), sizes)


def pilot_dgm(
    dgm: str, num_conversations: int, settings: Settings, sizes: Mapping[str, PromptSize]
) -> PilotResult | None:
    """Pilot one DGM and print its block; return None for an import."""
    model = load_model(dgm)
    if model.kind == "import":
        print(f"{dgm}: {model.name}\n  imported: its replies exist already, so there is nothing to predict\n")
        return None
    result = pilot(open_job(model, settings, sizes), read_sample(num_conversations))
    print("\n".join(format_block(result)), end="\n\n", flush=True)
    return result


def print_orders(results: Sequence[PilotResult], suitability: Suitability) -> list[str]:
    """Print which DGM suits each base model; return the base models that cannot read, after a line about each."""
    failed = []
    for base in suitability.bases:
        try:
            lines = predict_order({result.dgm: result.chats for result in results}, base, suitability)
            print("\n".join(["", *lines]), flush=True)
        except UserError as error:
            log_line(f"{base}: reads no replies: {str(error).removeprefix(f'{base}: ')}")
            failed.append(base)
    return failed


def parse_arguments(words: list[str] | None) -> argparse.Namespace:
    """Parse the command line; raise UserError for a DGM that params.yaml does not have."""
    parser = argparse.ArgumentParser(
        prog="python -m commands.pilot",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dgm", nargs="*")
    parser.add_argument(
        "-n", "--conversations", type=int, default=NUM_CONVERSATIONS, help=f"per DGM; default: {NUM_CONVERSATIONS}"
    )
    arguments = parser.parse_args(words)
    if not 1 <= arguments.conversations <= ROWS_PER_SHARD:
        parser.error(f"--conversations must be from 1 to {ROWS_PER_SHARD}")
    arguments.dgm = choose_dgms(arguments.dgm)
    return arguments


def choose_dgms(asked: Sequence[str]) -> list[str]:
    """Return the DGMs that were asked for, or all; raise UserError for one that params.yaml does not have."""
    known = list(read_yaml(PARAMS)["dgms"])
    if unknown := [dgm for dgm in asked if dgm not in known]:
        raise UserError(f"{unknown[0]!r} is not in dgms of {PARAMS}, which has: {', '.join(known)}")
    return list(asked) or known


def main(words: list[str] | None = None) -> None:
    """Pilot the DGMs of the command line, or all; one that cannot be piloted does not stop the others."""
    arguments = parse_arguments(words)
    suitability = load(Suitability)
    make_prompts_and_models(arguments.dgm, suitability.bases)
    settings, sizes = load_settings(), read_sizes()
    results, failed = list[PilotResult](), list[str]()
    for dgm in arguments.dgm:
        try:
            result = pilot_dgm(dgm, arguments.conversations, settings, sizes)
            results += [result] if result else []
        except UserError as error:
            log_line(f"{dgm}: no pilot: {str(error).removeprefix(f'{dgm}: ')}")
            failed.append(dgm)
    if results:
        print("\n".join([*format_table(results), "", *explanation(arguments.conversations, settings.runtime)]))
        failed += print_orders(results, suitability)
    if failed:
        raise UserError(f"no pilot of {', '.join(failed)}; the lines above say why")
