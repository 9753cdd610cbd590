"""Fine-tune a run's base model on its mix with Axolotl, in the environment `.venv-train`.

In:  data/mixes/<run>/, models/<base>/model.json
Out: models/<run>/: weights, tokenizer and template, model.json, loss.csv, summary.json
"""

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import mean
from typing import Any, Literal

from pydantic import Field, model_validator
from ruamel.yaml import YAML

from stages.lib.model import MODELS, Model, load_model, save_model, weights_digest
from stages.lib.params import PARAMS, Section, UserError, load, read_yaml
from stages.lib.shards import SUMMARY, new_folder, read_json, read_table, sha256_folder, write_json
from stages.lib.shell import run, say

MIXES = Path("data/mixes")
WORK = Path(".dvc/tmp/rewild/train")  # one folder per run, gone when the run is trained
KEPT = ("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "*token*", "*.jinja")
CURVE = ["step", "epoch", "loss", "learning_rate", "grad_norm", "tokens/total", "tokens/trainable"]
CONFIG = "axolotl.yaml"
PLUGIN = "stages.lib.axolotl_plugin.Plugin"
FIXED = ("base_model", "datasets", "dataset_prepared_path", "output_dir", "trust_remote_code", "plugins")


class Train(Section):
    """How a run is trained. What has no key of its own goes to `axolotl`."""

    device: Literal["cpu", "gpu"]
    chat_template: Literal["tokenizer_default", "llama3"]
    sequence_length: int = Field(gt=0)  # tokens; longer conversations are dropped and counted
    learning_rate: float = Field(gt=0)
    num_epochs: int = Field(gt=0)
    lr_scheduler: Literal["cosine", "linear", "constant_with_warmup"]
    warmup_ratio: float = Field(ge=0, lt=1)
    micro_batch_size: int = Field(gt=0)
    gradient_accumulation_steps: int = Field(gt=0)
    num_gpus: int = Field(ge=0)
    min_steps: int = Field(ge=1)
    seed: int
    axolotl: dict[str, Any] = Field(
        default_factory=dict
    )  # further Axolotl keys, as they are; null takes one of ours away

    @model_validator(mode="after")
    def _fits(self) -> "Train":
        if (self.device == "gpu") != (self.num_gpus > 0):
            raise ValueError("num_gpus must be 0 on cpu, and 1 or more on gpu")
        if fixed := [key for key in self.axolotl if key in FIXED or key.startswith("rewild_")]:
            raise ValueError(f"axolotl.{fixed[0]} is set by the stage")
        return self


CPU = {"bf16": False, "fp16": False, "tf32": False, "attn_implementation": "sdpa", "dataloader_pin_memory": False}
GPU = {
    "bf16": True,
    "tf32": False,
    "attn_implementation": "flash_attention_2",
    "gradient_checkpointing": True,
    "gradient_checkpointing_kwargs": {"use_reentrant": False},
    "liger_rope": True,
    "liger_rms_norm": True,
    "liger_glu_activation": True,
    "liger_fused_linear_cross_entropy": True,
}
FSDP = {
    "fsdp_version": 2,
    "fsdp_config": {  # without a layer class: the one that the model names itself
        "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "state_dict_type": "FULL_STATE_DICT",
        "reshard_after_forward": True,
        "offload_params": False,
        "cpu_ram_efficient_loading": True,
    },
}
LLAMA3 = {"special_tokens": {"pad_token": "<|finetune_right_pad_id|>", "eos_token": "<|eot_id|>"}}


def dataset(files: list[Path]) -> dict[str, Any]:
    """The mix as Axolotl reads it: only what assistants say is trained, with the end of each turn."""
    return {
        "path": str(files[0].parent),
        "data_files": [str(file) for file in files],
        "ds_type": "parquet",
        "split": "train",
        "type": "chat_template",
        "field_messages": "messages",
        "message_property_mappings": {"role": "role", "content": "content"},
        "roles_to_train": ["assistant"],
        "train_on_eos": "turn",
    }


def render(params: Train, base: Model, files: list[Path], work: Path) -> dict[str, Any]:
    """Axolotl's configuration for one run; `work` and `files` are absolute."""
    liger = ["axolotl.integrations.liger.LigerPlugin"] if params.device == "gpu" else []
    hub = {"base_model": base.location, "revision_of_model": base.commit}
    config = {
        **(hub if base.kind == "hub" else {"base_model": str(Path(base.location).absolute())}),
        "trust_remote_code": base.trust_remote_code,
        "plugins": [*liger, PLUGIN],
        "rewild_folder": str(work),
        "rewild_min_steps": params.min_steps,
        "chat_template": params.chat_template,
        "datasets": [dataset(files)],
        "dataset_prepared_path": str(work / "prepared"),
        "dataset_num_proc": 1 if params.device == "cpu" else None,
        "output_dir": str(work / "out"),
        "sequence_len": params.sequence_length,
        "sample_packing": True,
        "pad_to_sequence_len": True,
        "excess_length_strategy": "drop",
        "gradient_accumulation_steps": params.gradient_accumulation_steps,
        "micro_batch_size": params.micro_batch_size,
        "num_epochs": params.num_epochs,
        "optimizer": "adamw_torch",
        "lr_scheduler": params.lr_scheduler,
        "learning_rate": params.learning_rate,
        "warmup_ratio": params.warmup_ratio,
        "weight_decay": 0.0,
        "train_on_inputs": False,
        "logging_steps": 1,
        "saves_per_epoch": 4,  # how much a kill can cost
        "save_total_limit": 2,  # the one before stays until the new one is whole
        "auto_resume_from_checkpoints": True,
        "curriculum_sampling": True,  # in the order of the prepared data, already shuffled: makes resuming exact
        "seed": params.seed,
        **(LLAMA3 if params.chat_template == "llama3" else {}),
        **(CPU if params.device == "cpu" else GPU),
        **(FSDP if params.num_gpus > 1 else {}),
        **params.axolotl,
    }
    return {key: value for key, value in config.items() if value is not None}


def write_config(path: Path, config: dict[str, Any]) -> None:
    """Write YAML 1.1, which is what Axolotl reads: elsewhere 2e-05 would be a word, not a number."""
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 1)
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(config, file)


