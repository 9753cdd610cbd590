"""Where the paper's released generator stores, resumes or waits wrongly (docs/paper.md): the right behaviour.

Tested elsewhere: limits at look-up, kills and refills (tests/pipeline/test_resume.py), imported replies that are
missing or empty (test_imports.py).
"""

import json
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.lib.console.errors import UserError
from stages.lib.engines.base import Reply, Request
from stages.lib.engines.echo import EchoEngine
from stages.lib.engines.request import RequestConfig, dgm_config, identity
from stages.lib.generation.cached import CachedGeneration
from stages.lib.generation.conversations import Conversation, run_conversations
from stages.lib.generation.costs import summarize
from stages.lib.generation.store import Store
from stages.lib.models.catalogue import Model
from stages.lib.models.sampling import Sampling
from stages.lib.readers.reasons import UnreadableRows
from stages.lib.records.shards import read_rows
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import Validate
from stages.lib.validation.check_input import CheckInput
from stages.lib.validation.verdicts import make_verdict
from stages.prompts import read_source, write_prompts
from tests.support.conversations import CONFIG, MODEL, Recorder, SampledEcho, run_on, stored_row
from tests.support.generation import GENERATE, PROMPTS, generate, make_prompt
from tests.support.project import ROOT, conversation, small_params


class FailingEcho(EchoEngine):
    """An echo that cannot answer the conversation b."""

    def submit(self, key: str, request: Request) -> None:
        if key == "b":
            self._ended.append((key, Reply("", "failed", 0, 0, reason="no")))
        else:
            super().submit(key, request)


def test_a_missing_reply_is_failed_with_its_reason_and_not_just_empty(folder: Path) -> None:
    prompts = [make_prompt(name, "Hi?", "So?") for name in "abc"]
    with pytest.raises(UserError, match=r"m: 1 of 3 conversations failed .* because no, as b"):
        generate(prompts, FailingEcho(CONFIG))
    assert not Path("data/responses/m").exists()
    rows = generate(prompts, FailingEcho(CONFIG), max_failed_share=0.5)
    assert [(row["status"], row["reason"], len(row["turns"])) for row in rows] == [
        ("ok", "", 2), ("failed", "no", 1), ("ok", "", 2)
    ]  # fmt: skip


class LossyStore(Store):
    """A store that loses the conversation b."""

    def append(self, rows: list[dict[str, Any]]) -> None:
        super().append([row for row in rows if row["conversation_hash"] != "b"])


def test_a_lost_conversation_is_an_error(folder: Path) -> None:
    with pytest.raises(UserError, match="m: 1 conversations were not answered"):
        generate([make_prompt(name, "Hi?") for name in "abc"], EchoEngine(CONFIG), LossyStore(Path("store"), "m"))
    assert not Path("data/responses/m").exists()


def test_an_empty_reply_is_dropped_for_that_reason() -> None:
    prompt, config = make_prompt("h", "Hi?"), dgm_config(MODEL, GENERATE)
    row = stored_row(identity(prompt, MODEL, config, "echo"), "Hi?", config=config)
    row["turns"][0]["assistant"] = ""
    verdict = make_verdict(CheckInput(row, prompt, Validate(**small_params()["validate"]), MODEL, config))
    assert (verdict["keep"], verdict["reasons"]) == (False, ["empty"])


def test_the_name_of_the_model_is_the_dgms_and_not_the_sources(folder: Path) -> None:
    rows = [conversation(1, 2, model="gpt-4-0314")]
    pq.write_table(pa.Table.from_pylist(rows), folder / "x.parquet")
    (folder / "out").mkdir()
    write_prompts(read_source(folder / "x.parquet", UnreadableRows()), PROMPTS, folder / "out", Counter())
    prompts = list(read_rows(folder / "out"))
    [row] = generate(prompts, EchoEngine(CONFIG))
    assert row["dgm"] == "m" and "gpt-4" not in json.dumps([row, prompts])


