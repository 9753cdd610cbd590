"""A checkpoint that transformers 5 saved, as transformers 4 reads it; and the proof that it is the same model.

Version 5 writes three things in another way: version 4 does not know the tokenizer class, stops at the list of special
tokens, and silently ignores `rope_parameters`, so that theta becomes 10000.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from stages.lib.core.files import read_json, write_json, write_text
from stages.lib.core.process import CHECKOUT, last_error_line
from stages.lib.core.types import Json

CHILD = "stages.lib.evaluation.evalchemy.logits_child"
CONFIG, TOKENIZER, TEMPLATE = "config.json", "tokenizer_config.json", "chat_template.jinja"
TOLERANCE = {"float32": 1e-4, "bfloat16": 2e-2, "float16": 5e-3}  # of the largest logit


def config_for_4(config: Json) -> Json:
    """Convert config.json; raise ValueError for rotary settings that version 4 cannot express."""
    converted = {key: value for key, value in config.items() if key not in {"rope_parameters", "dtype"}}
    if "dtype" in config:
        converted["torch_dtype"] = config["dtype"]
    if isinstance(config.get("text_config"), dict):
        converted["text_config"] = config_for_4(config["text_config"])
    return converted | rope_for_4(config.get("rope_parameters") or {})


def rope_for_4(rope: Json) -> Json:
    """Convert `rope_parameters` to version 4's keys; raise ValueError for what it cannot express.

    Gemma 3 has two sets of them: for its local and its other layers.
    """
    if not rope:
        return {}
    if {"full_attention", "sliding_attention"} == set(rope):
        local, usual = rope["sliding_attention"], rope["full_attention"]
        if local.get("rope_type", "default") != "default":
            raise ValueError("its local layers scale their rotary embedding, which transformers 4 cannot")
        return {**rope_for_4(usual), "rope_local_base_freq": local["rope_theta"]}
    if any(isinstance(value, dict) for value in rope.values()):
        raise ValueError(f"rope_parameters by kind of layer ({', '.join(rope)}), which transformers 4 does not have")
    converted: Json = {key: rope[key] for key in ("rope_theta", "partial_rotary_factor") if key in rope}
    scaling = {key: value for key, value in rope.items() if key not in converted}
    return {**converted, "rope_scaling": None if scaling.get("rope_type", "default") == "default" else scaling}


def tokenizer_for_4(config: Json) -> Json:
    """Convert tokenizer_config.json."""
    converted = dict(config)
    if converted.get("tokenizer_class") == "TokenizersBackend":
        converted["tokenizer_class"] = "PreTrainedTokenizerFast"
    if isinstance(converted.get("extra_special_tokens"), list):
        converted["additional_special_tokens"] = converted.pop("extra_special_tokens")
    return converted


def downgrade(source: Path, target: Path, template: str = "") -> None:
    """Make a folder that holds the same model for transformers 4: links to its files, and two that are converted.

    `template` replaces the model's own chat template. Raises ValueError when there is no template at all.
    """
    converters: dict[str, Callable[[Json], Json]] = {CONFIG: config_for_4, TOKENIZER: tokenizer_for_4}
    target.mkdir(parents=True)
    for file in sorted(source.iterdir()):
        if file.name in converters:
            write_json(target / file.name, converters[file.name](read_json(file)))
        elif file.is_file() and not (template and file.name == TEMPLATE):
            os.symlink(file.resolve(), target / file.name)
    if template:
        write_text(target / TEMPLATE, template)
    elif not (target / TEMPLATE).exists() and not read_json(target / TOKENIZER).get("chat_template"):
        raise ValueError(f"{target.name} has no chat template: name one as `chat_template` in its catalogue file")


def find_difference(ours: Json, theirs: Json, tolerance: float) -> str | None:
    """Return in one line how two readings of a model (see logits_child) differ, or None if they are the same model.

    `tolerance` is the largest allowed difference of two logits, as a share of the largest logit.
    """
    versions = f"transformers {ours['transformers']} and {theirs['transformers']}"
    if ours["ids"] != theirs["ids"]:
        return f"the same chat has other tokens in {versions}"
    rotary, other_rotary = (np.array(reading["inv_freq"]) for reading in (ours, theirs))
    if rotary.shape != other_rotary.shape or not np.allclose(rotary, other_rotary, rtol=1e-6, atol=0):
        return f"the rotary frequencies are not the same in {versions}"
    logits, other_logits = (np.array(reading["logits"]) for reading in (ours, theirs))
    largest = np.abs(logits - other_logits).max() / np.abs(logits).max()
    if not largest <= tolerance:  # so that NaN is a difference
        return f"the logits differ by {largest:.2g} of the largest in {versions}; the limit is {tolerance:g}"
    return None


def read_model(python: str, model: Path, dtype: str, folder: Path, template: str = "") -> Json:
    """Read a model in the environment of an interpreter (see logits_child); raise ValueError if it cannot be loaded."""
    file, log_path = folder / "logits.json", folder / "log.txt"
    variables = os.environ | {"PYTHONPATH": str(CHECKOUT), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [python, "-m", CHILD, str(model), dtype, str(file), template]
    with log_path.open("wb") as log:
        completed = subprocess.run(command, env=variables, stdout=log, stderr=log, check=False)
    if completed.returncode:
        where = "this environment" if python == sys.executable else "Evalchemy's environment"
        raise ValueError(f"the model cannot be loaded in {where}: {last_error_line(log_path)}")
    reading: Json = read_json(file)
    return reading


def check_same(source: Path, target: Path, python: Path, dtype: str, template: str = "") -> None:
    """Raise ValueError unless `target`, in the environment of `python`, is the model that `source` is in this one.

    `template` is the one that `target` was given.
    """
    given = str(target / TEMPLATE) if template else ""
    with TemporaryDirectory(prefix="rewild-logits-") as work:
        ours = read_model(sys.executable, source, dtype, Path(work), given)
        theirs = read_model(str(python), target, dtype, Path(work))
    if difference := find_difference(ours, theirs, TOLERANCE[dtype]):
        raise ValueError(f"{source.name} is not the same model there: {difference}")
