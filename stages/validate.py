"""Keep or drop each conversation, with every reason (paper, App. F). Never fails on content: that is the gate's work.

In:  data/responses/<dgm>/, data/prompts/, models/<dgm>/model.json
Out: data/verdicts/<dgm>/: one shard for each shard of responses; .shards.json says what was read; .summary.json counts,
     with examples by reason
"""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from stages.lib.console.shell import log_line, progress
from stages.lib.core.files import ROWS_SUMMARY, new_folder, read_json, sha256_file, write_json
from stages.lib.core.workers import choose_num_processes, start_workers
from stages.lib.engines.request import RequestConfig, dgm_config
from stages.lib.models.catalogue import Model, load_model
from stages.lib.models.reply_format import ReplyFormat
from stages.lib.records.shards import write_rows
from stages.lib.records.verdicts import VERDICT
from stages.lib.settings.reading import load, run
from stages.lib.settings.sections import Generate, Validate
from stages.lib.validation.prompt_index import PromptIndex
from stages.lib.validation.shard_reader import ShardReader
from stages.lib.validation.verdicts import VerdictCounts, check_conversation

TEMPERATURES = (0.3, 1.2)  # App. F warns of others
CONVERSATIONS_PER_TASK = 100  # that a process takes at a time
CONVERSATIONS_PER_PROCESS = 5_000  # from which on another process is worth its start
MAX_PROCESSES = 8  # more would wait for the conversations, which one process reads


def write_verdicts(data: Path, settings: Validate, model: Model, config: RequestConfig) -> None:
    """Check the conversations in <data>/responses/<dgm> and write <data>/verdicts/<dgm>."""
    prompts = PromptIndex(data / "prompts")
    counts = VerdictCounts()
    shards: dict[str, ShardReader] = {}
    check = partial(check_conversation, settings=settings, model=model, config=config)
    num_processes = choose_num_processes(len(prompts), CONVERSATIONS_PER_PROCESS, MAX_PROCESSES)
    files = sorted((data / "responses" / model.id).glob("*.parquet"))
    with (
        new_folder(data / "verdicts" / model.id) as folder,
        start_workers(num_processes, "checked conversations") as map_in_order,
    ):
        for number, file in enumerate(files):
            shard = shards[file.name] = ShardReader(sha256_file(file))
            rows = progress(shard.read(file), desc=f"{model.id} {file.name}", unit="conversations")
            found = ((row, prompts.find(row["conversation_hash"])) for row in rows)
            verdicts = map_in_order(check, found, CONVERSATIONS_PER_TASK)
            write_rows(folder, number, counts.counted(verdicts, settings), VERDICT)
            if shard.problem:
                log_line(f"{model.id}: {file} is damaged or has wrong columns: {shard.problem}")
        write_json(folder / ".shards.json", {name: asdict(shard) for name, shard in shards.items()})
        write_json(folder / ROWS_SUMMARY, summarize(counts, shards, prompts.missing) | warnings(model, config))


def summarize(counts: VerdictCounts, shards: dict[str, ShardReader], missing: int) -> dict[str, Any]:
    """Return the counts of verdicts, shards and missing conversations."""
    return {
        **vars(counts),
        "missing": missing,
        "shards": len(shards),
        "unreadable_shards": sum(bool(shard.problem) for shard in shards.values()),
    }


def warnings(model: Model, config: RequestConfig) -> dict[str, bool]:
    """Return whether the params do what App. F warns of."""
    low, high = TEMPERATURES
    return {"temperature_outside": model.kind != "import" and not low <= config.sampling.temperature <= high}


def read_config(data: Path, model: Model, generate: Generate) -> RequestConfig:
    """Return how a DGM was asked: by the params, and in the format of replies that its responses say."""
    summary = data / "responses" / model.id / ROWS_SUMMARY
    known = read_json(summary).get("reply_format", {}) if summary.exists() else {}
    return replace(dgm_config(model, generate), reply_format=ReplyFormat.from_json(known))


READS = ("validate", "generate")


def main(dgm: str) -> None:
    """Check every conversation and every shard of one DGM."""
    model = load_model(dgm)
    data = Path("data")
    write_verdicts(data, load(Validate), model, read_config(data, model, load(Generate)))


if __name__ == "__main__":
    run(main)
