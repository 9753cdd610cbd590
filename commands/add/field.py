"""The field: what each DGM of the profile replied to the same prompts, as far as it was generated before.

Nothing is generated for it. The conversations are those of the store, asked as params.yaml asks now, or where the store
lacks them, as after `dvc pull`, those of data/responses.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa

from commands.pilot.command import open_job
from commands.pilot.job import Job, Settings
from commands.pilot.quality import Quality
from commands.pilot.review import count, find_verdicts
from commands.pilot.suitability import keep_chats
from stages.generate import LEDGER
from stages.lib.console.errors import UserError
from stages.lib.core.types import Json, Row
from stages.lib.engines.request import identity
from stages.lib.generation.costs import COST
from stages.lib.generation.kept import KEEP
from stages.lib.generation.place import open_store
from stages.lib.models.catalogue import MODELS, load_model
from stages.lib.records.shards import read_rows
from stages.lib.settings.sections import Throughput
from stages.lib.suitability.kept_chats import Chats
from stages.lib.validation.verdicts import VerdictCounts
from stages.throughput import measure
from stages.validate import read_config

LEAST_PROMPTS = 20  # that a DGM must have answered, or all if fewer were asked
DATA = Path("data")
NO_COST = {name: "" if pa.types.is_string(kind) else 0 for name, kind in COST}
LEDGER_COLUMNS = pa.schema([*LEDGER, (KEEP, pa.bool_())])


@dataclass(frozen=True)
class Sample:
    """What one model replied to the prompts, and what is known of these conversations."""

    id: str
    name: str
    rows: dict[str, Row]  # of RESPONSE with COST, by conversation_hash
    quality: Quality
    counts: VerdictCounts
    costs: Json  # as in the entry of a DGM in metrics/throughput.json
    chats: Chats  # those that validation keeps


def take_sample(job: Job, prompts: Sequence[Row], throughput: Throughput) -> Sample:
    """Take a model's conversations on these prompts, validate them and measure what they cost."""
    rows = {row["conversation_hash"]: row for row in find_rows(job, prompts)}
    answered = [prompt for prompt in prompts if prompt["conversation_hash"] in rows]
    in_order = [rows[prompt["conversation_hash"]] for prompt in answered]
    verdicts = find_verdicts(in_order, answered, job)
    quality, counts = count(in_order, answered, verdicts, job)
    kept = [{**row, KEEP: verdict["keep"]} for row, verdict in zip(in_order, verdicts, strict=True)]
    table = pa.Table.from_pylist([{name: row[name] for name in LEDGER_COLUMNS.names} for row in kept], LEDGER_COLUMNS)
    ledger = {
        "context_window": job.model.context_window,
        "parameters_billions": job.model.parameters_billions,
        "tensor_parallel": job.model.tensor_parallel,
        "hardware": sorted({row["hardware"] for row in in_order} - {""}),
    }
    costs, _ = measure(ledger, table, throughput)
    return Sample(job.dgm, job.model.name, rows, quality, counts, costs, keep_chats(in_order, verdicts))


def find_rows(job: Job, prompts: Sequence[Row]) -> list[Row]:
    """Return a model's conversations on these prompts, as far as there are any."""
    if job.model.kind == "import":
        return list(read_made(job.dgm, prompts))
    engine = job.settings.generate.engine
    names = [identity(prompt, job.model, job.config, engine) for prompt in prompts]
    stored = job.store.find(names, job.config.max_tokens, job.config.window)
    if len(stored) == len(prompts):
        return list(job.store.read(list(stored.values())).to_pylist())
    made = {row["identity"]: row for row in read_made(job.dgm, prompts) if row["identity"] in set(names)}
    if stored:
        made |= {row["identity"]: row for row in job.store.read(list(stored.values())).to_pylist()}
    return list(made.values())


def read_made(dgm: str, prompts: Sequence[Row]) -> Iterator[Row]:
    """Yield the conversations on these prompts that data/responses holds, which has them in the prompts' order."""
    wanted = {prompt["conversation_hash"] for prompt in prompts}
    ledger = islice(read_rows(DATA / "ledger" / dgm), len(prompts))
    costs = {row["identity"]: row for row in ledger}
    for row in islice(read_rows(DATA / "responses" / dgm), len(prompts)):
        if row["conversation_hash"] in wanted and row["status"] != "not_imported":
            known = costs.get(row["identity"], NO_COST)
            yield row | {name: known[name] for name in NO_COST}


def is_paid(dgm: str) -> bool:
    """Tell whether anything was generated or imported for a DGM."""
    return bool(open_store(dgm).segments()) or (DATA / "responses" / dgm).is_dir()


def open_peer(dgm: str, settings: Settings) -> Job:
    """Return the job of a DGM of the profile; raise UserError where it is not known how it was asked."""
    if not (MODELS / dgm / "model.json").exists():
        raise UserError("it could not be resolved")
    model = load_model(dgm)
    if model.kind != "import" and not (DATA / "responses" / dgm).is_dir():
        return open_job(model, settings, {})
    config = read_config(DATA, model, settings.generate)  # in the format of replies that its responses say
    return Job(model, config, settings, open_store(dgm), {})


def take_field(
    dgms: Sequence[str], prompts: Sequence[Row], settings: Settings, throughput: Throughput
) -> tuple[list[Sample], Mapping[str, str]]:
    """Return the samples of the DGMs that answered enough of the prompts, and why each of the others is left out."""
    samples, left_out = list[Sample](), dict[str, str]()
    least = min(LEAST_PROMPTS, len(prompts))
    for dgm in dgms:
        try:
            if not is_paid(dgm):
                raise UserError(f"it has answered nothing yet: `make pilot DGM={dgm}` pays for these prompts")
            sample = take_sample(open_peer(dgm, settings), prompts, throughput)
        except UserError as error:
            left_out[dgm] = str(error).removeprefix(f"{dgm}: ")
            continue
        if len(sample.rows) >= least:
            samples.append(sample)
        else:
            left_out[dgm] = (
                f"of these prompts it has answered {len(sample.rows)} as params.yaml asks now, and {least} are needed: "
                f"`make pilot DGM={dgm}`"
            )
    return samples, left_out
