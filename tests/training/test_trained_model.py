"""What is kept of a training: bfloat16 weights, tokenizer, and every step once."""

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from stages.lib.core.files import read_json, write_json
from stages.lib.training.trained_model import collect_model
from tests.support.training import log_entry, write_log


def test_a_model_has_bfloat16_weights_a_tokenizer_and_every_step_once_without_a_clock(tmp_path):
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
    write_log(tmp_path, [log_entry(1, **more), log_entry(2, **more), {"step": 2, "max_steps": 2, "train_runtime": 3.0}])
    collect_model(tmp_path, folder)
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
