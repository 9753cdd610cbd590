"""Fine-tune a run's base model on its mix with Axolotl, in the environment `.venv-train`.

In:  data/mixes/<run>/, models/<base>/model.json
Out: models/<run>/: weights, tokenizer and template, model.json, loss.csv, summary.json
"""

import shutil
from pathlib import Path
from statistics import mean
from typing import Any, Literal

from pydantic import Field, model_validator

from stages.lib.axolotl import call, collect, commands, environment, explain, prepare_work, train_python
from stages.lib.model import MODELS, Model, load_model, save_model, weights_digest
from stages.lib.params import PARAMS, Section, UserError, load, read_yaml
from stages.lib.shards import SUMMARY, new_folder, read_json, read_table, sha256_folder, write_json
from stages.lib.shell import run, say

MIXES = Path("data/mixes")
WORK = Path(".dvc/tmp/rewild/train")  # one folder per run, gone when the run is trained
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
        "chat_template": "",  # Axolotl saves the one it trained with beside the weights
    }
    return base.model_copy(update=own)


def main(key: str) -> None:
    """Train one run of `mix.runs`."""
    params, base = load("train", Train), load_base(key)
    python, mix, work = train_python(), MIXES / key, (WORK / key).absolute()
    files = sorted(file.absolute() for file in mix.glob("*.parquet"))
    rows = read_table(mix, ["conversation_hash"]).num_rows
    prepare_work(work, render(params, base, files, work), sha256_folder(mix) + base.commit)
    for command in commands(python, work, params.num_gpus):
        code = call(command, environment(python, work, params.num_gpus, offline=base.kind == "local"))
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
