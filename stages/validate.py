"""Keep or drop each conversation, with every reason (paper, App. F). Never fails on content: that is the gate's work.

In:  data/responses/<dgm>/, data/prompts/, models/<dgm>/model.json
Out: data/verdicts/<dgm>/: one shard for each shard of responses; .shards.json says what was read; .summary.json counts,
     with examples by reason
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.console.shell import log_line, progress
from stages.lib.core.files import ROWS_SUMMARY, new_folder, sha256_file, write_json
from stages.lib.engines.request import RequestConfig, dgm_config, identity
from stages.lib.models.catalogue import Model, load_model
from stages.lib.records.chats import build_chat, drop_oldest_turns
from stages.lib.records.hashing import chat_sha, keyed_hash
from stages.lib.records.responses import RESPONSE, UNANSWERED, Turn
from stages.lib.records.shards import read_rows, read_shard, write_rows
from stages.lib.records.verdicts import VERDICT
from stages.lib.settings.reading import load, run
from stages.lib.settings.sections import Generate, Validate
from stages.lib.validation.checks import compression, faults, is_cut, loop_chars, off_topic

NUM_EXAMPLES = 3
TEMPERATURES = (0.3, 1.2)  # App. F warns outside
ROW_VALUES = ("identity", "conversation_hash", "dgm", "turns", "status", "engine")
TURN_VALUES = ("user", "assistant", "finish_reason", "prompt_tokens", "completion_tokens", "prompt_sha")
# What each check is held against; where that is absent, it is counted under `not_checked`.
NEED_A_REQUEST = ("finish_length", "no_end_of_turn", "history_broken", "token_counts", "not_as_asked")
NEED_THE_USER = ("echo", "other_language", "off_topic", "prompt_altered", "turns_swapped")
NEED_THE_PROMPT = ("prompt_altered", "turns_swapped", "turns_missing", "history_broken", "token_counts", "not_as_asked")


def finish_reason(finish: str) -> str:
    """The name of a finish that is not allowed; one in no plain word means that the reply was never ended."""
    return f"finish_{finish}" if re.fullmatch(r"[a-z_]{1,40}", finish) else "no_end_of_turn"


def turn_reasons(turn: Turn, validate: Validate, said: str) -> Iterator[str]:
    """Why one reply cannot be kept; `said` is all that the user has said by then."""
    reply, finish = turn["assistant"], turn["finish_reason"]
    if finish in UNANSWERED:
        yield finish
        return
    if finish == "imported" and is_cut(reply):
        yield "finish_length"
    elif finish not in (*validate.finish_reasons, "imported"):
        yield finish_reason(finish)
    elif len(reply.strip()) < validate.min_chars:
        yield "empty" if not reply.strip() else "too_short"
    if loop_chars(reply) > validate.max_loop_chars or compression(reply) < validate.min_compression:
        yield "loop"
    yield from faults(reply, turn["user"], said)


def text_reasons(turns: list[Turn], validate: Validate) -> Iterator[str]:
    """Why the texts of a conversation cannot be kept."""
    said = ""
    for turn in turns:
        said += turn["user"] + "\n"
        yield from turn_reasons(turn, validate, said)
    if validate.topic_letters and off_topic(turns, validate.topic_letters):
        yield "off_topic"


def order_reasons(turns: list[Turn], prompt: dict[str, Any], status: str, imported: bool) -> Iterator[str]:
    """Whether the turns are those of the prompt, in their order. What the user said is not known of every import."""
    asked = [turn["user"] for turn in prompt["turns"]]
    users = [turn["user"] for turn in turns]
    if imported:
        users = [user or was for user, was in zip(users, asked, strict=False)] + users[len(asked) :]
    if users != asked[: len(users)]:
        yield "turns_swapped" if sorted(users) == sorted(asked) else "prompt_altered"
    if len(users) < len(asked) and status == "ok":
        yield "turns_missing"


def request_reasons(row: dict[str, Any], prompt: dict[str, Any], model: Model, config: RequestConfig) -> Iterator[str]:
    """Whether a conversation was asked as the params say, each turn after those before it, within the limits."""
    turns, references = row["turns"], [turn["reference"] for turn in prompt["turns"]]
    if row["identity"] != identity(prompt, model, config, row["engine"].partition(" ")[0]):
        yield "not_as_asked"
    if (row["history"], row["seed"]) != (config.history, config.seed):
        yield "not_as_asked"
    replies = references if config.history == "reference" else [turn["assistant"] for turn in turns]
    users = [turn["user"] for turn in turns]
    for number, turn in enumerate(turns):
        asked = build_chat(users[: number + 1], replies, config.system_prompt)
        if turn["prompt_sha"] != chat_sha(drop_oldest_turns(asked, turn["trimmed_turns"])):
            yield "history_broken"
        if not counts_fit(turn, config):
            yield "token_counts"


def counts_fit(turn: Turn, config: RequestConfig) -> bool:
    """Whether a turn's numbers of tokens can be true, under the limits of now."""
    prompt, completion = turn["prompt_tokens"], turn["completion_tokens"]
    room = min(config.max_tokens, config.window - prompt)
    if turn["finish_reason"] == "context_overflow":
        return prompt > 0 and completion == 0 and room < 1
    if turn["finish_reason"] == "failed":
        return completion == 0
    if turn["finish_reason"] == "length" and completion != room:
        return False
    return prompt > 0 and 0 < completion <= room and len(turn["raw"] or turn["assistant"]) <= 40 * completion


