"""Keep or drop each conversation, with every reason (paper, App. F). Never fails on content: that is the gate's work.

In:  data/responses/<dgm>/, data/prompts/, models/<dgm>/model.json
Out: data/verdicts/<dgm>/: one shard for each shard of responses; summary.json counts, with examples by reason
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from stages.lib.checks import compression, faults, loop_chars, off_topic
from stages.lib.conversation import RESPONSE, VERDICT, Turn, chat, chat_sha, without_oldest
from stages.lib.model import Model, load_model
from stages.lib.params import Section, load
from stages.lib.rules import Generate, Rules, identity, to_rules
from stages.lib.shards import SUMMARY, new_folder, read_rows, sha256_file, write_json, write_shard
from stages.lib.shell import progress, run, say

NUM_EXAMPLES = 3
TEMPERATURES = (0.3, 1.2)  # App. F warns outside
NEED_A_REQUEST = ("history_broken", "token_counts", "not_as_asked")  # what an imported reply cannot be checked for


class Validate(Section):
    """The section `validate`."""

    finish_reasons: list[str]  # with which a reply may end
    min_chars: int = Field(ge=0)
    max_loop_chars: int = Field(gt=0)
    min_compression: float = Field(ge=0, lt=1)  # share of its bytes that a reply of over 500 keeps under zlib
    topic_letters: int = Field(ge=0)  # length from which a word counts for `off_topic`; 0: not checked
    report_only: list[str]  # reasons that are counted and drop nothing


def turn_reasons(turn: Turn, validate: Validate, said: str) -> Iterator[str]:
    """Why one reply cannot be kept; `said` is all that the user has said by then."""
    reply, finish = turn["assistant"], turn["finish_reason"]
    if finish in ("context_overflow", "failed"):
        return  # the status of the conversation says it
    if finish not in (*validate.finish_reasons, "imported"):
        yield f"finish_{finish}"
    elif len(reply.strip()) < validate.min_chars:
        yield "empty" if not reply.strip() else "too_short"
    if loop_chars(reply) > validate.max_loop_chars or compression(reply) < validate.min_compression:
        yield "loop"
    yield from faults(reply, turn["user"], said)


def text_reasons(turns: list[Turn], validate: Validate) -> set[str]:
    """Why the texts of a conversation cannot be kept."""
    reasons, said = set[str](), ""
    for turn in turns:
        said += turn["user"] + "\n"
        reasons.update(turn_reasons(turn, validate, said))
    if validate.topic_letters and off_topic(turns, validate.topic_letters):
        reasons.add("off_topic")
    return reasons


def order_reasons(turns: list[Turn], prompt: dict[str, Any], status: str) -> Iterator[str]:
    """Whether the turns are those of the prompt, in their order."""
    users = [turn["user"] for turn in turns]
    asked = [turn["user"] for turn in prompt["turns"]]
    if users != asked[: len(users)]:
        yield "prompt_altered"
    if len(users) != len(asked) and status == "ok":
        yield "turns_missing"


def request_reasons(row: dict[str, Any], prompt: dict[str, Any], model: Model, rules: Rules) -> Iterator[str]:
    """Whether a conversation was asked as the params say, each turn after those before it, within the limits."""
    turns, references = row["turns"], [turn["reference"] for turn in prompt["turns"]]
    if row["identity"] != identity(prompt, model, rules, row["engine"].split()[0]):
        yield "not_as_asked"
    replies = references if rules.history == "reference" else [turn["assistant"] for turn in turns]
    users = [turn["user"] for turn in turns]
    for number, turn in enumerate(turns):
        asked = chat(users[: number + 1], replies, rules.system_prompt)
        if turn["prompt_sha"] != chat_sha(without_oldest(asked, turn["trimmed_turns"])):
            yield "history_broken"
        if not counts_fit(turn, rules):
            yield "token_counts"


def counts_fit(turn: Turn, rules: Rules) -> bool:
    """Whether a turn's numbers of tokens can be true, under the limits of now."""
    prompt, completion = turn["prompt_tokens"], turn["completion_tokens"]
    room = min(rules.max_tokens, rules.window - prompt)
    if turn["finish_reason"] == "failed":
        return True  # it was never answered
    if turn["finish_reason"] == "context_overflow":
        return prompt > 0 and completion == 0 and room < 1
    if turn["finish_reason"] == "length" and completion != room:
        return False
    return prompt > 0 and 0 < completion <= room and len(turn["raw"] or turn["assistant"]) <= 40 * completion


