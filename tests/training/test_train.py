"""The stage `train` with the real Axolotl: trainings that are killed, changed or refused."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages import train
from stages.lib.core.files import read_json, sha256_file, write_json
from stages.lib.models.chat_template import Template
from stages.lib.training.protocol import COMPLETE, LOG, OUT, OUTPUT, PREPARED
from stages.lib.training.screen import LIVE
from tests.support.bases import CHATML
from tests.support.conversations import MODEL
from tests.support.project import ROOT, small_params, write_judge, write_model
from tests.support.tokenizers import byte_level
from tests.support.training import (
    axolotl_of,
    last_message,
    needs_axolotl,
    start,
    turn,
    wait_for_step,
    wait_until,
    write_mix,
    write_project,
)


@needs_axolotl
@pytest.mark.pipeline
def test_a_training_that_is_killed_several_times_ends_with_the_same_bytes(tmp_path):
    chats = [turn(number) for number in range(120)]
    for name in ("whole", "broken"):
        write_project(tmp_path / name, chats)
    assert start(tmp_path / "whole").wait() == 0
    root = tmp_path / "broken"
    prepared = root / train.WORK / "tiny" / PREPARED

    process = start(root)  # the stage is killed while Axolotl prepares the data
    wait_until((prepared / "datasets_prep.lock").exists)
    child = axolotl_of(process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    wait_until(lambda: not Path(f"/proc/{child}").exists(), seconds=20)  # it ends with the stage

    stopped = r"train: training stopped at step \d+ of 14; run it again to resume"
    interrupted = r"train: interrupted; tiny: its checkpoint of step \d+ is kept; run it again to go on"
    for step, kill, code, message in (
        (5, lambda process: os.kill(axolotl_of(process), signal.SIGKILL), 1, stopped),
        (8, lambda process: os.kill(axolotl_of(process), signal.SIGINT), 1, stopped),  # Axolotl itself ends with 0
        (11, lambda process: process.send_signal(signal.SIGINT), 130, interrupted),
    ):
        for name in ("datasets_prep.lock", "datasets_ready.flag"):  # of a process that died while preparing
            prepared.mkdir(parents=True, exist_ok=True)
            (prepared / name).touch()
        log = root / train.WORK / "tiny" / LOG
        log.write_text((log.read_text() if log.exists() else "") + '{"step": 1')  # and of one that died while writing
        process = start(root)
        wait_for_step(root, process, step)
        kill(process)
        assert process.wait() == code
        assert re.fullmatch(message, last_message(root))
        assert not (root / "models/tiny").exists()
        assert list((root / train.WORK / "tiny" / OUT).glob(f"checkpoint-*/{COMPLETE}"))

    assert start(root).wait() == 0
    assert not (root / train.WORK / "tiny").exists() and not list((root / LIVE).iterdir())
    for name in ("model.safetensors", "loss.csv", "mask.txt", "summary.json", "model.json"):
        files = [tmp_path / folder / "models/tiny" / name for folder in ("whole", "broken")]
        assert sha256_file(files[0]) == sha256_file(files[1]), name


@needs_axolotl
@pytest.mark.pipeline
def test_rows_that_were_replaced_under_the_same_path_are_trained(tmp_path):
    write_project(tmp_path, [turn(number) for number in range(120)])
    process = start(tmp_path)
    wait_for_step(tmp_path, process, 5)
    os.kill(axolotl_of(process), signal.SIGKILL)
    process.wait()
    write_mix(tmp_path, [turn(number) for number in range(500, 600)])
    assert start(tmp_path).wait() == 0
    assert read_json(tmp_path / "models/tiny/summary.json")["rows"] == 100
    asked = re.search(r"What is (\d+) and", (tmp_path / "models/tiny/mask.txt").read_text())
    assert asked and int(asked[1]) >= 500
    assert (tmp_path / "models/tiny/loss.csv").read_text().splitlines()[1].startswith("1,")


@needs_axolotl
@pytest.mark.pipeline
@pytest.mark.parametrize(
    ("rows", "change", "message"),
    [
        (120, {"axolotl": {"learning_rat": 1}}, "learning_rat: Axolotl has no such key; did you mean "),
        (4, {}, r"4 conversations of .* tokens make at most 1 steps, fewer than train.min_steps \(5\): mix more"),
        (4, {"axolotl": {"excess_length_strategy": "truncate"}}, r"make 1 steps, fewer than train.min_steps \(5\)"),
        (
            120,
            {"axolotl": {"train_on_inputs": True}},
            "a message of a user or the system, or a header, would be trained",
        ),
        (120, {"axolotl": {"special_tokens": {"eos_token": "<|end_of_text|>"}}}, "the end of turn would never be tr"),
        (120, {"axolotl": {"bf16": True}}, "Axolotl ended with exit code 1: ValueError: Your setup doesn't support"),
    ],
)
def test_a_training_that_cannot_work_is_refused_in_one_line_before_it_starts(rows, change, message, tmp_path):
    write_project(tmp_path, [turn(number) for number in range(rows)], **change)
    assert start(tmp_path).wait() == 1
    assert re.search(message, last_message(tmp_path))
    assert "Traceback" not in (tmp_path / "stderr.txt").read_text()
    is_before_axolotl = any(words in message for words in ("no such key", "at most"))
    assert (tmp_path / train.WORK / "tiny" / OUTPUT).exists() != is_before_axolotl
    assert not (tmp_path / train.WORK / "tiny" / LOG).exists() or not (tmp_path / train.WORK / "tiny" / LOG).read_text()


@needs_axolotl
@pytest.mark.pipeline
def test_a_template_that_renders_differently_in_training_is_refused(tmp_path):
    def hinting(folder):
        shutil.copytree(ROOT / "demo/models/demo-base", folder)
        file = folder / "chat_template.jinja"
        file.write_text("{{ hint | default('Be brief.') }}\n" + file.read_text())

    changes = {"axolotl": {"chat_template_kwargs": {"hint": "Be long."}}}
    write_project(tmp_path, [turn(number) for number in range(120)], hinting, **changes)
    assert start(tmp_path).wait() == 1
    assert re.search(
        r"8 of 8 conversations have other token ids in training than in generation: ", last_message(tmp_path)
    )


@needs_axolotl
@pytest.mark.pipeline
def test_check_refuses_a_key_that_axolotl_does_not_have(tmp_path):
    for name in ("rich", "plain", "base"):
        write_model(tmp_path, name)
    write_judge(tmp_path)
    params = small_params()
    write_json(tmp_path / "params.yaml", params | {"train": params["train"] | {"axolotl": {"learning_rat": 1}}})
    variables = os.environ | {"PYTHONPATH": str(ROOT), "REWILD_TRAIN_ENV": str(ROOT / ".venv-train")}
    command = [sys.executable, "-m", "stages.check"]
    checked = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    expected = r"^params.yaml:\d+: train.axolotl.learning_rat: Axolotl has no such key; did you mean learning_rate\?$"
    assert checked.returncode == 1 and re.search(expected, checked.stderr, re.MULTILINE)


def test_the_seed_decides_the_order_of_the_rows_and_nothing_else(tmp_path):
    template = Template(byte_level(CHATML, [], []), MODEL)
    mix = [tmp_path / f"{name}.parquet" for name in "ab"]
    for number, file in enumerate(mix):
        chats = [
            [{"role": "user", "content": f"{number}{row}"}, {"role": "assistant", "content": "y"}] for row in range(9)
        ]
        pq.write_table(pa.Table.from_pylist([{"messages": chat} for chat in chats]), file)

    def copied(seed: int) -> list[str]:
        files = [tmp_path / str(seed) / file.name for file in mix]
        assert train.copy_rows(mix, files, template, seed)["copied"] == 18
        return [row["messages"][0]["content"] for file in files for row in pq.read_table(file).to_pylist()]

    assert copied(42) == copied(42) != copied(43)
    assert sorted(copied(42)) == sorted(copied(43)) != copied(42)