def is_whole(row: dict[str, Any]) -> bool:
    """Whether a row and its turns have all their values."""
    if not row["turns"] or any(row[name] is None for name in ROW_VALUES):
        return False
    return all(turn is not None and all(turn[name] is not None for name in TURN_VALUES) for turn in row["turns"])


def all_reasons(
    row: dict[str, Any], prompt: dict[str, Any] | str, validate: Validate, model: Model, config: RequestConfig
) -> Iterator[str]:
    """Every reason that a conversation gives."""
    if isinstance(prompt, str):
        yield prompt
    if not is_whole(row):
        yield "incomplete_row"
        return
    if row["status"] != "ok":
        yield row["status"]
    if row["dgm"] != model.id:
        yield "not_as_asked"
    yield from text_reasons(row["turns"], validate)
    if isinstance(prompt, dict):
        yield from order_reasons(row["turns"], prompt, row["status"], model.kind == "import")
        if model.kind != "import":
            yield from request_reasons(row, prompt, model, config)


def unchecked(row: dict[str, Any], prompt: dict[str, Any] | str, validate: Validate, model: Model) -> Iterator[str]:
    """The checks for which something is not known of a conversation, or that are switched off."""
    if not validate.topic_letters:
        yield "off_topic"
    if isinstance(prompt, str):
        yield from NEED_THE_PROMPT
    if model.kind == "import":
        yield from NEED_A_REQUEST
        if not all(turn and turn["user"] for turn in row["turns"] or []):
            yield from NEED_THE_USER


def verdict(
    row: dict[str, Any], prompt: dict[str, Any] | str, validate: Validate, model: Model, config: RequestConfig
) -> dict[str, Any]:
    """Judge one conversation: every reason that it gives, and whether one of them drops it.

    `prompt` is the row that it answers, or the reason why there is none.
    """
    reasons = set(all_reasons(row, prompt, validate, model, config))
    return {
        "conversation_hash": row["conversation_hash"] or "",
        "identity": row["identity"] or "",
        "keep": not reasons - set(validate.report_only),
        "reasons": sorted(reasons),
        "not_checked": sorted(set(unchecked(row, prompt, validate, model))),
        "language": "" if isinstance(prompt, str) else prompt.get("language") or "",
        "toxic": not isinstance(prompt, str) and bool(prompt.get("toxic")),
        "turns": len(row["turns"] or []),
    }


class Prompts:
    """The prompts one by one, beside responses that stand in the same order. It holds 17 bytes of each."""

    def __init__(self, folder: Path) -> None:
        names = (row["conversation_hash"] for row in read_rows(folder, ["conversation_hash"]))
        keys = np.fromiter((keyed_hash(0, name) for name in names), np.int64)
        self._places = np.argsort(keys)
        self._keys = keys[self._places]
        self._seen = np.zeros(len(keys), dtype=bool)
        self._rows = read_rows(folder, ["conversation_hash", "turns", "language", "toxic"])
        self._next = 0

    @property
    def missing(self) -> int:
        """How many prompts no conversation has answered yet."""
        return int(np.count_nonzero(~self._seen))

    def of(self, name: str | None) -> dict[str, Any] | str:
        """The prompt of a conversation, or the reason why there is none."""
        key = keyed_hash(0, name or "")
        found = int(np.searchsorted(self._keys, key))
        if found == len(self._keys) or self._keys[found] != key:
            return "unknown_conversation"
        if self._seen[found]:
            return "duplicate_conversation"
        self._seen[found] = True
        place = int(self._places[found])
        return "out_of_order" if place < self._next else self._skip_to(place)

    def _skip_to(self, place: int) -> dict[str, Any]:
        """The prompt at a place that was not passed yet."""
        for prompt in self._rows:
            self._next += 1
            if self._next > place:
                return prompt
        raise AssertionError("the prompts became fewer while they were read")