class MeasuredStore(Store):
    """A store that counts the bytes that each flush writes."""

    def __init__(self) -> None:
        super().__init__(Path("store"), "m")
        self.written: list[int] = []
        self._known: set[tuple[str, int, int]] = set()

    def append(self, rows: list[dict[str, Any]]) -> None:
        super().append(rows)
        files = {(path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in self.folder.iterdir()}
        self.written.append(sum(size for _, _, size in files - self._known))
        self._known = files


def test_each_conversation_is_written_once_so_that_bytes_grow_with_the_rows(folder: Path) -> None:
    store = MeasuredStore()
    generate([make_prompt(f"{n:02}", f"Question {n:02}?") for n in range(40)], EchoEngine(CONFIG), store)
    flushes = [size for size in store.written if size]
    assert len(flushes) == 20 and max(flushes) < 1.1 * min(flushes)
    assert sum(pq.read_metadata(segment).num_rows for segment in store.segments()) == 40


def random_text(rng: Random) -> str:
    """200 kB that do not compress to less than half."""
    return rng.randbytes(100_000).hex()


def test_stored_conversations_are_found_without_holding_their_texts(tmp_path: Path) -> None:
    store, rng = Store(tmp_path, "m"), Random(1)
    for number in range(10):
        row = stored_row(str(number), "Hi?")
        row["turns"][0] |= {"user": random_text(rng), "assistant": random_text(rng)}
        store.append([row])
    before = pa.default_memory_pool()
    pa.set_memory_pool(pool := pa.proxy_memory_pool(before))
    tracemalloc.start()
    try:
        assert len(store.find([str(number) for number in range(10)], 100, 400)) == 10
        held = tracemalloc.get_traced_memory()[1] + pool.max_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(before)
    assert held < 800_000  # of 4,000,000: the file of one segment at a time


def read_segments(store: Store) -> dict[Path, bytes]:
    return {segment: segment.read_bytes() for segment in store.segments()}


def make_unreadable(segment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let reading one file fail, as a network disk does."""
    read = Path.read_bytes

    def failing(path: Path) -> bytes:
        if path == segment:
            raise OSError("Stale file handle")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", failing)


@pytest.mark.parametrize("fault", ["torn", "unreadable"])
def test_a_read_error_costs_the_rows_of_one_segment_and_overwrites_nothing(
    fault: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts, store = [make_prompt(name, "Hi?") for name in "abcdef"], Store(Path("store"), "m")
    first, before = generate(prompts, EchoEngine(CONFIG), store), read_segments(store)
    damaged = list(before)[1]
    if fault == "torn":
        before[damaged] = before[damaged][:-9]
        damaged.write_bytes(before[damaged])
    with monkeypatch.context() as patch:
        if fault != "torn":
            make_unreadable(damaged, patch)
        engine = SampledEcho(CONFIG)
        assert generate(prompts, engine, store) == first
    assert engine.sampled == ["c", "d"]
    assert before.items() <= read_segments(store).items()


def test_no_conversation_begins_while_max_concurrent_are_unfinished() -> None:
    begun: list[Conversation] = []
    unfinished: list[int] = []

    def conversations() -> Iterator[Conversation]:
        for number in range(9):
            unfinished.append(sum(not conversation.is_finished for conversation in begun))
            begun.append(Conversation(str(number), ["Hi?"] * 4))
            yield begun[-1]

    finished = list(run_conversations(Recorder(CONFIG), conversations(), CONFIG, 3))
    assert unfinished == [0, 1, 2, 2, 2, 2, 2, 2, 2]
    assert [len(conversation.turns) for conversation in finished] == [4] * 9


class UnevenEcho(EchoEngine):
    """An echo that takes ten steps for the first turn of one conversation and one for every other."""

    def __init__(self, config: RequestConfig) -> None:
        super().__init__(config)
        self.steps, self.order = 0, list[str]()

    def step(self) -> Any:
        self.steps += 1
        ended = [item for item in self._ended if item[0] != "slow" or self.steps >= 10]
        self._ended = [item for item in self._ended if item not in ended]
        self.order += [key for key, _ in ended]
        return ended


def test_a_turn_waits_for_its_own_conversation_only() -> None:
    engine = UnevenEcho(CONFIG)
    others = [Conversation(str(number), ["Hi?"] * 3) for number in range(3)]
    run_on(engine, Conversation("slow", ["Hi?"] * 2), *others, max_concurrent=2)
    assert engine.order == [*"000111222", "slow", "slow"]


RICH = Model(
    id="rich", name="R", location=str(ROOT / "demo" / "models" / "demo-rich"), kind="local", commit="c",
    dtype="float32", parameters_billions=0.001, context_window=2048,
)  # fmt: skip


@pytest.mark.pipeline
def test_the_prefix_cache_holds_the_history_of_a_later_turn_and_the_ledger_adds_it_up(folder: Path) -> None:
    config = RequestConfig(Sampling(temperature=0.0), 400, 2048, 1)
    prompts = [make_prompt(name, f"Tell me about {name}. " * 13, "Why?") for name in ("tin", "bees")]
    store = Store(Path("store"), "rich")
    table = CachedGeneration(RICH, config, "vllm", store, Runtime(max_concurrent=4)).table(prompts)
    rows = table.to_pylist()
    for row in rows:
        first, second = row["turns"]
        assert (
            first["prompt_tokens"] < row["cached_tokens"] < second["prompt_tokens"]
        )  # so the reply was in the cache too
    assert summarize(table)["cached_tokens"] == sum(row["cached_tokens"] for row in rows)