def verdict(
    row: dict[str, Any], prompt: dict[str, Any] | str, validate: Validate, model: Model, rules: Rules
) -> dict[str, Any]:
    """Judge one conversation: every reason that it gives, and whether one of them drops it.

    `prompt` is the row that it answers, or the reason why there is none.
    """
    reasons = text_reasons(row["turns"], validate)
    if row["status"] != "ok":
        reasons.add(row["status"])
    if isinstance(prompt, str):
        reasons.add(prompt)
    else:
        reasons.update(order_reasons(row["turns"], prompt, row["status"]))
        if model.kind != "import":
            reasons.update(request_reasons(row, prompt, model, rules))
    return {
        "conversation_hash": row["conversation_hash"],
        "identity": row["identity"],
        "keep": not reasons - set(validate.report_only),
        "reasons": sorted(reasons),
    }


class Prompts:
    """The prompts one by one, beside responses that stand in the same order; only their hashes are in memory."""

    def __init__(self, folder: Path) -> None:
        self.missing = {row["conversation_hash"] for row in read_rows(folder, ["conversation_hash"])}
        self._known = frozenset(self.missing)
        self._rows = read_rows(folder)

    def of(self, name: str) -> dict[str, Any] | str:
        """The prompt of a conversation, or the reason why there is none."""
        if name not in self._known:
            return "unknown_conversation"
        if name not in self.missing:
            return "duplicate_conversation"
        for prompt in self._rows:
            if prompt["conversation_hash"] == name:
                self.missing.remove(name)
                return prompt
        return "out_of_order"


class Tally:
    """Verdicts, counted."""

    def __init__(self) -> None:
        self.conversations = self.kept = 0
        self.found, self.dropped_by = Counter[str](), Counter[str]()
        self.examples: dict[str, list[str]] = defaultdict(list)

    def add(self, verdict: dict[str, Any]) -> None:
        """Count one verdict; the first few of each reason are named."""
        self.conversations += 1
        self.kept += verdict["keep"]
        self.found.update(verdict["reasons"])
        self.dropped_by.update([] if verdict["keep"] else verdict["reasons"])
        for reason in verdict["reasons"]:
            if len(self.examples[reason]) < NUM_EXAMPLES:
                self.examples[reason].append(verdict["conversation_hash"])


def read_shard(shard: Path) -> Iterator[dict[str, Any]]:
    """The rows of one shard of responses, a thousand at a time in memory; raise pa.ArrowInvalid if it is none."""
    with pq.ParquetFile(shard) as file:
        if not file.schema_arrow.equals(RESPONSE):
            raise pa.ArrowInvalid(f"its columns are {', '.join(file.schema_arrow.names)}")
        for batch in file.iter_batches(1000):
            yield from batch.to_pylist()


def main(dgm: str) -> None:
    """Judge every conversation of one DGM, and every shard."""
    validate, model = load("validate", Validate), load_model(dgm)
    rules = to_rules(model, load("generate", Generate))
    prompts, tally, shards = Prompts(Path("data/prompts")), Tally(), {}
    files = sorted((Path("data/responses") / dgm).glob("*.parquet"))
    with new_folder(Path("data/verdicts") / dgm) as folder:
        for number, shard in enumerate(files):
            verdicts: list[dict[str, Any]] = []
            problem = ""
            try:
                for row in progress(read_shard(shard), desc=f"{dgm} {shard.name}", unit="conversations"):
                    verdicts.append(verdict(row, prompts.of(row["conversation_hash"]), validate, model, rules))
            except (pa.ArrowException, OSError) as error:
                problem = str(error).splitlines()[0]
                say(f"{dgm}: {shard} is not readable: {problem}")
            for found in verdicts:
                tally.add(found)
            write_shard(folder, number, pa.Table.from_pylist(verdicts, schema=VERDICT))
            shards[shard.name] = {"rows": len(verdicts), "sha256": sha256_file(shard), "problem": problem}
        low, high = TEMPERATURES
        imported = model.kind == "import"
        write_json(folder / "shards.json", shards)
        write_json(
            folder / SUMMARY,
            {
                "conversations": tally.conversations,
                "kept": tally.kept,
                "missing": len(prompts.missing),
                "unreadable_shards": sum(bool(shard["problem"]) for shard in shards.values()),
                "dropped_by": tally.dropped_by,
                "found": tally.found,
                "examples": tally.examples,
                "not_checked": list(NEED_A_REQUEST) if imported else [],
                "temperature_outside": not imported and not low <= rules.sampling.temperature <= high,
            },
        )


if __name__ == "__main__":
    run(main)
