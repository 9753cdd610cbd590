"""Answer a few hundred prompts first, and say what the full run will take and how the replies look. Not a stage.

python -m commands.pilot [DGM ...]              of all DGMs of params.yaml, or these

It brings the prompts and models that it needs, and writes nothing but the store, where `generate` finds the
conversations again: nothing is paid twice. A note beside them (pace.json) keeps the speed of the busy part, which the
rows cannot tell a second pilot. The page goes to the screen.
"""

import argparse
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from commands.pilot.forecast import Forecast, Sampled, num_grown, seconds, total
from commands.pilot.quality import Quality
from commands.pilot.screen import Piloted, block, compare, notes
from commands.pilot.throughput_sample import Pace, Stopwatch, TimedGeneration, busy_part
from stages.gate import find_stop_reason
from stages.generate import LEDGER
from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.core.files import read_json, write_json
from stages.lib.core.sections import PARAMS, read_yaml
from stages.lib.core.text import escape_unprintable
from stages.lib.engines.request import RequestConfig, dgm_config, identity
from stages.lib.generation.costs import COST, gpu_hours, money
from stages.lib.generation.store import Store, read_segment, store_folder
from stages.lib.models.catalogue import Model, load_model
from stages.lib.records.responses import RESPONSE, Turn
from stages.lib.records.shards import ROWS_PER_SHARD, read_rows
from stages.lib.settings.reading import load
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import Gate, Generate, Throughput, Validate
from stages.lib.validation.check_input import CheckInput
from stages.lib.validation.verdicts import VerdictCounts, make_verdict
from stages.validate import TEMPERATURES

PROMPTS = Path("data/prompts")
NUM_CONVERSATIONS = 200
EXAMPLE_CHARS = 400
MAX_CUT, MAX_LEAKED, MAX_ELSEWHERE = 0.15, 0.02, 0.3  # shares above which the page warns
MIN_TOLD = 5  # replies in a language, until a share of them means something

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Settings:
    """The sections of params.yaml that the pilot reads."""

    generate: Generate
    validate: Validate
    gate: Gate
    runtime: Runtime
    price_per_gpu_hour: float


@dataclass(frozen=True, slots=True)
class Job:
    """One DGM, how it is asked and judged, and where its conversations are kept."""

    model: Model
    config: RequestConfig
    settings: Settings
    store: Store
    turns: Counter[int]  # all prompts, by how many turns they ask

    @property
    def dgm(self) -> str:
        """Its id."""
        return self.model.id


def bring(dgms: Sequence[str]) -> None:
    """Make the checked params and the prompts, and resolve the models; one that fails is named when its turn comes."""
    if subprocess.run(["dvc", "repro", "--quiet", "check", "prompts"], check=False).returncode:  # noqa: S607
        raise UserError("the prompts could not be made; the lines above say why")
    targets = [f"resolve@{dgm}" for dgm in dgms]
    subprocess.run(["dvc", "repro", "--quiet", "--keep-going", *targets], check=False)  # noqa: S607


def ask(prompts: list[Row], job: Job) -> tuple[pa.Table, Stopwatch | None]:
    """Take the conversations of these prompts from the store or generate them; None: no engine was started."""
    settings = job.settings
    generation = TimedGeneration(job.model, job.config, settings.generate.engine, job.store, settings.runtime)
    with job.store.exclusive():
        return generation.table(prompts), generation.stopwatch


def pace_of(job: Job, watch: Stopwatch | None) -> tuple[Pace, str]:
    """The busy part of this pilot, or of an earlier and larger one that left a note in the store; and the hardware."""
    note = job.store.folder / "pace.json"
    same = {"of": what_is_timed(job)}
    known = read_json(note) if note.exists() else {}
    if watch and watch.spans:
        pace = busy_part(watch.spans)
        new = same | {"hardware": watch.hardware, "pace": asdict(pace)}
        if any(known.get(key) != new[key] for key in ("of", "hardware")) or pace.at_once >= known["pace"]["at_once"]:
            write_json(note, new)
            return pace, watch.hardware
    if known.get("of") == same["of"]:
        return Pace(**known["pace"]), known["hardware"]
    return Pace(0, 0, 0), ""


def what_is_timed(job: Job) -> list[object]:
    """What besides the hardware a speed depends on, as JSON holds it."""
    model, config = job.model, job.config
    asked = [config.max_tokens, config.window, config.sampling.model_dump(), job.settings.runtime.max_concurrent]
    return [model.commit, model.quantization, model.dtype, *asked]


def count_turns() -> Counter[int]:
    """How many prompts ask how many turns."""
    found = Counter[int]()
    for file in sorted(PROMPTS.glob("*.parquet")):
        lengths = pc.list_value_length(pq.read_table(file, columns=["turns"])["turns"])
        found.update(lengths.to_pylist())
    return found


