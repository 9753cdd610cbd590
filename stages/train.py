"""Fine-tune a run's base model on its mix with Axolotl, in the environment `.venv-train`.

In:  data/mixes/<run>/, models/<base>/model.json
Out: models/<run>/: weights, tokenizer and template, model.json, loss.csv, mask.txt (what is trained of the first
     conversation), summary.json
"""

import shutil
from pathlib import Path
from statistics import mean
from typing import Any

import pyarrow.parquet as pq

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.core.files import SUMMARY, new_folder, read_json, sha256_folder, write_json
from stages.lib.core.process import call
from stages.lib.models.catalogue import CATALOGUE, MODELS, Model, load_model, save_model, weights_digest
from stages.lib.models.chat_template import Template, load_tokenizer
from stages.lib.records.shards import read_rows, read_table
from stages.lib.settings.reading import load, load_entry, run
from stages.lib.settings.sections import Run, Train
from stages.lib.training.axolotl import (
    WORDS,
    check_keys,
    collect,
    commands,
    environment,
    explain,
    prepare_work,
    train_python,
)
from stages.lib.training.reference_encodings import choose, special_tokens, without_controls
from stages.lib.training.screen import Screen

MIXES = Path("data/mixes")
WORK = Path(".dvc/tmp/rewild/train")  # one folder per run, gone when the run is trained
PLUGIN = "stages.lib.training.axolotl_plugin.Plugin"


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


def render(params: Train, template: Template, files: list[Path], work: Path) -> dict[str, Any]:
    """Axolotl's configuration for one run; `work` and `files`, the rows to train, are absolute."""
    base = template.model
    liger = ["axolotl.integrations.liger.LigerPlugin"] if params.device == "gpu" else []
    hub = {"base_model": base.location, "revision_of_model": base.commit}
    config = {
        **(hub if base.kind == "hub" else {"base_model": str(Path(base.location).absolute())}),
        "trust_remote_code": base.trust_remote_code,
        "plugins": [*liger, PLUGIN],
        "rewild_folder": str(work),
        "rewild_min_steps": params.min_steps,
        "chat_template": "jinja",
        "chat_template_jinja": template.tokenizer.get_chat_template(),
        "special_tokens": special_tokens(template),
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
        **(CPU if params.device == "cpu" else GPU),
        **(FSDP if params.num_gpus > 1 else {}),
        **params.axolotl,
    }
    return {key: value for key, value in config.items() if value is not None}


def copy_rows(mix: list[Path], files: list[Path], template: Template) -> tuple[int, int]:
    """Copy a mix without the rows that cannot be trained as they were generated; how many it had, and has."""
    before = after = 0
    for source, file in zip(mix, files, strict=True):
        table = read_table(source)
        kept = without_controls(table, template.tokenizer)
        file.parent.mkdir(exist_ok=True)
        pq.write_table(kept, file)
        before, after = before + table.num_rows, after + kept.num_rows
    return before, after


def summarize(steps: list[dict[str, Any]], facts: dict[str, Any], base: Model, rows: tuple[int, int]) -> dict[str, Any]:
    """The training in numbers, without a clock: the same mix gives the same bytes."""
    losses = [step["loss"] for step in steps]
    return {
        **{name: value for name, value in facts.items() if name != "endless_rows"},
        "steps": steps[-1]["step"],
        "epochs": steps[-1]["epoch"],
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "mean_loss": mean(losses),
        "trained_share": round(facts["trained_tokens"] / facts["tokens"], 6),
        "trained_tokens": steps[-1]["tokens/trainable"],  # of all epochs
        "dropped_control_string": rows[0] - rows[1],
        "dropped_too_long": rows[1] - facts["rows"] - facts["held_out_rows"],
        "base": base.id,
        "base_commit": base.commit,
    }


def load_base(key: str) -> Model:
    """The model that a run of `mix.runs` starts from."""
    return load_model(load_entry(Run, key).base)


def describe(key: str, base: Model, folder: Path) -> Model:
    """The trained model, as model.json says it."""
    own = {
        "id": key,
        "name": key,
        "kind": "local",
        "location": str(MODELS / key),
        "commit": weights_digest(folder),
        "dtype": "bfloat16",
        "chat_template": "",  # Axolotl saves the one it trained with beside the weights
    }
    return base.model_copy(update=own)


def load_template(base: Model) -> Template:
    """The base model's chat template, the catalogue's or its own; raise UserError if it cannot hold a chat."""
    template = Template(load_tokenizer(base), base)
    if not template.tokenizer.chat_template:
        raise UserError(f"{base.id} has no chat template: name one as `chat_template` in {CATALOGUE}/{base.id}.yaml")
    template.check()
    return template


def write_examples(work: Path, template: Template, length: int) -> None:
    """Write what generation would make of some of the chats, for the plugin to compare."""
    end = template.tokenizer.convert_tokens_to_ids(special_tokens(template)["eos_token"])
    examples = choose(read_rows(work / "data", ["messages"]), template, end, length)
    write_json(work / "examples.json", {"end": end, "examples": examples})


def call_all(python: Path, key: str, work: Path, params: Train, *, offline: bool) -> None:
    """Prepare the data and train; raise UserError unless a whole model comes of it."""
    screen = Screen(key, WORK / key)
    variables = environment(python, work, params.num_gpus, offline=offline)
    try:
        for command in commands(python, work, params.num_gpus):
            if code := call(command, variables, work / WORDS, screen.look):
                break
    finally:
        screen.close()
    if code or not (work / "finished.json").exists():
        raise explain(code, WORK / key)


READS = ("train", "mix.runs.*")


def main(key: str) -> None:
    """Train one run of `mix.runs`."""
    params, base = load(Train), load_base(key)
    check_keys(params.axolotl)
    python, mix, work = train_python(), sorted((MIXES / key).glob("*.parquet")), (WORK / key).absolute()
    template, files = load_template(base), [work / "data" / file.name for file in mix]
    prepare_work(work, render(params, template, files, work), sha256_folder(MIXES / key) + base.commit)
    rows = copy_rows(mix, files, template)
    write_examples(work, template, params.sequence_length)
    log_line(f"Axolotl starts and prepares {rows[1]} conversations; all that it says is in {WORK / key / WORDS}")
    call_all(python, key, work, params, offline=base.kind == "local")
    with new_folder(MODELS / key) as folder:
        steps = collect(work, folder)
        write_json(folder / SUMMARY, summarize(steps, read_json(work / "facts.json"), base, rows))
        save_model(folder, describe(key, base, folder))
    shutil.rmtree(work)
    log_line(f"trained {key}")


if __name__ == "__main__":
    run(main)
