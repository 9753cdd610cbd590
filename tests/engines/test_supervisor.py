"""An engine in a process of its own that really dies, hangs and runs out of memory."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from stages.lib.console.errors import UserError
from stages.lib.engines.base import Engine
from stages.lib.engines.echo import EchoEngine
from stages.lib.engines.request import RequestConfig
from stages.lib.engines.supervisor import SupervisedEngine
from stages.lib.engines.vllm import VllmEngine
from stages.lib.generation.conversations import Conversation, run_conversations
from stages.lib.models.catalogue import Model
from stages.lib.models.sampling import Sampling
from stages.lib.settings.runtime import Runtime
from tests.support.conversations import CONFIG
from tests.support.faulty import (
    CrashingEcho,
    OutOfMemoryEcho,
    RefusingEcho,
    SlowEcho,
    UnrestartableOnceEcho,
    UnstartableEcho,
)
from tests.support.project import ROOT

USERS = {str(number): ["One?", "Two?", "Three?"] for number in range(40)}


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@contextmanager
def supervised(start: Callable[..., Engine], **runtime: float) -> Iterator[SupervisedEngine]:
    settings = Runtime(max_concurrent=16).model_copy(update=runtime)
    with closing(SupervisedEngine(partial(start, CONFIG), settings, "m")) as engine:
        yield engine


def conversations_of(users: dict[str, list[str]]) -> list[Conversation]:
    return [Conversation(key, messages) for key, messages in users.items()]


def run(engine: Engine, users: dict[str, list[str]]) -> dict[str, Conversation]:
    """The finished conversations by key, each finished once."""
    finished = list(run_conversations(engine, conversations_of(users), CONFIG, 16))
    assert sorted(conversation.key for conversation in finished) == sorted(users)
    return {conversation.key: conversation for conversation in finished}


def replies(conversations: Iterable[Conversation]) -> dict[str, list[str]]:
    return {each.key: [turn["assistant"] for turn in each.turns] for each in conversations}


UNDISTURBED = replies(run(EchoEngine(CONFIG), USERS).values())


def test_it_gives_the_replies_of_the_engine_itself() -> None:
    with supervised(SlowEcho) as engine:
        assert replies(run(engine, USERS).values()) == UNDISTURBED
        assert engine.description == "echo" and engine.usage().restarts == 0


def test_twenty_kills_of_the_engine_at_random_moments_change_no_reply(capsys: pytest.CaptureFixture[str]) -> None:
    users = {str(number): ["One?", "Two?"] for number in range(400)}
    expected = replies(run(EchoEngine(CONFIG), users).values())
    kill_at = set(random.Random(5).sample(range(380), 20))
    with supervised(SlowEcho) as engine:
        finished = list[Conversation]()
        for number, conversation in enumerate(run_conversations(engine, conversations_of(users), CONFIG, 16)):
            finished.append(conversation)
            if number in kill_at:
                os.kill(engine.pid, signal.SIGKILL)
        restarts = engine.usage().restarts
    assert replies(finished) == expected and {conversation.status for conversation in finished} == {"ok"}
    assert 10 <= restarts <= 20  # several kills may meet one engine
    assert capsys.readouterr().err.count("the engine died") == restarts


def run_with_kills(kill_at: set[int], victim: Callable[[SupervisedEngine], int]) -> int:
    """Run 80 conversations with demo-rich, all of which must be answered; the restarts that the kills led to."""
    config = RequestConfig(Sampling(temperature=0.7), max_tokens=128, window=2048, seed=11)
    model = Model(
        id="m", name="M", location=str(ROOT / "demo/models/demo-rich"), kind="local", commit="c",
        parameters_billions=0.0012, context_window=2048, dtype="float32",
    )  # fmt: skip
    things = ("tin", "tea", "a kite", "a harbour")
    users = {f"{thing} {n}": [f"What is {thing}?", "Tell me more."] for thing in things for n in range(20)}
    finished = list[Conversation]()
    with closing(SupervisedEngine(partial(VllmEngine, model, config), Runtime(max_concurrent=8), "m")) as engine:
        for number, conversation in enumerate(run_conversations(engine, conversations_of(users), config, 8)):
            finished.append(conversation)
            if number in kill_at:
                os.kill(victim(engine), signal.SIGKILL)
        restarts = engine.usage().restarts
    assert sorted(conversation.key for conversation in finished) == sorted(users)
    assert {(conversation.status, len(conversation.turns)) for conversation in finished} == {("ok", 2)}
    return restarts


@pytest.mark.pipeline
def test_three_kills_of_the_real_engine_lose_no_conversation(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_with_kills({7, 30, 60}, lambda engine: engine.pid) == 3
    assert capsys.readouterr().err.count("the engine died") == 3


def engine_core(engine: SupervisedEngine) -> int:
    """The process that vLLM has started for itself, as it does on GPUs."""
    text = Path(f"/proc/{engine.pid}/task/{engine.pid}/children").read_text(encoding="utf-8")
    [core] = [pid for pid in map(int, text.split()) if "EngineCor" in Path(f"/proc/{pid}/comm").read_text()]
    return core


@pytest.mark.pipeline
def test_the_death_of_vllms_own_process_is_noticed_and_loses_no_conversation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    assert run_with_kills({20}, engine_core) == 1
    assert "the engine died;" in capsys.readouterr().err


def test_an_engine_that_hangs_is_restarted() -> None:
    with supervised(SlowEcho, stall_seconds=1.0) as engine:
        stopped = engine.pid
        os.kill(stopped, signal.SIGSTOP)
        assert replies(run(engine, USERS).values()) == UNDISTURBED
        assert engine.usage().restarts == 1
        with pytest.raises(ProcessLookupError):
            os.kill(stopped, 0)


def test_after_running_out_of_memory_an_engine_restarts_with_a_smaller_cache(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with supervised(OutOfMemoryEcho, gpu_memory_utilization=0.9) as engine:
        assert replies(run(engine, USERS).values()) == UNDISTURBED
        assert engine.usage().restarts == 2  # 0.9, 0.81, 0.729
    assert "the engine died (MemoryError: CUDA out of memory)" in capsys.readouterr().err


def test_a_conversation_that_crashes_the_engine_fails_alone_and_the_others_are_answered() -> None:
    with supervised(CrashingEcho) as engine:
        finished = run(engine, {**USERS, "bad": ["Fine?", "poison", "Never asked"]})
    bad = finished.pop("bad")
    assert replies(finished.values()) == UNDISTURBED
    assert (bad.status, bad.reason) == ("failed", "the engine died each time that it was asked")
    assert [turn["finish_reason"] for turn in bad.turns] == ["stop", "failed"]


def test_a_conversation_that_the_engine_refuses_fails_with_its_reason_and_no_restart() -> None:
    with supervised(RefusingEcho) as engine:
        finished = run(engine, {**USERS, "bad": ["refuse this"]})
        assert engine.usage().restarts == 0
    assert finished["bad"].reason == "ValueError: the chat template says: no"
    assert sum(conversation.status == "ok" for conversation in finished.values()) == len(USERS)


def test_an_engine_that_crashes_on_every_request_is_given_up_in_one_line() -> None:
    with supervised(CrashingEcho) as engine, pytest.raises(UserError) as error:
        run(engine, {str(number): ["poison"] for number in range(9)})
    assert "the engine died, whatever it is asked. log: .dvc/tmp/engines/m.log" in str(error.value)


def test_an_engine_that_cannot_start_says_why_in_one_line() -> None:
    with pytest.raises(UserError, match=r"m: the engine did not start \(OSError: no such weights\). log:"):
        SupervisedEngine(partial(UnstartableEcho, CONFIG), Runtime(), "m")
    assert "no such weights" in Path(".dvc/tmp/engines/m.log").read_text(encoding="utf-8")


def test_an_engine_that_has_run_before_gets_more_tries_to_start(tmp_path: Path) -> None:
    start = partial(UnrestartableOnceEcho, tmp_path / "starts", CONFIG)
    with closing(SupervisedEngine(start, Runtime(max_concurrent=16), "m")) as engine:
        os.kill(engine.pid, signal.SIGKILL)
        assert replies(run(engine, USERS).values()) == UNDISTURBED
    assert (tmp_path / "starts").read_text(encoding="utf-8") == "xxx"


def test_when_the_stage_is_killed_its_engine_ends_too(tmp_path: Path) -> None:
    script = (
        "import sys, time; from functools import partial\n"
        "from stages.lib.settings.runtime import Runtime; from stages.lib.engines.supervisor import SupervisedEngine\n"
        "from tests.support.faulty import SlowEcho; from tests.support.conversations import CONFIG\n"
        "if __name__ == '__main__':\n"
        "    print(SupervisedEngine(partial(SlowEcho, CONFIG), Runtime(), 'm').pid, flush=True); time.sleep(60)"
    )
    (tmp_path / "stage.py").write_text(script, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "stage.py"], stdout=subprocess.PIPE, text=True, env=env) as stage:
        assert stage.stdout
        pid = int(stage.stdout.readline())
        stage.kill()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}/stat").exists() and time.monotonic() < deadline:
        if Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split(") ")[1][0] == "Z":
            break  # dead, and waiting for a parent that does not look
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{pid}").exists(), "the engine has outlived its stage"
