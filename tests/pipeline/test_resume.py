"""What a change, a pull or a kill costs a DGM: the stage `generate` on its own, with the echo engine."""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from stages.lib.core.files import sha256_folder
from stages.lib.generation.store import Store, read_segment
from stages.lib.records.shards import read_rows, read_shard
from tests.support.project import BIN, ROOT, Project, make_project, write_demo

NUM_PROMPTS = 600
RESPONSES = Path("data/responses/rich")


def prepare(project: Project) -> None:
    """Run what comes before `generate`."""
    project.run("python", "-m", "stages.prompts")
    project.run("python", "-m", "stages.resolve", "rich")


def generate(project: Project, store: str = ".dvc/store") -> tuple[int, int]:
    """Run the stage; how many conversations were in the store, and how many were generated."""
    output = project.run("python", "-m", "stages.generate", "rich", REWILD_STORE=str(project.root / store))
    match = re.search(r"rich: (\d+) conversations are in the store, (\d+) to generate", output)
    assert match, output
    return int(match[1]), int(match[2])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose DGM has answered once, with small flushes. Not to be changed."""
    project = make_project(tmp_path_factory.mktemp("made") / "project", NUM_PROMPTS)
    params = project.params()
    params["prompts"]["max_prompts"] = 10_000
    params["runtime"] |= {"max_concurrent": 3, "flush_conversations": 3}
    project.write_params(params)
    prepare(project)
    assert generate(project) == (0, NUM_PROMPTS)
    return project


@pytest.fixture
def project(made: Project, tmp_path: Path) -> Project:
    """A copy of it."""
    return made.copy(tmp_path / "project")


def test_nothing_new_costs_nothing_and_gives_the_same_bytes(project: Project) -> None:
    before = sha256_folder(project.root / RESPONSES)
    assert generate(project) == (NUM_PROMPTS, 0)
    assert sha256_folder(project.root / RESPONSES) == before


def replace_prompts(project: Project, num_prompts: int) -> None:
    """Put another prompt file in the place of the first."""
    shutil.move(project.root / "demo", project.root / "old")
    write_demo(project.root, num_prompts)
    shutil.move(project.root / "old" / "models", project.root / "demo" / "models")
    project.run("python", "-m", "stages.prompts")


def test_a_tenth_more_prompts_cost_a_tenth_more_and_other_filters_only_what_is_new(project: Project) -> None:
    project.edit("params.yaml", "max_turns: 5", "max_turns: 2")
    replace_prompts(project, 660)
    assert generate(project) == (400, 40)  # a third of the prompts has three turns
    project.edit("params.yaml", "max_turns: 2", "max_turns: 5")
    project.run("python", "-m", "stages.prompts")
    assert generate(project) == (640, 20)


def cut_off(project: Project, limit: int) -> tuple[int, int]:
    """How many conversations have a reply that the limit cut, and how many one that is longer."""
    rows = list(read_rows(project.root / RESPONSES))
    cut = sum(any(turn["finish_reason"] == "length" for turn in row["turns"]) for row in rows)
    return cut, sum(any(turn["completion_tokens"] > limit for turn in row["turns"]) for row in rows)


def test_another_reply_limit_regenerates_what_it_could_alter_and_another_sampling_all(project: Project) -> None:
    project.edit("params.yaml", "max_tokens: 256", "max_tokens: 28")
    longer = cut_off(project, 28)[1]
    assert 0 < longer < NUM_PROMPTS
    assert generate(project) == (NUM_PROMPTS - longer, longer)
    cut = cut_off(project, 28)[0]
    project.edit("params.yaml", "max_tokens: 28", "max_tokens: 27")
    longer = cut_off(project, 27)[1]
    assert generate(project) == (NUM_PROMPTS - longer, longer) and cut <= longer
    project.edit("params.yaml", "max_tokens: 27", "max_tokens: 256")
    assert generate(project) == (NUM_PROMPTS, 0)  # the first ones are still there
    project.edit("params.yaml", "top_p: 1.0", "top_p: 0.9")
    assert generate(project)[0] == 0


def test_raising_the_limit_regenerates_exactly_what_the_old_one_cut(project: Project) -> None:
    project.edit("params.yaml", "max_tokens: 256", "max_tokens: 28")
    assert generate(project, "new-store") == (0, NUM_PROMPTS)
    cut = cut_off(project, 28)[0]
    assert 0 < cut < NUM_PROMPTS
    project.edit("params.yaml", "max_tokens: 28", "max_tokens: 40")
    assert generate(project, "new-store") == (NUM_PROMPTS - cut, cut)


def test_a_clone_refills_its_store_from_pulled_responses_and_pays_only_for_new_prompts(project: Project) -> None:
    shutil.rmtree(project.root / ".dvc" / "store")
    project.run("python", "-m", "commands.store", "add", "rich")
    replace_prompts(project, 660)
    assert generate(project) == (NUM_PROMPTS, 60)


def stored(project: Project, column: str = "identity") -> Counter[str]:
    """How often each identity is in the store."""
    store = Store(project.root / ".dvc" / "store", "rich")
    tables = [read_segment(segment, [column]) for segment in store.segments()]
    return Counter(name for table in tables if table is not None for name in table[column].to_pylist())


def kill_after(project: Project, command: list[str], segments: int) -> None:
    """Start a command and kill it, and it alone, once it has written that many segments."""
    folder = project.root / ".dvc" / "store" / "rich"
    aim = len(list(folder.glob("*.parquet"))) + segments
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    running = subprocess.Popen(command, cwd=project.root, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(folder.glob("*.parquet"))) < aim and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    running.send_signal(signal.SIGKILL)
    running.wait()


def test_kills_at_random_moments_lose_nothing_that_was_flushed_and_change_no_byte(project: Project) -> None:
    before = sha256_folder(project.root / RESPONSES)
    shutil.rmtree(project.root / ".dvc" / "store")
    rng, kept = random.Random(7), Counter[str]()
    for _ in range(20):
        kill_after(project, ["python", "-m", "stages.generate", "rich"], rng.randint(1, 8))
        assert not kept - stored(project), "a flushed conversation is gone"
        kept = stored(project)
    assert 0 < len(kept) < NUM_PROMPTS
    assert generate(project) == (len(kept), NUM_PROMPTS - len(kept))
    assert set(stored(project).values()) == {1} and len(stored(project)) == NUM_PROMPTS
    assert sha256_folder(project.root / RESPONSES) == before


def test_make_retry_asks_again_what_failed_and_nothing_else(project: Project) -> None:
    project.repro("generate@rich")
    before = sha256_folder(project.root / RESPONSES)
    store = Store(project.root / ".dvc" / "store", "rich")
    rows = [row for segment in store.segments() for row in read_shard(segment)]
    for row in rows[:5]:
        row |= {"status": "failed", "reason": "the engine died each time that it was asked"}
    shutil.rmtree(project.root / ".dvc" / "store")
    store.append(rows)
    output = project.run("dvc", "repro", "--force", "generate@rich")
    assert "rich: 5 of 600 conversations failed (0.8%, allowed 1.0%)" in output and "`make retry DGM=rich`" in output
    output = project.run("make", "--old-file=.venv/lock", "retry", "DGM=rich")
    assert "removed: 5" in output and "rich: 595 conversations are in the store, 5 to generate" in output
    assert sha256_folder(project.root / RESPONSES) == before


@pytest.mark.pipeline
def test_three_kills_with_the_real_engine_lose_nothing_that_was_flushed(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", 240)
    params = project.params()
    params["generate"]["engine"] = "vllm"
    params["runtime"] |= {"max_concurrent": 8, "flush_conversations": 8}
    project.write_params(params)
    shutil.rmtree(project.root / "demo/models/rich")
    shutil.copytree(ROOT / "demo/models/demo-rich", project.root / "demo/models/rich")
    shutil.copy(ROOT / "dgms/demo-rich.yaml", project.root / "dgms/rich.yaml")
    project.edit("dgms/rich.yaml", "demo/models/demo-rich", "demo/models/rich")
    prepare(project)
    rng, kept = random.Random(5), Counter[str]()
    for _ in range(3):
        kill_after(project, ["python", "-m", "stages.generate", "rich"], rng.randint(2, 7))
        assert not kept - stored(project), "a flushed conversation is gone"
        kept = stored(project)
    assert generate(project) == (len(kept), 240 - len(kept)) and 0 < len(kept) < 240
    assert set(stored(project).values()) == {1}
    rows = list(read_rows(project.root / RESPONSES))
    assert {row["status"] for row in rows} == {"ok"} and len(rows) == 240
    assert all(turn["assistant"] for row in rows for turn in row["turns"])


LOGGED_STAGE = """
from contextlib import closing
from functools import partial
from pathlib import Path
from stages.generate import PromptFolder, write_responses
from stages.lib.models.catalogue import load_model
from stages.lib.engines.request import dgm_config
from stages.lib.settings.reading import load
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import Generate
from stages.lib.generation.cached import CachedGeneration
from stages.lib.core.store import store_folder
from stages.lib.generation.store import Store
from stages.lib.engines.supervisor import SupervisedEngine
from tests.support.faulty import LoggingEcho