def prepare_work(work: Path, config: dict[str, Any], data: str) -> None:
    """Make the work folder: what was done for other parameters or data goes, whole checkpoints of this stay."""
    fingerprint = hashlib.sha256(json.dumps([config, data], sort_keys=True).encode()).hexdigest()
    mark = work / "fingerprint"
    for checkpoint in work.glob("out/checkpoint-*"):
        if not (checkpoint / "complete").exists():
            shutil.rmtree(checkpoint)
    same = mark.exists() and mark.read_text(encoding="utf-8") == fingerprint
    if not (same and list(work.glob("out/checkpoint-*"))):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
    for name in ("refusal.txt", "finished.json"):
        (work / name).unlink(missing_ok=True)
    write_config(work / CONFIG, config)
    mark.write_text(fingerprint, encoding="utf-8")


def train_python() -> Path:
    """The interpreter of the training environment: $REWILD_TRAIN_ENV, or .venv-train of this or the main checkout."""
    if "REWILD_TRAIN_ENV" in os.environ:
        roots = [Path(os.environ["REWILD_TRAIN_ENV"])]
    else:
        roots = [Path(".venv-train"), main_checkout() / ".venv-train"]
    for root in roots:
        if (root / "bin/python").exists():
            return root.absolute() / "bin/python"
    raise UserError("the training environment is missing: run `make env`")


def main_checkout() -> Path:
    """The repository that a temporary experiment was copied from: where DVC's cache is."""
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return Path(found.stdout.strip()).parent.parent


def environment(python: Path, params: Train, base: Model, work: Path) -> dict[str, str]:
    """The variables that Axolotl runs with."""
    offline = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE") if base.kind == "local" else ()
    changes = {
        "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": str(Path(__file__).parent.parent.absolute()),  # for the plugin
        "HF_DATASETS_CACHE": str(work / "cache"),
        "AXOLOTL_DO_NOT_TRACK": "1",  # its telemetry is on by default, and hangs without a network
        "WANDB_MODE": "disabled",
        "TOKENIZERS_PARALLELISM": "false",
        **dict.fromkeys(offline, "1"),
    }
    if params.device == "cpu":
        changes |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}  # one thread: equal bytes each time
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return inherited | changes


def commands(python: Path, params: Train, work: Path) -> list[list[str]]:
    """What to call. One process prepares the data itself; several need them prepared."""
    axolotl = [str(python), "-c", "from axolotl.cli.main import main; main()"]  # so its workers import little
    config = str(work / CONFIG)
    if params.num_gpus <= 1:
        return [[*axolotl, "train", config, "--launcher", "python"]]
    launcher = ["--launcher", "torchrun", "--", "--standalone", "--nproc_per_node", str(params.num_gpus)]
    prepare = [] if list(work.glob("prepared/*/")) else [[*axolotl, "preprocess", config]]
    return [*prepare, [*axolotl, "train", config, *launcher]]


