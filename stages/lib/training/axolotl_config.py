"""Axolotl's configuration for one run, from the section `train` and the base model's chat template (sec. 3.1)."""

import sys
from pathlib import Path

from ruamel.yaml import YAML

from stages.lib.core.types import Json
from stages.lib.models.catalogue import Model
from stages.lib.models.chat_template import Template
from stages.lib.settings.sections import Train
from stages.lib.training.protocol import OUT, PREPARED, TOKENIZER
from stages.lib.training.trained_template import trained_text

LIGER_PLUGIN = "axolotl.integrations.liger.LigerPlugin"
PLUGIN = "stages.lib.training.axolotl_plugin.Plugin"

# Keys that no section of params.yaml has; `train.axolotl` can change them.
RECIPE = {
    "sample_packing": True,
    "pad_to_sequence_len": True,
    "excess_length_strategy": "drop",
    "optimizer": "adamw_torch",
    "weight_decay": 0.0,
    "train_on_inputs": False,
    "logging_steps": 1,
}
CHECKPOINTS = {
    "saves_per_epoch": 4,  # how much a kill can cost
    "save_total_limit": 2,  # the one before stays until the new one is whole
    "auto_resume_from_checkpoints": True,
    "curriculum_sampling": True,  # in the order of the rows, which the seed has decided: makes resuming exact
}
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
    "liger_cross_entropy": True,  # 13 to 16 % faster than the fused linear one, for 6 GiB at 8 B parameters
}
ROWS_PER_PROCESS, MAX_PROCESSES = 10_000, 16  # preparing the data: each process is sent the tokenizer, Gemma's in 8 s
# Without a layer class to wrap: the one that the model names itself.
FSDP = {
    "fsdp_version": 2,
    "fsdp_config": {
        "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "state_dict_type": "FULL_STATE_DICT",
        "reshard_after_forward": True,
        "offload_params": False,
        "cpu_ram_efficient_loading": True,
    },
}


def render_config(params: Train, template: Template, files: list[Path], num_rows: int, work: Path) -> Json:
    """Return Axolotl's configuration for one run; `work` and `files`, the `num_rows` rows to train, are absolute paths.

    Keys of `train.axolotl` replace ours, with what no longer fits them; those that are null are left out.
    """
    config: Json = {
        **base_model_keys(template.model),
        **template_keys(template),
        "plugins": [LIGER_PLUGIN, PLUGIN] if params.device == "gpu" else [PLUGIN],
        "tokenizer_config": str(work / TOKENIZER),
        "rewild_folder": str(work),
        "rewild_min_steps": params.min_steps,
        "datasets": [describe_rows(files)],
        "dataset_prepared_path": str(work / PREPARED),
        "dataset_num_proc": 1 if params.device == "cpu" else min(1 + num_rows // ROWS_PER_PROCESS, MAX_PROCESSES),
        "output_dir": str(work / OUT),
        **RECIPE,
        **CHECKPOINTS,
        **section_keys(params),
        **(CPU if params.device == "cpu" else GPU),
        **(FSDP if params.num_gpus > 1 else {}),
        **dict.fromkeys(misfits(params.axolotl)),
        **params.axolotl,
    }
    return {key: value for key, value in config.items() if value is not None}


def misfits(axolotl: Json) -> list[str]:
    """Return the keys of ours that no longer fit when `train.axolotl` has these."""
    checkpointing = axolotl.get("gradient_checkpointing", True)
    return [
        *([] if checkpointing else ["gradient_checkpointing_kwargs"]),
        *(["liger_cross_entropy"] if axolotl.get("liger_fused_linear_cross_entropy") else []),
    ]


def base_model_keys(base: Model) -> Json:
    """Return the keys that name the base model: a commit on the hub, or a local folder."""
    if base.kind == "hub":
        location = {"base_model": base.location, "revision_of_model": base.commit}
    else:
        location = {"base_model": str(Path(base.location).absolute())}
    return {**location, "trust_remote_code": base.trust_remote_code}


def template_keys(template: Template) -> Json:
    """Return the keys of the chat template."""
    return {"chat_template": "jinja", "chat_template_jinja": trained_text(template)}


def describe_rows(files: list[Path]) -> Json:
    """Return the mix as Axolotl reads it: only the replies of assistants are trained, with the end of each turn."""
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


def section_keys(params: Train) -> Json:
    """Return the keys that the section `train` sets, by Axolotl's names."""
    return {
        "sequence_len": params.sequence_length,
        "gradient_accumulation_steps": params.gradient_accumulation_steps,
        "micro_batch_size": params.micro_batch_size,
        "num_epochs": params.num_epochs,
        "lr_scheduler": params.lr_scheduler,
        "learning_rate": params.learning_rate,
        "warmup_ratio": params.warmup_ratio,
        "seed": params.seed,
    }


def write_config(path: Path, config: Json) -> None:
    """Write YAML 1.1, which is what Axolotl reads: in 1.2 the number 2e-05 would be written as a YAML 1.1 string."""
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 1)
    yaml.width = sys.maxsize  # where it breaks a line within an escape (`\\n`), another text is read back
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(config, file)