class LoggedGeneration(CachedGeneration):
    def running_engine(self):
        start = partial(LoggingEcho, Path("asked"), self.config)
        return closing(SupervisedEngine(start, self.runtime, self.model.id))

if __name__ == "__main__":
    model, store = load_model("rich"), Store(store_folder(), "rich")
    config = dgm_config(model, load(Generate))
    with store.exclusive():
        write_responses(LoggedGeneration(model, config, "echo", store, load(Runtime)), PromptFolder())
"""


def test_a_kill_costs_at_most_one_percent_again(project: Project) -> None:
    shutil.rmtree(project.root / ".dvc" / "store")
    project.edit("params.yaml", "flush_conversations: 3", "flush_conversations: 2")
    (project.root / "logged.py").write_text(LOGGED_STAGE, encoding="utf-8")
    (project.root / "tests").symlink_to(ROOT / "tests")
    stage, asked, rng, again = ["python", "logged.py"], project.root / "asked", random.Random(3), list[int]()
    known = Counter[str]()
    for _ in range(20):
        kill_after(project, stage, rng.randint(2, 9))
        kept = stored(project, "conversation_hash")
        begun = Counter(asked.read_text(encoding="utf-8").split())
        again.append(sum(num_turns for name, num_turns in (begun - known).items() if name not in kept))
        known = begun
    project.run(*stage)
    turns = Counter({row["conversation_hash"]: len(row["turns"]) for row in read_rows(project.root / RESPONSES)})
    assert sum(again) == Counter(asked.read_text(encoding="utf-8").split()).total() - turns.total()
    assert 0 < max(again) <= 0.01 * turns.total()


def test_when_dvc_is_killed_the_stage_that_it_leaves_behind_is_waited_for(project: Project) -> None:
    before = sha256_folder(project.root / RESPONSES)
    shutil.rmtree(project.root / ".dvc" / "store")
    project.edit("params.yaml", "flush_conversations: 3", "flush_conversations: 1")
    for _ in range(3):
        kill_after(project, ["dvc", "repro", "generate@rich"], 5)
    generate(project)
    assert set(stored(project).values()) == {1} and len(stored(project)) == NUM_PROMPTS
    assert sha256_folder(project.root / RESPONSES) == before