def call(command: list[str], variables: dict[str, str]) -> int:
    """Run a command that the user sees, and return its exit code; Ctrl-C ends it."""
    with subprocess.Popen(command, env=variables) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.kill()
            return process.wait()


def read_log(work: Path) -> list[dict[str, Any]]:
    """What the trainer said, in order; a last line that was cut short is left out."""
    log = work / "log.jsonl"
    lines = log.read_text(encoding="utf-8").split("\n")[:-1] if log.exists() else []
    return [json.loads(line) for line in lines]


def explain(code: int, work: Path) -> UserError:
    """Why there is no model."""
    if (work / "refusal.txt").exists():
        return UserError((work / "refusal.txt").read_text(encoding="utf-8"))
    log = read_log(work)
    if log and (code <= 0 or code > 128):  # Axolotl ends with 0 on Ctrl-C; above 128 or below 0 is a signal
        last = log[-1]
        return UserError(f"training stopped at step {last['step']} of {last['max_steps']}; run it again to resume")
    return UserError(f"Axolotl ended with exit code {code}; the reason is above")


def write_curve(path: Path, steps: list[dict[str, Any]]) -> None:
    """Write the loss of every step as CSV, for plots."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([name.replace("/", "_") for name in CURVE])
        writer.writerows([step.get(name, "") for name in CURVE] for step in steps)


def change_json(path: Path, drop: str = "", **changes: object) -> None:
    """Change a JSON file in place."""
    content = read_json(path)
    content.pop(drop, None)
    write_json(path, content | changes)


def collect(work: Path, folder: Path) -> list[dict[str, Any]]:
    """Copy what makes the model, and nothing that holds paths or times; return the steps."""
    for file in sorted({file for pattern in KEPT for file in (work / "out").glob(pattern)}):
        shutil.copyfile(file, folder / file.name)
    change_json(folder / "config.json", use_cache=True)
    change_json(folder / "generation_config.json", drop="do_sample")  # Axolotl's, not the model's
    steps = [entry for entry in read_log(work) if "loss" in entry]
    write_curve(folder / "loss.csv", steps)
    return steps


def summarize(steps: list[dict[str, Any]], facts: dict[str, Any], base: Model, rows: int) -> dict[str, Any]:
    """The training in numbers, without a clock: the same mix gives the same bytes."""
    losses = [step["loss"] for step in steps]
    return {
        **facts,
        "steps": steps[-1]["step"],
        "epochs": steps[-1]["epoch"],
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "mean_loss": mean(losses),
        "trained_tokens": steps[-1]["tokens/trainable"],
        "dropped_rows": rows - facts["rows"],
        "base": base.id,
        "base_commit": base.commit,
    }


def load_base(key: str) -> Model:
    """The model that a run of `mix.runs` starts from."""
    runs = read_yaml(PARAMS)["mix"]["runs"]
    if key not in runs:
        raise UserError(f"{PARAMS}: mix.runs has no {key!r}; it has: {', '.join(runs)}")
    return load_model(runs[key]["base"])


def describe(key: str, base: Model, folder: Path) -> Model:
    """The trained model, as model.json says it."""
    own = {
        "id": key,
        "name": key,
        "kind": "local",
        "location": str(MODELS / key),
        "commit": weights_digest(folder),
        "dtype": read_json(folder / "config.json")["dtype"],
    }
    return base.model_copy(update=own)


def main(key: str) -> None:
    """Train one run of `mix.runs`."""
    params, base = load("train", Train), load_base(key)
    python, mix, work = train_python(), MIXES / key, (WORK / key).absolute()
    files = sorted(file.absolute() for file in mix.glob("*.parquet"))
    rows = read_table(mix, ["conversation_hash"]).num_rows
    prepare_work(work, render(params, base, files, work), sha256_folder(mix) + base.commit)
    for command in commands(python, params, work):
        code = call(command, environment(python, params, base, work))
        if code:
            break
    if code or not (work / "finished.json").exists():
        raise explain(code, work)
    with new_folder(MODELS / key) as folder:
        steps = collect(work, folder)
        write_json(folder / SUMMARY, summarize(steps, read_json(work / "facts.json"), base, rows))
        save_model(folder, describe(key, base, folder))
    shutil.rmtree(work)
    say(f"trained {key}")


if __name__ == "__main__":
    run(main)