def prompts_among(hashes: pa.Array) -> Iterator[Row]:
    """The prompts whose conversation_hash is one of these."""
    for file in sorted(PROMPTS.glob("*.parquet")):
        hits = pc.is_in(pq.read_table(file, columns=["conversation_hash"])["conversation_hash"], value_set=hashes)
        if pc.any(hits).as_py():
            yield from pq.read_table(file).filter(hits).to_pylist()


def stored(job: Job) -> tuple[pa.Table, Counter[int]]:
    """What the conversations in the store that `generate` would use cost, and how many they are by turns."""
    tables = [read_segment(segment, ["conversation_hash"]) for segment in job.store.segments()]
    hashes = pa.concat_tables([table for table in tables if table is not None])["conversation_hash"].combine_chunks()
    engine = job.settings.generate.engine
    turns = {identity(row, job.model, job.config, engine): len(row["turns"]) for row in prompts_among(hashes)}
    found = job.store.find(list(turns), job.config.max_tokens, job.config.window)
    return job.store.read(list(found.values()), [name for name, _ in COST]), Counter(turns[name] for name in found)


def busiest(costs: pa.Table) -> str:
    """The hardware that most tokens of some rows came from."""
    tokens = Counter[str]()
    for row in costs.to_pylist():
        tokens[row["hardware"]] += row["prompt_tokens"] + row["completion_tokens"]
    return tokens.most_common(1)[0][0] if tokens else ""


def rate(costs: pa.Table) -> float:
    """Tokens in and out per second of wall time; 0 when no time was charged."""
    took = pc.sum(costs["seconds"]).as_py() or 0.0
    tokens = pc.sum(pc.add(costs["prompt_tokens"], costs["completion_tokens"])).as_py() or 0
    return float(tokens / took) if took else 0.0


def on_disk(table: pa.Table) -> float:
    """Bytes per row of a table as parquet, without what a file of no rows has."""
    return float((num_bytes(table) - num_bytes(table.slice(0, 0))) / table.num_rows)


def num_bytes(table: pa.Table) -> int:
    """The size of a table as parquet."""
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd")
    return int(buffer.getvalue().size)


def predict(job: Job, table: pa.Table, sample: list[Sampled], paced: tuple[Pace, str]) -> Forecast:
    """What the conversations that the store lacks will take, from the pilot's own and the speed of all in the store."""
    costs, have = stored(job)
    todo = job.turns - have
    pace, hardware = paced
    timed = costs.filter(pc.greater(costs["seconds"], 0))
    hardware = hardware or busiest(timed)
    same = timed.filter(pc.equal(timed["hardware"], hardware))
    prompt, completion = (total(sample, todo, kind, job.config) for kind in ("prompt_tokens", "completion_tokens"))
    wall = seconds(prompt.tokens + completion.tokens, [pace.tokens_per_second, rate(same)])
    hours = gpu_hours(wall, job.model.tensor_parallel, hardware) if wall else None
    conversations = todo.total() + costs.num_rows
    return Forecast(
        todo=todo.total(),
        of=conversations,
        grown=num_grown(sample, todo),
        prompt=prompt,
        completion=completion,
        hardware=hardware,
        other_hardware=timed.num_rows - same.num_rows,
        pace=pace,
        whole_rate=rate(same),
        wall=wall,
        gpu_hours=hours,
        money=money(hours, job.settings.price_per_gpu_hour),
        store_bytes=on_disk(table) * conversations,
        responses_bytes=(on_disk(table.select(RESPONSE.names)) + on_disk(table.select(LEDGER.names))) * conversations,
    )


def judge(rows: list[Row], prompts: list[Row], job: Job) -> tuple[Quality, VerdictCounts]:
    """Hold every conversation against its prompt, as `validate` does, and count what the replies look like."""
    quality, tally = Quality(), VerdictCounts()
    for row, prompt in zip(rows, prompts, strict=True):
        found = make_verdict(CheckInput(row, prompt, job.settings.validate, job.model, job.config))
        tally.add(found)
        quality.add(row["turns"], prompt, found["reasons"])
    return quality, tally


def gate_says(job: Job, tally: VerdictCounts) -> str:
    """Why the stage `gate` would stop the pipeline if all conversations were like these; empty when it would not."""
    summary = {**vars(tally), "missing": 0, "shards": 0, "unreadable_shards": 0}
    said = find_stop_reason(job.dgm, summary, job.settings.gate)
    return said.partition(". Look at")[0].removeprefix(f"{job.dgm}: ")


