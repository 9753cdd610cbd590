"""Axolotl's configuration: the paper's recipe in Axolotl's keys, templates, and sections that are refused."""

from pathlib import Path

import pytest

from stages import train
from stages.lib.console.errors import UserError
from stages.lib.core.files import write_json
from stages.lib.core.sections import parse
from stages.lib.settings.sections import Train
from stages.lib.training.axolotl_config import PLUGIN, write_config
from stages.lib.training.protocol import CONFIG
from stages.lib.training.trained_template import load_trained_template, special_tokens
from tests.support.bases import CHATML, llama_base, qwen_base
from tests.support.project import ROOT
from tests.support.training import DEMO, HUB, PAPER, render, turn, write_project


def test_the_papers_settings_are_rendered_as_axolotls_keys():
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
        "tokenizer_config": "/train/tokenizer",
    }
    assert {key: config.get(key) for key in expected} == expected
    assert config["plugins"][0] == "axolotl.integrations.liger.LigerPlugin"
    assert config["fsdp_config"]["reshard_after_forward"] is True
    assert config["chat_template_jinja"] == (ROOT / "dgms/templates/llama-3.jinja").read_text()
    assert "warmup_ratio" not in config


def test_a_base_model_with_its_own_template_is_trained_with_it():
    assert render(PAPER, qwen_base())["chat_template_jinja"] == CHATML


def test_a_base_model_without_a_template_is_refused_until_the_catalogue_names_one(tmp_path):
    llama_base(None).save_pretrained(tmp_path)
    base = HUB.model_copy(update={"kind": "local", "location": str(tmp_path)})
    with pytest.raises(
        UserError, match=r"^llama has no chat template: name one as `chat_template` in dgms/llama.yaml$"
    ):
        load_trained_template(base)
    text = (ROOT / "dgms/templates/llama-3.jinja").read_text()
    template = load_trained_template(base.model_copy(update={"chat_template": text}))
    assert special_tokens(template)["eos_token"] == "<|eot_id|>"


def test_a_cpu_trains_without_half_precision_liger_and_fsdp():
    config = render(DEMO)
    assert (config["bf16"], config["fp16"], config["attn_implementation"]) == (False, False, "sdpa")
    assert config["plugins"] == [PLUGIN]
    assert not [key for key in config if key.startswith(("fsdp", "liger"))]


def test_the_loss_is_ligers_cross_entropy_and_the_fused_linear_one_replaces_it_where_memory_is_short():
    losses = ("liger_cross_entropy", "liger_fused_linear_cross_entropy")
    assert [render(PAPER).get(key) for key in losses] == [True, None]
    config = render(PAPER | {"axolotl": {"liger_fused_linear_cross_entropy": True}})
    assert [config.get(key) for key in losses] == [None, True]


def test_one_key_switches_gradient_checkpointing_off():
    assert render(PAPER)["gradient_checkpointing_kwargs"] == {"use_reentrant": False}
    config = render(PAPER | {"axolotl": {"gradient_checkpointing": False}})
    assert config["gradient_checkpointing"] is False and "gradient_checkpointing_kwargs" not in config
    assert render(PAPER | {"axolotl": {"gradient_checkpointing": "offload"}})["gradient_checkpointing_kwargs"]


def test_one_process_prepares_ten_thousand_rows_and_sixteen_any_number() -> None:
    processes = [render(PAPER, num_rows=rows)["dataset_num_proc"] for rows in (1000, 10_000, 366_550)]
    assert processes == [1, 2, 16]


def test_only_the_replies_of_assistants_are_trained_with_the_end_of_each_turn():
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


@pytest.mark.parametrize(("key", "seed"), [("tiny", 3), ("tiny-seed5", 5), ("other", 42)])
def test_each_model_is_trained_on_the_mix_of_its_run_with_its_own_seed(key, seed, tmp_path, monkeypatch):
    def stop(python, work, *rest, **more):
        raise UserError(str(work / CONFIG))

    monkeypatch.chdir(tmp_path)
    write_project(tmp_path, [turn(number) for number in range(120)])
    (tmp_path / "data/mixes/tiny").rename(tmp_path / "data/mixes" / key.partition("-")[0])
    runs = {"tiny": {"base": "base", "seeds": [3, 5]}, "other": {"base": "base"}}
    write_json(tmp_path / "params.yaml", {"train": DEMO, "mix": {"runs": runs}})
    monkeypatch.setattr(train, "train_python", lambda: Path("python"))
    monkeypatch.setattr(train, "run_axolotl", stop)
    with pytest.raises(UserError, match=f"/{key}/{CONFIG}$") as stopped:
        train.main(key)
    assert f"\nseed: {seed}\n" in Path(str(stopped.value)).read_text()


def test_small_numbers_reach_axolotl_as_numbers(tmp_path):
    write_config(tmp_path / "axolotl.yaml", {"learning_rate": 2e-5})
    assert "2.0e-05" in (tmp_path / "axolotl.yaml").read_text()  # YAML 1.1 reads 2e-05 as a word
