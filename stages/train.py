"""Fine-tune a run's base model on its mix with one seed, with Axolotl in the environment `.venv-train`.

In:  data/mixes/<run>/, models/<base>/model.json
Out: models/<id>/ (<id> is the run, or <run>-seed<seed> for every seed but its first): weights, tokenizer and template,
     model.json, loss.csv, mask.txt (the first conversation, with the trained tokens in brackets), summary.json
     data/costs/train/<id>.json: the time since the training's last start
"""

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from stages.lib.console.errors import UserError
from stages.lib.console.interrupts import with_kept
from stages.lib.console.needs import LEAST_DISK, Needs, check_machine
from stages.lib.console.shell import log_line
from stages.lib.core.costs import name_hardware, timed_cost
from stages.lib.core.files import SUMMARY, new_folder, read_json, sha256_folder, write_json
from stages.lib.core.seeds import Training
from stages.lib.models.catalogue import MODELS, Model, load_model, save_model, weights_digest
from stages.lib.models.chat_template import Template
from stages.lib.models.weights import weight_bytes
from stages.lib.records.shards import read_rows, read_table
from stages.lib.settings.reading import load, load_training, run
from stages.lib.settings.sections import Train
from stages.lib.training.axolotl import check_keys, describe_checkpoint, prepare_work, run_axolotl, train_python
from stages.lib.training.axolotl_config import render_config
from stages.lib.training.protocol import DATA, EXAMPLES, FACTS, OUTPUT, TOKENIZER
from stages.lib.training.reference_encodings import choose_examples, drop_unusable, encode_whole
from stages.lib.training.screen import TrainingScreen
from stages.lib.training.step_limits import find_shortage
from stages.lib.training.trained_model import collect_model
from stages.lib.training.trained_template import end_of_turn, load_trained_template, trained_tokenizer

MIXES = Path("data/mixes")
WORK = Path(".dvc/tmp/rewild/train")  # one folder per model, deleted when the model is trained


def copy_rows(mix: list[Path], files: list[Path], template: Template, seed: int) -> Counter[str]:
    """Copy a mix in the order of a seed, without the rows that cannot be trained as they were generated.

    Axolotl trains in this order. A mix is shuffled already, so it is enough to permute its files and the rows of each.
    Return the numbers of rows: those of the copy, and those left out by reason.
    """
    numbers: Counter[str] = Counter()
    for place, file in zip(np.random.default_rng(seed).permutation(len(mix)), files, strict=True):
        copied, dropped = drop_unusable(read_table(mix[place]), template.tokenizer)
        order = np.random.default_rng([seed, place]).permutation(copied.num_rows)
        file.parent.mkdir(exist_ok=True)
        pq.write_table(copied.take(order), file)
        numbers.update({"copied": copied.num_rows, **dropped})
    return numbers


def write_examples(work: Path, template: Template, length: int) -> None:
    """Write some of the chats as generation encodes them, for the plugin to compare."""
    end = template.tokenizer.convert_tokens_to_ids(end_of_turn(template))
    examples = choose_examples(read_rows(work / DATA, ["messages"]), template, end, length)
    write_json(work / EXAMPLES, {"end": end, "examples": examples})


def read_lengths(work: Path, template: Template, length: int) -> Iterator[int]:
    """Yield the number of tokens of each chat to train; `length` for one that the template refuses."""
    for row in read_rows(work / DATA, ["messages"]):
        try:
            yield len(encode_whole(row["messages"], template))
        except ValueError:
            yield length


def summarize(steps: list[dict[str, Any]], facts: dict[str, Any], base: Model, rows: Counter[str]) -> dict[str, Any]:
    """Return the training in numbers, without a clock: the same mix gives the same bytes.

    `rows` are the numbers of rows that `copy_rows` returns.
    """
    losses = [step["loss"] for step in steps]
    return {
        **{name: value for name, value in facts.items() if name != "rows_without_eos"},
        "steps": steps[-1]["step"],
        "epochs": steps[-1]["epoch"],
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "mean_loss": mean(losses),
        "trained_share": round(facts["trained_tokens"] / facts["tokens"], 6),
        "trained_tokens": steps[-1]["tokens/trainable"],  # of all epochs
        **{name: rows[name] for name in rows if name != "copied"},
        "dropped_too_long": rows["copied"] - facts["rows"] - facts["held_out_rows"],
        "base": base.id,
        "base_commit": base.commit,
    }


def describe_model(key: str, base: Model, folder: Path) -> Model:
    """Return the trained model, for model.json."""
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


def machine_needs(key: str, base: Model, params: Train) -> Needs:
    """Return what a training needs at least: the weights in memory, and twice on disk, in the work folder and models/.

    Gradients and the optimizer's state come on top; how much, Axolotl's keys decide.
    """
    disk = LEAST_DISK + 2 * weight_bytes(base)
    if params.device == "cpu":
        return Needs(key, memory=weight_bytes(base, "float32"), disk=disk)
    return Needs(key, gpus=params.num_gpus, asked_by="train.num_gpus", weights=weight_bytes(base), disk=disk)


def prepare(mix_folder: Path, params: Train, base: Model, work: Path) -> Counter[str]:
    """Write configuration, tokenizer, rows and examples into the work folder; return the numbers of rows."""
    template = load_trained_template(base)
    mix = sorted(mix_folder.glob("*.parquet"))
    files = [work.absolute() / DATA / file.name for file in mix]
    num_rows = sum(pq.read_metadata(file).num_rows for file in mix)
    config = render_config(params, template, files, num_rows, work.absolute())
    prepare_work(work, config, sha256_folder(mix_folder) + base.commit)
    trained_tokenizer(template).save_pretrained(work / TOKENIZER)
    rows = copy_rows(mix, files, template, params.seed)
    write_examples(work, template, params.sequence_length)
    lengths = read_lengths(work, template, params.sequence_length)
    if shortage := find_shortage(lengths, config, params.min_steps, params.num_gpus):
        raise UserError(shortage)
    return rows


def save(key: str, base: Model, work: Path, rows: Counter[str]) -> None:
    """Write models/<id>/ from the work folder."""
    with new_folder(MODELS / key) as folder:
        steps = collect_model(work, folder)
        write_json(folder / SUMMARY, summarize(steps, read_json(work / FACTS), base, rows))
        save_model(folder, describe_model(key, base, folder))


READS = ("train", "mix.runs.*")


def train(key: str, training: Training, params: Train) -> None:
    """Train a model and write it."""
    base = load_model(training.base)
    check_machine(machine_needs(key, base, params))
    check_keys(params.axolotl)
    python, work = train_python(), WORK / key
    rows = prepare(MIXES / training.run, params, base, work)
    log_line(f"Axolotl starts and prepares {rows['copied']} conversations; its output is in {work / OUTPUT}")
    screen = TrainingScreen(key, work)
    try:
        run_axolotl(python, work, params.num_gpus, screen.update, offline=base.kind == "local")
    except KeyboardInterrupt as error:
        raise with_kept(error, f"{key}: {describe_checkpoint(work)}") from None
    finally:
        screen.close()
    save(key, base, work, rows)
    shutil.rmtree(work)


def main(key: str) -> None:
    """Train one run of `mix.runs` with one of its seeds."""
    training = load_training(key)
    params = load(Train).model_copy(update={"seed": training.seed})
    with timed_cost("train", key, name_hardware(params.num_gpus)):
        train(key, training, params)
    log_line(f"trained {key}")


if __name__ == "__main__":
    run(main)
