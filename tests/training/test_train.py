import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from stages import train
from stages.lib.console.errors import UserError
from stages.lib.core.files import read_json, sha256_file, write_json
from stages.lib.core.sections import parse
from stages.lib.models.catalogue import Model, save_model, weights_digest
from stages.lib.models.chat_template import Template, end_of_turn_ids, load_tokenizer
from stages.lib.records.chats import CHAT
from stages.lib.records.shards import write_table
from stages.lib.settings.sections import Train
from stages.lib.training import axolotl
from stages.lib.training.reference_encodings import end_of_turn, example, special_tokens
from stages.lib.training.screen import LIVE, Screen
from tests.support.bases import CHAT_OF_TWO, CHATML, llama_base, qwen_base
from tests.support.project import BIN, ROOT, small_params, write_judge, write_model
from tests.support.tokenizers import MAKE

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
FILES = [Path("/mix/shard-00000.parquet")]
needs_axolotl = pytest.mark.skipif(not (ROOT / ".venv-train/bin/python").exists(), reason="needs make env")


def render(params, tokenizer=None):
    template = Template(tokenizer or llama_base(), HUB)
    return train.render(parse(Train, params, "train"), template, FILES, Path("/work"))


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
    assert config["chat_template_jinja"] == (ROOT / "dgms/templates/llama-3.jinja").read_text()
    assert "warmup_ratio" not in config


def test_a_base_model_with_a_template_of_its_own_is_trained_with_it():
    config = render(PAPER, qwen_base())
    assert config["chat_template_jinja"] == CHATML
    assert config["special_tokens"] == {"pad_token": "<|endoftext|>", "eos_token": "<|im_end|>"}


def test_a_base_model_without_a_template_is_refused_until_the_catalogue_names_one(tmp_path):
    llama_base(None).save_pretrained(tmp_path)
    base = HUB.model_copy(update={"kind": "local", "location": str(tmp_path)})
    with pytest.raises(
        UserError, match=r"^llama has no chat template: name one as `chat_template` in dgms/llama.yaml$"
    ):
        train.load_template(base)
    text = (ROOT / "dgms/templates/llama-3.jinja").read_text()
    found = train.load_template(base.model_copy(update={"chat_template": text}))
    assert special_tokens(found)["eos_token"] == "<|eot_id|>"


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
        ({"axolotl": {"chat_template": "llama3"}}, "axolotl.chat_template is set by the stage"),
    ],
)
def test_a_wrong_section_is_refused(change, message):
    with pytest.raises(UserError, match=message):
        parse(Train, DEMO | change, "train")


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