def warnings(job: Job, quality: Quality, tally: VerdictCounts) -> Iterator[str]:
    """What is plainly wrong with a pilot, in words."""
    config, failed = job.config, tally.found["failed"]
    if failed > job.settings.generate.max_failed_share * tally.conversations:
        yield f"{failed} of {tally.conversations} conversations failed: the engine could not answer them"
    if (cut := quality.share(quality.cut)) > MAX_CUT:
        yield (
            f"{cut:.0%} of the replies were cut at the limit: max_tokens {config.max_tokens} is too low, or the model "
            "does not end its turns"
        )
    if quality.leaked > MAX_LEAKED * quality.conversations:
        yield (
            f"{quality.leaked} of {quality.conversations} conversations hold control tokens or pieces of a template: "
            "the chat template or its stop tokens are wrong"
        )
    if why := gate_says(job, tally):
        yield f"`gate` would stop the pipeline: {why}"
    low, high = TEMPERATURES
    if not low <= config.sampling.temperature <= high:
        yield f"temperature {config.sampling.temperature} is outside {low} to {high}, where App. F warns of bad answers"
    for name, told in quality.told.items():
        if told >= MIN_TOLD and quality.elsewhere[name] > MAX_ELSEWHERE * told:
            yield f"{quality.elsewhere[name]} of {told} replies to messages in {name} are in another language"


def clipped(text: str) -> list[str]:
    """The beginning of a text as lines, with what does not print made visible."""
    return escape_unprintable(text, EXAMPLE_CHARS).split("\n")


def example(turns: Sequence[Turn]) -> list[str]:
    """The first turn of a conversation, as lines."""
    said = [("user", turns[0]["user"]), ("reply", turns[0]["raw"] or turns[0]["assistant"])] if turns else []
    return [
        f"{who if number == 0 else '':<6}| {line}" for who, text in said for number, line in enumerate(clipped(text))
    ]


def pilot(job: Job, number: int) -> Piloted:
    """Answer the first prompts with one DGM, judge the replies, predict the rest."""
    prompts = list(islice(read_rows(PROMPTS), number))
    if not prompts:
        raise UserError(f"{PROMPTS} holds no prompt")
    table, watch = ask(prompts, job)
    rows = table.to_pylist()
    quality, tally = judge(rows, prompts, job)
    sample = [Sampled(len(prompt["turns"]), row["turns"]) for row, prompt in zip(rows, prompts, strict=True)]
    return Piloted(
        dgm=job.dgm,
        name=job.model.name,
        quality=quality,
        kept=tally.kept,
        reasons=tally.found,
        dropping=set(tally.found) - set(job.settings.validate.report_only),
        examples=tally.examples,
        gate=gate_says(job, tally),
        forecast=predict(job, table, sample, pace_of(job, watch)),
        warnings=list(warnings(job, quality, tally)),
        example=example(rows[0]["turns"]),
    )


def try_pilot(dgm: str, number: int, settings: Settings, turns: Counter[int]) -> Piloted | None:
    """The pilot of one DGM, told on the screen; None when there is nothing to pilot."""
    model = load_model(dgm)
    if model.kind == "import":
        print(f"{dgm}: {model.name}\n  imported: its replies exist already, so there is nothing to predict\n")
        return None
    job = Job(model, dgm_config(model, settings.generate), settings, Store(store_folder(), dgm), turns)
    found = pilot(job, number)
    print("\n".join(block(found)), end="\n\n", flush=True)
    return found


def read_words(words: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m commands.pilot",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dgm", nargs="*")
    parser.add_argument(
        "-n", "--conversations", type=int, default=NUM_CONVERSATIONS, help=f"per DGM; {NUM_CONVERSATIONS} if not said"
    )
    asked = parser.parse_args(words)
    if not 1 <= asked.conversations <= ROWS_PER_SHARD:
        parser.error(f"--conversations must be from 1 to {ROWS_PER_SHARD}")
    return asked


def main(words: list[str] | None = None) -> None:
    """Pilot the DGMs that the command line names, or all; one that cannot be piloted does not keep the others."""
    asked = read_words(words)
    known = read_yaml(PARAMS)["dgms"]
    dgms = asked.dgm or known
    if unknown := [dgm for dgm in dgms if dgm not in known]:
        raise UserError(f"{unknown[0]!r} is not in dgms of {PARAMS}, which has: {', '.join(known)}")
    bring(dgms)
    settings = Settings(
        load(Generate),
        load(Validate),
        load(Gate),
        load(Runtime),
        load(Throughput).price_per_gpu_hour,
    )
    turns, pilots, failed = count_turns(), list[Piloted](), list[str]()
    for dgm in dgms:
        try:
            found = try_pilot(dgm, asked.conversations, settings, turns)
            pilots += [found] if found else []
        except UserError as error:
            log_line(f"{dgm}: no pilot: {str(error).removeprefix(f'{dgm}: ')}")
            failed.append(dgm)
    if pilots:
        print("\n".join([*compare(pilots), "", *notes(asked.conversations, settings.runtime)]))
    if failed:
        raise UserError(f"no pilot of {', '.join(failed)}; the lines above say why")
