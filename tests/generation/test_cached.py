"""Conversations that are generated once and then taken from the store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.lib.core.types import Row
from stages.lib.engines.base import Reply, Request
from stages.lib.engines.echo import EchoEngine
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