@pytest.mark.parametrize(("num_gpus", "visible"), [(0, ""), (2, "4,5")])
def test_training_on_a_cpu_sees_no_gpu_whatever_the_machine_has(num_gpus, visible, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    variables = axolotl.environment(Path("env/bin/python"), Path("work"), num_gpus, offline=True)
    assert variables["CUDA_VISIBLE_DEVICES"] == visible


def test_several_gpus_have_the_data_prepared_first_and_a_cluster_has_its_own_launch(tmp_path, monkeypatch):
    monkeypatch.delenv("REWILD_LAUNCHER", raising=False)
    one, (prepare, launch) = (axolotl.commands(Path("python"), tmp_path, number) for number in (1, 4))
    assert [command[3:] for command in one] == [["train", f"{tmp_path}/axolotl.yaml", "--launcher", "python"]]
    assert prepare[3:] == ["preprocess", f"{tmp_path}/axolotl.yaml"]
    assert launch[5:] == ["--launcher", "torchrun", "--", "--standalone", "--nproc_per_node", "4"]
    monkeypatch.setenv("REWILD_LAUNCHER", "/lab/launch.sh")
    assert axolotl.commands(Path("python"), tmp_path, 16) == [prepare, ["/lab/launch.sh", f"{tmp_path}/axolotl.yaml"]]
    (tmp_path / "prepared/0123").mkdir(parents=True)
    assert axolotl.commands(Path("python"), tmp_path, 16) == [["/lab/launch.sh", f"{tmp_path}/axolotl.yaml"]]


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


def test_an_error_of_axolotls_own_is_one_line_that_names_the_file_with_the_rest(tmp_path):
    (tmp_path / "axolotl.txt").write_text("Traceback\n  File x\nValueError: no \x1b[1m bf16\nW1125 a warning\n")
    told = str(axolotl.explain(1, tmp_path))
    assert told.startswith(r"Axolotl ended with exit code 1: ValueError: no \x1b[1m bf16 (all that it said is in ")
    assert told.endswith("axolotl.txt)")


def test_without_an_error_the_last_line_is_what_is_named(tmp_path):
    (tmp_path / "axolotl.txt").write_text("one\nKilled\n\n")
    assert "exit code -9: Killed (all" in str(axolotl.explain(-9, tmp_path))


def test_the_reason_for_a_refusal_is_what_the_user_reads(tmp_path):
    (tmp_path / "refusal.txt").write_text("3 conversations make 1 step")
    assert str(axolotl.explain(2, tmp_path)) == "3 conversations make 1 step"


def test_a_model_is_its_weights_in_bfloat16_its_tokenizer_and_every_step_once_without_a_clock(tmp_path):
    out, folder = tmp_path / "out", tmp_path / "model"
    for made in (out, folder):
        made.mkdir()
    write_json(out / "config.json", {"use_cache": False, "dtype": "float32"})
    write_json(out / "generation_config.json", {"do_sample": True, "eos_token_id": [5, 1]})
    write_json(out / "model.safetensors.index.json", {"metadata": {"total_size": 12}, "weight_map": {"w": "1"}})
    save_file({"w": np.array([1.0, 2.0, 1e-3], dtype=np.float32), "n": np.array([7])}, out / "1.safetensors")
    for name in ("tokenizer.json", "README.md", "debug.log"):
        (out / name).write_text("{}")
    (tmp_path / "mask.txt").write_text("⟦Hi⟧")
    more = {"learning_rate": 0.5, "grad_norm": 1.0, "tokens/total": 64, "tokens/trainable": 32, "time": 1.7e9}
    write_log(tmp_path, [entry(1, **more), entry(2, **more), {"step": 2, "max_steps": 2, "train_runtime": 3.0}])
    axolotl.collect(tmp_path, folder)
    lines = (folder / "loss.csv").read_text().splitlines()
    assert lines[0] == "step,epoch,loss,learning_rate,grad_norm,tokens_total,tokens_trainable"
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2"]
    assert lines[2].split(",")[2:] == ["2.8", "0.5", "1.0", "64", "32"]
    assert read_json(folder / "generation_config.json") == {"eos_token_id": [5, 1]}
    assert read_json(folder / "config.json") == {"use_cache": True, "dtype": "bfloat16"}
    assert read_json(folder / "model.safetensors.index.json") == {"metadata": {}, "weight_map": {"w": "1"}}
    assert dtypes(folder / "1.safetensors") == {"w": "BF16", "n": "I64"}
    files = {"1.safetensors", "model.safetensors.index.json", "config.json", "generation_config.json", "tokenizer.json"}
    assert {path.name for path in folder.iterdir()} == files | {"loss.csv", "mask.txt"}


def dtypes(file):
    with safe_open(file, "np") as weights:
        return {name: weights.get_slice(name).get_dtype() for name in weights.keys()}


def test_a_user_sees_what_is_trained_where_the_curve_is_and_a_bar(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("stages.lib.training.screen.time.monotonic", iter([100.0, 102.0]).__next__)
    screen = Screen("rewild", tmp_path)
    screen.look()
    assert capsys.readouterr().err == ""
    write_log(tmp_path, [entry(1, **{"tokens/total": 1000})])  # of a run that broke off
    (tmp_path / "mask.txt").write_text("user: Hi\x1b[2J assistant: ⟦Yes.<|eot_id|>⟧\n")
    facts = {"rows": 400, "tokens": 46763, "trained_tokens": 27402, "replies": 420, "max_steps": 13}
    write_json(tmp_path / "facts.json", facts)
    screen.look()
    for step in (2, 3):
        write_log(tmp_path, [entry(number, **{"tokens/total": 1000 * number}) for number in range(1, step + 1)])
        screen.look()
    lines = Path("data/live/rewild.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["step", "1", "2", "3"]
    screen.close()
    told = capsys.readouterr().err
    assert "400 conversations, 46.8 k tokens; trained: 58.6% of them, in 420 replies to their end of turn." in told
    assert "user: Hi\\x1b[2J assistant: ⟦Yes.<|eot_id|>⟧" in told
    assert "dvc plots show data/live/rewild.csv -x step -y loss" in told
    assert re.search(r"train rewild: +23%.* 3/13 .*loss 2.700, 500 tokens/s", told)
    assert not Path("data/live/rewild.csv").exists()


def test_the_curve_is_seen_while_dvc_runs_the_stage(tmp_path):
    variables = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, env=variables, check=True)
    (tmp_path / "dvc.yaml").write_text("stages: {train: {cmd: touch began && sleep 60}}\n")
    axolotl.write_curve(tmp_path / LIVE / "rewild.csv", [entry(1), entry(2)])
    shown = ["dvc", "plots", "show", str(LIVE / "rewild.csv"), "-x", "step", "-y", "loss", "--show-vega"]
    with subprocess.Popen(["dvc", "repro", "-q"], cwd=tmp_path, env=variables, start_new_session=True) as repro:
        try:
            wait_until(lambda: (tmp_path / "began").exists())
            vega = subprocess.run(shown, cwd=tmp_path, env=variables, capture_output=True, text=True, check=True).stdout
        finally:
            os.killpg(repro.pid, signal.SIGKILL)
    assert [point["loss"] for point in json.loads(vega)["data"]["values"]] == ["2.9", "2.8"]


def turn(number):
    return [
        {"role": "user", "content": f"What is {number} and {number}?"},
        {"role": "assistant", "content": f"It is {2 * number}. " * 12},
    ]


def write_mix(root, chats):
    """The mix `tiny`, in the place of an earlier one."""
    shutil.rmtree(root / "data/mixes/tiny", ignore_errors=True)
    (root / "data/mixes/tiny").mkdir(parents=True)
    rows = [{"conversation_hash": f"{n:032x}", "source": "test", "messages": chat} for n, chat in enumerate(chats)]
    write_table(root / "data/mixes/tiny", pa.Table.from_pylist(rows, schema=CHAT))


def write_project(root, chats, write_base=None, **changes):
    """A folder with a base model (the demo's, if no other is given), a mix, and params.yaml."""
    root.mkdir(exist_ok=True)
    if write_base:
        write_base(root / "base")
    else:
        shutil.copytree(ROOT / "demo/models/demo-base", root / "base")
    base = {"kind": "local", "location": "base", "commit": weights_digest(root / "base")}
    (root / "models/base").mkdir(parents=True)
    save_model(root / "models/base", HUB.model_copy(update={"id": "base", **base}))
    write_mix(root, chats)
    write_json(root / "params.yaml", {"train": DEMO | changes, "mix": {"runs": {"tiny": {"base": "base"}}}})


def start(root):
    """Train in a process of its own; what it tells goes to a file, for a pipe that nobody reads would stop it."""
    variables = os.environ | {"PYTHONPATH": str(ROOT), "REWILD_TRAIN_ENV": str(ROOT / ".venv-train")}
    command = [sys.executable, "-m", "stages.train", "tiny"]
    heeds_ctrl_c = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # also where the tests run in the background
    with (root / "told.txt").open("w") as told:
        return subprocess.Popen(
            command, cwd=root, env=variables, stderr=told, start_new_session=True, preexec_fn=heeds_ctrl_c
        )


def last_told(root):
    return (root / "told.txt").read_text().splitlines()[-1]


def wait_until(true, seconds=300):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


def axolotl_of(process):
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    return int(found.stdout.split()[0])


def wait_for_step(root, process, step):
    log = root / train.WORK / "tiny/log.jsonl"
    wait_until(lambda: process.poll() is not None or (log.exists() and f'"step": {step},' in log.read_text()))
    assert process.poll() is None, last_told(root)


@needs_axolotl
@pytest.mark.pipeline
def test_a_training_that_is_killed_again_and_again_goes_on_to_the_same_bytes(tmp_path):
    chats = [turn(number) for number in range(120)]
    for name in ("whole", "broken"):
        write_project(tmp_path / name, chats)
    assert start(tmp_path / "whole").wait() == 0
    root = tmp_path / "broken"
    prepared = root / train.WORK / "tiny/prepared"

    process = start(root)  # the stage is killed while Axolotl prepares the data
    wait_until((prepared / "datasets_prep.lock").exists)
    child = axolotl_of(process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    wait_until(lambda: not Path(f"/proc/{child}").exists(), seconds=20)  # it ends with the stage

    stopped = r"train: training stopped at step \d+ of 14; run it again to resume"
    for step, kill, message in (
        (5, lambda process: os.kill(axolotl_of(process), signal.SIGKILL), stopped),
        (8, lambda process: os.kill(axolotl_of(process), signal.SIGINT), stopped),  # Axolotl itself ends with 0
        (11, lambda process: process.send_signal(signal.SIGINT), "train: interrupted; what .* run it again to go on"),
    ):
        for name in ("datasets_prep.lock", "datasets_ready.flag"):  # of somebody who died while preparing
            prepared.mkdir(parents=True, exist_ok=True)
            (prepared / name).touch()
        log = root / train.WORK / "tiny/log.jsonl"
        log.write_text((log.read_text() if log.exists() else "") + '{"step": 1')  # and of one who died while writing
        process = start(root)
        wait_for_step(root, process, step)
        kill(process)
        assert process.wait() == 1
        assert re.fullmatch(message, last_told(root))
        assert not (root / "models/tiny").exists()
        assert list((root / train.WORK / "tiny/out").glob("checkpoint-*/complete"))

    assert start(root).wait() == 0
    assert not (root / train.WORK / "tiny").exists() and not list((root / LIVE).iterdir())
    for name in ("model.safetensors", "loss.csv", "mask.txt", "summary.json", "model.json"):
        files = [tmp_path / folder / "models/tiny" / name for folder in ("whole", "broken")]
        assert sha256_file(files[0]) == sha256_file(files[1]), name


@needs_axolotl
@pytest.mark.pipeline
def test_rows_that_were_replaced_behind_the_same_path_are_the_ones_that_are_trained(tmp_path):
    write_project(tmp_path, [turn(number) for number in range(120)])
    process = start(tmp_path)
    wait_for_step(tmp_path, process, 5)
    os.kill(axolotl_of(process), signal.SIGKILL)
    process.wait()
    write_mix(tmp_path, [turn(number) for number in range(500, 600)])
    assert start(tmp_path).wait() == 0
    assert read_json(tmp_path / "models/tiny/summary.json")["rows"] == 100
    assert "What is 500 and 500?" in (tmp_path / "models/tiny/mask.txt").read_text()
    assert (tmp_path / "models/tiny/loss.csv").read_text().splitlines()[1].startswith("1,")


@needs_axolotl
@pytest.mark.pipeline
@pytest.mark.parametrize(
    ("rows", "change", "message"),
    [
        (120, {"axolotl": {"learning_rat": 1}}, "train.axolotl.learning_rat: Axolotl has no such key; did you mean "),
        (4, {}, "4 conversations of .* make 0 steps|fewer than train.min_steps"),
        (120, {"axolotl": {"train_on_inputs": True}}, "what a user or the system says, or a header, would be trained"),
        (120, {"axolotl": {"special_tokens": {"eos_token": "<|end_of_text|>"}}}, "the end of turn would never be tr"),
        (120, {"axolotl": {"bf16": True}}, "Axolotl ended with exit code 1: ValueError: Your setup doesn't support"),
    ],
)
def test_what_cannot_work_is_refused_before_training_in_one_line(rows, change, message, tmp_path):
    write_project(tmp_path, [turn(number) for number in range(rows)], **change)
    assert start(tmp_path).wait() == 1
    assert re.search(message, last_told(tmp_path))
    assert "Traceback" not in (tmp_path / "told.txt").read_text()
    assert (
        not (tmp_path / train.WORK / "tiny/log.jsonl").exists()
        or not (tmp_path / train.WORK / "tiny/log.jsonl").read_text()
    )


@needs_axolotl
@pytest.mark.pipeline
def test_a_template_that_is_another_one_in_training_is_refused(tmp_path):
    def dated(folder):
        shutil.copytree(ROOT / "demo/models/demo-base", folder)
        file = folder / "chat_template.jinja"
        file.write_text("{{ strftime_now('%d %B %Y') }}\n" + file.read_text())

    write_project(tmp_path, [turn(number) for number in range(120)], dated)
    assert start(tmp_path).wait() == 1
    assert re.search(r"8 of 8 conversations have other token ids in training than in generation: ", last_told(tmp_path))


@needs_axolotl
@pytest.mark.pipeline
def test_a_key_that_axolotl_does_not_have_is_refused_before_anything_is_generated(tmp_path):
    for name in ("rich", "plain", "base"):
        write_model(tmp_path, name)
    write_judge(tmp_path)
    params = small_params()
    write_json(tmp_path / "params.yaml", params | {"train": params["train"] | {"axolotl": {"learning_rat": 1}}})
    variables = os.environ | {"PYTHONPATH": str(ROOT), "REWILD_TRAIN_ENV": str(ROOT / ".venv-train")}
    command = [sys.executable, "-m", "stages.check"]
    checked = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    expected = "check: train.axolotl.learning_rat: Axolotl has no such key; did you mean learning_rate?\n"
    assert (checked.returncode, checked.stderr) == (1, expected)


def tiny(tokenizer, kind):
    """Writes a base model of a kind, with random weights."""
    import torch
    import transformers

    def write(folder):
        torch.manual_seed(0)
        shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
        size = {"vocab_size": len(tokenizer), "num_key_value_heads": 1, "eos_token_id": tokenizer.eos_token_id}
        config = getattr(transformers, f"{kind}Config")(**shape, **size)
        getattr(transformers, f"{kind}ForCausalLM")(config).to(torch.bfloat16).save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    return write


LOGITS = """
import json, sys, torch
from transformers import AutoModelForCausalLM
torch.set_num_threads(1)
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
print(json.dumps(model(torch.tensor([json.loads(sys.argv[2])])).logits[0].tolist()))
"""


def logits(python, folder, ids):
    command = [python, "-c", LOGITS, folder, json.dumps(ids)]
    variables = os.environ | {"CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    return np.array(json.loads(subprocess.run(command, env=variables, capture_output=True, check=True).stdout))


@needs_axolotl
@pytest.mark.pipeline
@pytest.mark.parametrize(
    ("kind", "tokenizer", "end", "padding"),
    [
        ("Llama", llama_base(), "<|eot_id|>", "<|finetune_right_pad_id|>"),
        ("Qwen2", qwen_base(), "<|im_end|>", "<|endoftext|>"),
    ],
)
def test_a_base_model_is_trained_with_its_template_and_loads_as_it_was(kind, tokenizer, end, padding, tmp_path):
    attacked = [{"role": "user", "content": f"Say {end} now"}, *turn(1)[1:]]
    chats = [turn(n) if n % 3 else [*turn(n), *turn(n + 1)] for n in range(90)]
    write_project(tmp_path, [*chats, attacked, attacked, turn("9" * 600)], tiny(tokenizer, kind))
    assert start(tmp_path).wait() == 0, last_told(tmp_path)
    folder = tmp_path / "models/tiny"

    summary = read_json(folder / "summary.json")
    counts = {name: summary[name] for name in ("rows", "replies", "dropped_control_string", "dropped_too_long")}
    assert counts == {"rows": 90, "replies": 120, "dropped_control_string": 2, "dropped_too_long": 1}
    assert f"⟦{turn(0)[1]['content']}{end}⟧" in (folder / "mask.txt").read_text()

    trained = load_model_of(tmp_path)
    own, template = load_tokenizer(trained), Template(tokenizer, HUB)
    assert own.get_chat_template() == tokenizer.chat_template
    assert (own.eos_token, own.pad_token) == (end, padding)
    assert own.convert_tokens_to_ids(end) in end_of_turn_ids(own, trained)
    for chat in (chats[0], chats[1], chats[0][:3], attacked[:1]):
        assert Template(own, trained).encode(chat) == template.encode(chat)

    assert read_json(folder / "config.json")["dtype"] == trained.dtype == "bfloat16"
    with safe_open(folder / "model.safetensors", "np") as weights:
        assert {weights.get_slice(name).get_dtype() for name in weights.keys()} == {"BF16"}
    ids = template.encode(chats[0][:3])
    here, there = (logits(python, folder, ids) for python in (sys.executable, ROOT / ".venv-train/bin/python"))
    assert here.shape == (len(ids), len(tokenizer))
    assert np.abs(here - there).max() < 1e-5 < np.abs(here).max()


def load_model_of(root):
    found = read_json(root / "models/tiny/model.json")
    return Model.model_validate(found | {"location": str(root / found["location"])})


MASKED = """
import json, sys
import numpy as np
from axolotl.prompt_strategies.chat_template import ChatTemplatePrompter, ChatTemplateStrategy
from stages.lib.training.label_masks import misfit
from transformers import AutoTokenizer
for folder in sys.argv[1:]:
    asked = json.load(open(folder + "/asked.json"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.eos_token = asked["end"]
    named = {"role": "role", "content": "content"}
    prompter = ChatTemplatePrompter(tokenizer, tokenizer.chat_template, message_property_mappings=named)
    strategy = ChatTemplateStrategy(prompter, tokenizer, False, 512, roles_to_train=["assistant"], train_on_eos="turn")
    row = strategy.tokenize_prompt({"messages": asked["messages"]})
    same = row["input_ids"] == asked["example"]["ids"]
    print(json.dumps([same, misfit(asked["example"], np.array(row["labels"]) != -100)]))
"""


@needs_axolotl
@pytest.mark.pipeline
def test_axolotl_makes_of_every_form_of_template_what_generation_does(tmp_path):
    for name, make in MAKE.items():
        template = Template(make(), HUB)
        end = end_of_turn(template)
        shown = example(CHAT_OF_TWO, template, template.tokenizer.convert_tokens_to_ids(end))
        template.tokenizer.save_pretrained(tmp_path / name)
        write_json(tmp_path / name / "asked.json", {"end": end, "messages": CHAT_OF_TWO, "example": shown})
    variables = os.environ | {"PYTHONPATH": str(ROOT), "AXOLOTL_DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    command = [str(ROOT / ".venv-train/bin/python"), "-c", MASKED, *(str(tmp_path / name) for name in MAKE)]
    told = subprocess.run(command, env=variables, stdout=subprocess.PIPE, text=True, check=True).stdout
    found = [json.loads(line) for line in told.splitlines() if line.startswith("[")]
    assert dict(zip(MAKE, found, strict=True)) == {name: [True, ""] for name in MAKE}


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
    config = render(PAPER)
    axolotl.check_keys([key for key in config if not key.startswith("rewild_")])
    axolotl.write_config(tmp_path / "axolotl.yaml", config)
    variables = os.environ | {"PYTHONPATH": str(ROOT), "AXOLOTL_DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    command = [ROOT / ".venv-train/bin/python", "-c", CHECK, tmp_path / "axolotl.yaml"]
    checked = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr[-2000:]
