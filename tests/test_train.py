import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest

from stages import train
from stages.lib import axolotl
from stages.lib.conversation import CHAT
from stages.lib.model import Model, save_model, weights_digest
from stages.lib.params import UserError, parse
from stages.lib.shards import read_json, sha256_file, write_json, write_table

ROOT = Path(__file__).parent.parent
DEMO = {
    "device": "cpu",
    "sequence_length": 512,
    "learning_rate": 2e-3,
    "num_epochs": 1,
    "lr_scheduler": "cosine",
    "warmup_ratio": 0.1,
    "micro_batch_size": 1,
    "gradient_accumulation_steps": 2,
    "num_gpus": 0,
    "min_steps": 5,
    "seed": 42,
}
PAPER = DEMO | {
    "device": "gpu",
    "sequence_length": 8192,
    "learning_rate": 2e-5,
    "micro_batch_size": 2,
    "gradient_accumulation_steps": 8,
    "num_gpus": 4,
    "axolotl": {"warmup_ratio": None, "warmup_steps": 100, "val_set_size": 0.02, "evals_per_epoch": 0},
}
HUB = Model(
    id="llama",
    name="Llama",
    location="meta-llama/Llama-3.1-8B",
    kind="hub",
    commit="a" * 40,
    parameters_billions=8,
    context_window=131072,
)
FILES = [Path("/data/mixes/rewild/shard-00000.parquet")]
needs_axolotl = pytest.mark.skipif(not (ROOT / ".venv-train/bin/python").exists(), reason="needs make env")


def render(params, base=HUB):
    return train.render(parse(train.Train, params, "train"), base, FILES, Path("/work"))


def entry(step, **more):
    return {"step": step, "max_steps": 13, "epoch": step / 13, "loss": 3.0 - step / 10, **more}


def test_the_paper_is_rendered_in_axolotls_present_keys():
    config = render(PAPER)
    expected = {
        "base_model": "meta-llama/Llama-3.1-8B",
        "revision_of_model": "a" * 40,
        "sequence_len": 8192,
        "sample_packing": True,
        "gradient_accumulation_steps": 8,
        "micro_batch_size": 2,
        "num_epochs": 1,
        "optimizer": "adamw_torch",
        "lr_scheduler": "cosine",
        "learning_rate": 2e-5,
        "warmup_steps": 100,
        "bf16": True,
        "tf32": False,
        "attn_implementation": "flash_attention_2",
        "gradient_checkpointing": True,
        "val_set_size": 0.02,
        "evals_per_epoch": 0,
        "curriculum_sampling": True,
        "auto_resume_from_checkpoints": True,
        "fsdp_version": 2,
        "special_tokens": {"pad_token": "<|finetune_right_pad_id|>", "eos_token": "<|eot_id|>"},
    }
    assert {key: config.get(key) for key in expected} == expected
    assert config["plugins"][0] == "axolotl.integrations.liger.LigerPlugin"
    assert config["fsdp_config"]["reshard_after_forward"] is True
    assert "warmup_ratio" not in config


def test_on_a_cpu_there_is_no_half_precision_no_liger_and_no_fsdp():
    config = render(DEMO)
    assert (config["bf16"], config["fp16"], config["attn_implementation"]) == (False, False, "sdpa")
    assert config["plugins"] == [train.PLUGIN]
    assert not [key for key in config if key.startswith(("fsdp", "liger"))]


def test_only_what_assistants_say_is_trained_with_the_end_of_each_turn():
    (data,) = render(DEMO)["datasets"]
    assert (data["roles_to_train"], data["train_on_eos"]) == (["assistant"], "turn")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_gpus": 1}, "num_gpus must be 0 on cpu"),
        ({"device": "gpu"}, "num_gpus must be 0 on cpu, and 1 or more on gpu"),
        ({"learning_rate": 0.0}, "train.learning_rate"),
        ({"learning_rat": 1.0}, "train.learning_rat: no such key"),
        ({"axolotl": {"output_dir": "/"}}, "axolotl.output_dir is set by the stage"),
        ({"axolotl": {"trust_remote_code": True}}, "axolotl.trust_remote_code is set by the stage"),
    ],
)
def test_a_wrong_section_is_refused(change, message):
    with pytest.raises(UserError, match=message):
        parse(train.Train, DEMO | change, "train")


