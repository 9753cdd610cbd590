"""A project with two tiny random models, in which the stage `evaluate` runs with the real lm-eval."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages.lib.core.types import Json
from stages.lib.evaluation.results import TaskResult, Unit, measure
from tests.support.project import ROOT

SETTINGS: dict[str, Any] = {
    "device": "cpu",
    "tasks_folder": "tasks",
    "tasks": {"quiz": "acc_norm", "sums": "exact_match"},
    "local_data": {},
    "evalchemy": {},
    "evalchemy_judge": "j",
    "alpaca_eval_data": "",
    "averages": {},
    "limit": 0,
    "leave_out": [],
    "apply_chat_template": True,
    "fewshot_as_multiturn": True,
    "max_tokens": 8,
    "seed": 1,
}
MAKE_MODEL = """
import sys, torch
from pathlib import Path
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from tests.support.project import ROOT
from stages.lib.models.catalogue import Model, save_model, weights_digest
letters = ["<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
bytes_ = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
bytes_.pre_tokenizer, bytes_.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=bytes_, bos_token="<s>", eos_token="</s>", pad_token="</s>")
torch.manual_seed(0)
model = LlamaForCausalLM(LlamaConfig(
    vocab_size=258, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
    max_position_embeddings=256, bos_token_id=0, eos_token_id=1, pad_token_id=1,
))
roles = "{% for m in messages if m.role != 'system' %}{{ m.role + ': ' + m.content }}{% endfor %}"
asked = "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
for name, template in (("tiny", roles + asked), ("bare", None)):
    folder = Path("weights") / name
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    place = Path("models") / name
    place.mkdir(parents=True)
    save_model(place, Model(id=name, name=name, location=str(folder), kind="local", commit=weights_digest(folder),
                            parameters_billions=0.0001, context_window=256))
"""
QUIZ = """
task: quiz
dataset_path: json
dataset_kwargs: {data_files: {test: tasks/quiz.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: answer
metric_list: [{metric: acc_norm, aggregation: mean, higher_is_better: true}]
metadata: {version: 2.0}
"""
SUMS = """
task: sums
dataset_path: json
dataset_kwargs: {data_files: {test: tasks/quiz.jsonl}}
test_split: test
output_type: generate_until
description: "Add."
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs: {until: [], do_sample: false}
filter_list: [{name: digits, filter: [{function: regex, regex_pattern: "([0-9]+)"}, {function: take_first}]}]
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""


HARNESS: dict[str, Any] = {"harness": "lm_eval", "harness_version": "0.4.13"}
FAILED = TaskResult(status="failed", reason="ValueError: no data", primary="acc", **HARNESS).to_json()


def scored(value: float, unit: Unit = "fraction") -> Json:
    """The entry of a task with one metric."""
    metric = measure([[value], [value]], unit=unit)
    return TaskResult(status="ok", metrics={"acc": metric}, primary="acc", **HARNESS).to_json()


def skipped() -> Json:
    """The entry of a task that was skipped."""
    return TaskResult(status="skipped", reason="Evalchemy is not set up", primary="acc", **HARNESS).to_json()


def environment(**more: str) -> dict[str, str]:
    """The environment of a Python that finds the repository's modules from any folder."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {"REWILD_STORE": "store", **os.environ, "PYTHONPATH": path, **more}


def python(folder: Path, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run a Python command in a folder, with the repository's modules."""
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=folder, env=environment(**more), capture_output=True, text=True, check=False)


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_params(folder: Path, **changes: Any) -> None:
    """Write the params of the project, with another section `evaluate`."""
    params = {"evaluate": SETTINGS | changes, "runtime": {}}
    (folder / "params.yaml").write_text(json.dumps(params), encoding="utf-8")


def make_evaluation(folder: Path, **files: str) -> Path:
    """Make the project: the models `tiny` and `bare`, with and without a chat template, and task files by name."""
    (folder / "tasks").mkdir()
    for name, text in files.items():
        (folder / "tasks" / f"{name}.yaml").write_text(text, encoding="utf-8")
    rows = [{"question": f"What is {n}?", "choices": [str(n), "cat", "dog"], "answer": n % 3} for n in range(6)]
    write_rows(folder / "tasks" / "quiz.jsonl", rows)
    made = python(folder, "-c", MAKE_MODEL)
    assert made.returncode == 0, made.stderr
    return folder
