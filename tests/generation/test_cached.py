"""Conversations that are generated once and then taken from the store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.lib.core.types import Row
from stages.lib.engines.base import Reply, Request
from stages.lib.engines.echo import EchoEngine
from stages.lib.generation.cached import batches
from stages.lib.generation.store import Store
from tests.support.conversations import CONFIG, MODEL, GenerationOn, SampledEcho
from tests.support.generation import RUNTIME, make_prompt

PROMPTS = [make_prompt(name, "Hi?") for name in "abc"]


def generation(folder: Path, engine: EchoEngine, *, retry_failed: bool = False) -> GenerationOn:
    store = Store(folder / "store", "m")
    return GenerationOn(MODEL, CONFIG, "echo", store, RUNTIME, retry_failed=retry_failed, running=engine)


def test_only_what_the_store_lacks_is_generated_and_all_is_given_in_the_prompts_order(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = SampledEcho(CONFIG)
    first = generation(folder, engine).table(PROMPTS[1:])
    table = generation(folder, engine).table(PROMPTS, ["conversation_hash", "turns"])
    assert sorted(engine.sampled) == ["a", "b", "c"]
    assert table["conversation_hash"].to_pylist() == ["a", "b", "c"]
    assert table["turns"].to_pylist()[1:] == first["turns"].to_pylist()
    assert "m: 2 conversations are in the store, 1 to generate" in capsys.readouterr().err


class FailingOnceEcho(SampledEcho):
    """An echo that cannot answer the first request of all."""

    has_failed = False

    def submit(self, key: str, request: Request) -> None:
        if self.has_failed:
            super().submit(key, request)
        else:
            self.has_failed = True
            self._ended.append((key, Reply("", "failed", 0, 0, reason="no")))


@pytest.mark.parametrize(("retry_failed", "status"), [(False, "failed"), (True, "ok")])
def test_what_failed_is_generated_again_only_when_asked_for(folder: Path, retry_failed: bool, status: str) -> None:
    engine = FailingOnceEcho(CONFIG)
    assert generation(folder, engine).table(PROMPTS)["status"].to_pylist() == ["failed", "ok", "ok"]
    again = generation(folder, engine, retry_failed=retry_failed).table(PROMPTS)
    assert again["status"].to_pylist() == [status, "ok", "ok"]


class CountedPrompts:
    """The prompts, and how often they were read."""

    times_read = 0

    def __iter__(self) -> Iterator[Row]:
        self.times_read += 1
        return iter(PROMPTS)


def test_prompts_are_read_once_when_nothing_is_missing_and_twice_to_generate(folder: Path) -> None:
    prompts = CountedPrompts()
    generation(folder, EchoEngine(CONFIG)).table(prompts)
    assert prompts.times_read == 2
    generation(folder, EchoEngine(CONFIG)).table(prompts)
    assert prompts.times_read == 3


def test_a_prompt_that_never_fits_the_window_takes_no_tokens_and_no_time(folder: Path) -> None:
    prompts = [make_prompt("long", "x" * 9000), make_prompt("short", "Hi?"), make_prompt("full", "Hi?", "y" * 9000)]
    long, short, full = generation(folder, EchoEngine(CONFIG)).table(prompts).to_pylist()
    assert [row["status"] for row in (long, short, full)] == ["context_overflow", "ok", "context_overflow"]
    assert long["turns"][0]["prompt_tokens"] > 9000  # how long it was
    assert (long["prompt_tokens"], long["completion_tokens"], long["seconds"]) == (0, 0, 0.0)
    assert full["prompt_tokens"] == short["prompt_tokens"] == short["turns"][0]["prompt_tokens"]


def test_the_time_of_a_batch_without_tokens_goes_to_the_next_one() -> None:
    worked = {"prompt_tokens": 9, "completion_tokens": 1}
    rows = [{"prompt_tokens": 0, "completion_tokens": 0}, worked, dict(worked)]
    clock = iter([0.0, 4.0, 10.0, 13.0, 13.0])
    runtime = RUNTIME.model_copy(update={"flush_conversations": 1})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.monotonic", lambda: next(clock))
        seconds = [row["seconds"] for batch in batches(rows, EchoEngine(CONFIG), runtime) for row in batch]
    assert seconds == [0.0, 10.0, 3.0]