def test_small_numbers_reach_axolotl_as_numbers(tmp_path):
    axolotl.write_config(tmp_path / "axolotl.yaml", {"learning_rate": 2e-5})
    assert "2.0e-05" in (tmp_path / "axolotl.yaml").read_text()  # YAML 1.1 reads 2e-05 as a word


def test_a_missing_training_environment_is_one_plain_line(tmp_path, monkeypatch):
    monkeypatch.setenv("REWILD_TRAIN_ENV", str(tmp_path))
    with pytest.raises(UserError, match=r"^the training environment is missing: run `make env`$"):
        axolotl.train_python()


def test_a_temporary_experiment_finds_the_environment_of_the_main_checkout(tmp_path, monkeypatch):
    (tmp_path / ".venv-train/bin").mkdir(parents=True)
    (tmp_path / ".venv-train/bin/python").touch()
    monkeypatch.delenv("REWILD_TRAIN_ENV", raising=False)
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setattr(axolotl, "main_checkout", lambda: tmp_path)
    assert axolotl.train_python() == tmp_path / ".venv-train/bin/python"


def test_the_same_training_keeps_whole_checkpoints_and_another_one_none(tmp_path):
    work = tmp_path / "work"
    axolotl.prepare_work(work, {"seed": 1}, "mix")
    for name in ("checkpoint-4", "checkpoint-8"):
        (work / "out" / name).mkdir(parents=True)
    (work / "out/checkpoint-4/complete").touch()
    axolotl.prepare_work(work, {"seed": 1}, "mix")
    assert [path.name for path in work.glob("out/*")] == ["checkpoint-4"]
    axolotl.prepare_work(work, {"seed": 1}, "another mix")
    assert not list(work.glob("out/*"))


def write_log(work, entries):
    work.mkdir(parents=True, exist_ok=True)
    (work / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in entries))


def test_axolotls_exit_code_0_after_ctrl_c_is_no_success(tmp_path):
    write_log(tmp_path, [entry(8), entry(9)])
    assert str(axolotl.explain(0, tmp_path)) == "training stopped at step 9 of 13; run it again to resume"


def test_an_error_of_axolotls_own_is_named_as_such(tmp_path):
    assert "exit code 1; the reason is above" in str(axolotl.explain(1, tmp_path))


def test_the_reason_for_a_refusal_is_what_the_user_reads(tmp_path):
    (tmp_path / "refusal.txt").write_text("3 conversations make 1 step")
    assert str(axolotl.explain(2, tmp_path)) == "3 conversations make 1 step"


def test_loss_csv_holds_every_step_once_and_no_clock(tmp_path):
    (tmp_path / "out").mkdir()
    write_json(tmp_path / "out/config.json", {"use_cache": False})
    write_json(tmp_path / "out/generation_config.json", {"do_sample": True, "eos_token_id": [5, 1]})
    for name in ("model.safetensors", "README.md", "debug.log"):
        (tmp_path / "out" / name).touch()
    more = {"learning_rate": 0.5, "grad_norm": 1.0, "tokens/total": 64, "tokens/trainable": 32, "time": 1.7e9}
    write_log(tmp_path, [entry(1, **more), entry(2, **more), {"step": 2, "max_steps": 2, "train_runtime": 3.0}])
    folder = tmp_path / "model"
    folder.mkdir()
    axolotl.collect(tmp_path, folder)
    lines = (folder / "loss.csv").read_text().splitlines()
    assert lines[0] == "step,epoch,loss,learning_rate,grad_norm,tokens_total,tokens_trainable"
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2"]
    assert lines[2].split(",")[2:] == ["2.8", "0.5", "1.0", "64", "32"]
    assert read_json(folder / "generation_config.json") == {"eos_token_id": [5, 1]}
    assert read_json(folder / "config.json") == {"use_cache": True}
    assert not (folder / "README.md").exists() and not (folder / "debug.log").exists()