class Tally:
    """Verdicts, counted."""

    def __init__(self) -> None:
        self.conversations = self.kept = 0
        self.found, self.dropped_by, self.not_checked = Counter[str](), Counter[str](), Counter[str]()
        self.examples: dict[str, list[str]] = defaultdict(list)

    def add(self, verdict: dict[str, Any]) -> None:
        """Count one verdict; the first few of each reason are named."""
        self.conversations += 1
        self.kept += verdict["keep"]
        self.found.update(verdict["reasons"])
        self.dropped_by.update([] if verdict["keep"] else verdict["reasons"])
        self.not_checked.update(verdict["not_checked"])
        for reason in verdict["reasons"]:
            if len(self.examples[reason]) < NUM_EXAMPLES:
                self.examples[reason].append(verdict["conversation_hash"])


def wrong_columns(schema: pa.Schema) -> str:
    """How a shard's columns differ from those of RESPONSE; empty when they do not."""
    missing = [name for name in RESPONSE.names if name not in schema.names]
    other = [
        name for name in RESPONSE.names if name not in missing and schema.field(name).type != RESPONSE.field(name).type
    ]
    more = [name for name in schema.names if name not in RESPONSE.names]
    found = {"columns missing": missing, "of another type": other, "not known": more}
    said = "; ".join(f"{what}: {', '.join(names)}" for what, names in found.items() if names)
    return said or ("" if schema.equals(RESPONSE) else "columns in another order")


@dataclass
class Shard:
    """What is found of one shard of responses while its rows are read."""

    sha256: str
    rows: int = 0
    is_readable: bool = False
    has_schema: bool = False
    problem: str = ""

    def read(self, path: Path) -> Iterator[dict[str, Any]]:
        """Its rows, up to where they cannot be read."""
        try:
            self.problem = wrong_columns(pq.read_schema(path))
            self.has_schema = not self.problem
            for row in read_shard(path) if self.has_schema else ():
                yield row
                self.rows += 1
            self.is_readable = True
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            self.problem = str(error).splitlines()[0]


READS = ("validate", "generate")


def main(dgm: str) -> None:
    """Judge every conversation of one DGM, and every shard."""
    model = load_model(dgm)
    write(Path("data"), load(Validate), model, dgm_config(model, load(Generate)))


def write(data: Path, validate: Validate, model: Model, config: RequestConfig) -> None:
    """Write data/verdicts/<dgm> on data/responses/<dgm>."""
    prompts, tally, shards = Prompts(data / "prompts"), Tally(), dict[str, Shard]()

    def judge(row: dict[str, Any]) -> dict[str, Any]:
        found = verdict(row, prompts.of(row["conversation_hash"]), validate, model, config)
        tally.add(found)
        return found

    files = sorted((data / "responses" / model.id).glob("*.parquet"))
    with new_folder(data / "verdicts" / model.id) as folder:
        for number, file in enumerate(files):
            shard = shards[file.name] = Shard(sha256_file(file))
            rows = progress(shard.read(file), desc=f"{model.id} {file.name}", unit="conversations")
            write_rows(folder, number, map(judge, rows), VERDICT)
            if shard.problem:
                log_line(f"{model.id}: {file} is not as it should be: {shard.problem}")
        write_json(folder / ".shards.json", {name: asdict(shard) for name, shard in shards.items()})
        write_json(folder / ROWS_SUMMARY, summary(tally, shards, prompts.missing) | warnings(model, config))


def summary(tally: Tally, shards: dict[str, Shard], missing: int) -> dict[str, Any]:
    """What was found, counted."""
    return {
        **vars(tally),
        "missing": missing,
        "shards": len(shards),
        "unreadable_shards": sum(bool(shard.problem) for shard in shards.values()),
    }


def warnings(model: Model, config: RequestConfig) -> dict[str, bool]:
    """What App. F warns of, in the params."""
    low, high = TEMPERATURES
    return {"temperature_outside": model.kind != "import" and not low <= config.sampling.temperature <= high}


if __name__ == "__main__":
    run(main)