def write_project(root, rows, **changes):
    """A folder with the demo's base model, a mix of short chats, and params.yaml."""
    shutil.copytree(ROOT / "demo/models/demo-base", root / "base")
    base = {"kind": "local", "location": "base", "commit": weights_digest(root / "base")}
    (root / "models/demo-base").mkdir(parents=True)
    save_model(root / "models/demo-base", HUB.model_copy(update={"id": "demo-base", **base}))
    (root / "data/mixes/tiny").mkdir(parents=True)
    chats = [
        {
            "conversation_hash": f"{number:032x}",
            "source": "test",
            "messages": [
                {"role": "user", "content": f"What is {number} and {number}?"},
                {"role": "assistant", "content": f"It is {2 * number}. " * 12},
            ],
        }
        for number in range(rows)
    ]
    write_table(root / "data/mixes/tiny", pa.Table.from_pylist(chats, schema=CHAT))
    write_json(root / "params.yaml", {"train": DEMO | changes, "mix": {"runs": {"tiny": {"base": "demo-base"}}}})


def start(root):
    """Train in a process of its own; what it tells goes to a file, for a pipe that nobody reads would stop it."""
    variables = os.environ | {"PYTHONPATH": str(ROOT), "REWILD_TRAIN_ENV": str(ROOT / ".venv-train")}
    command = [sys.executable, "-m", "stages.train", "tiny"]
    with (root / "told.txt").open("w") as told:
        return subprocess.Popen(command, cwd=root, env=variables, stderr=told, start_new_session=True)


def kill_at_step(process, root, step, with_signal):
    log = root / train.WORK / "tiny/log.jsonl"
    while process.poll() is None and not (log.exists() and f'"step": {step},' in log.read_text()):
        time.sleep(0.05)
    axolotl = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    os.kill(int(axolotl.stdout.split()[0]), with_signal)
    return process.wait()


@needs_axolotl
@pytest.mark.pipeline
def test_a_killed_training_goes_on_from_its_checkpoint_to_the_same_bytes(tmp_path):
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
        write_project(tmp_path / name, 120)
    assert start(tmp_path / "whole").wait() == 0
    root = tmp_path / "broken"
    process = start(root)
    step = read_json(tmp_path / "whole/models/tiny/summary.json")["steps"] // 2 + 1
    assert kill_at_step(process, root, step, signal.SIGINT) == 1  # Axolotl itself ends with 0
    assert "run it again to resume" in (root / "told.txt").read_text().splitlines()[-1]
    assert not (root / "models/tiny").exists()
    assert list((root / train.WORK / "tiny/out").glob("checkpoint-*/complete"))
    assert start(root).wait() == 0
    assert not (root / train.WORK / "tiny").exists()
    for name in ("model.safetensors", "loss.csv", "summary.json", "model.json"):
        files = [tmp_path / folder / "models/tiny" / name for folder in ("whole", "broken")]
        assert sha256_file(files[0]) == sha256_file(files[1]), name


@needs_axolotl
@pytest.mark.pipeline
@pytest.mark.parametrize(
    ("rows", "change", "message"),
    [
        (120, {"axolotl": {"learning_rat": 1}}, "Axolotl knows no key learning_rat"),
        (4, {}, "4 conversations of .* make 0 steps|fewer than train.min_steps"),
    ],
)
def test_what_cannot_work_is_refused_before_training(rows, change, message, tmp_path):
    write_project(tmp_path, rows, **change)
    assert start(tmp_path).wait() == 1
    told = (tmp_path / "told.txt").read_text()
    assert re.search(message, told.splitlines()[-1])
    assert "Traceback" not in told


CHECK = """
import sys, yaml
from axolotl.cli.config import prepare_plugins
from axolotl.utils.config import validate_config
from axolotl.utils.dict import DictDefault
config = yaml.safe_load(open(sys.argv[1])) | {"axolotl_config_path": sys.argv[1]}
prepare_plugins(DictDefault(config))
abilities = {"bf16": True, "fp8": True, "tf32": True, "n_gpu": 4, "n_node": 1, "compute_capability": "sm_90"}
validate_config(DictDefault(config), capabilities=abilities, env_capabilities={"torch_version": "2.13.0"})
"""


@needs_axolotl
@pytest.mark.pipeline
def test_axolotl_accepts_the_papers_configuration(tmp_path):
    axolotl.write_config(tmp_path / "axolotl.yaml", render(PAPER))
    variables = os.environ | {"PYTHONPATH": str(ROOT), "AXOLOTL_DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    command = [ROOT / ".venv-train/bin/python", "-c", CHECK, tmp_path / "axolotl.yaml"]
    checked = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr[-2000:]
