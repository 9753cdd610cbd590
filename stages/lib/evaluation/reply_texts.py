"""Where lm-eval's generation ends and which text it scores: as generation ends and reads a model's replies."""

import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from stages.lib.core.types import Json
from stages.lib.models.catalogue import Model
from stages.lib.models.chat_template import Template, end_of_turn_ids
from stages.lib.models.control_tokens import any_of
from stages.lib.models.thinking import opened_tag, strip_thoughts
from stages.lib.models.turn_ends import control_tokens_of, reply_ends
from stages.lib.records.chats import build_chat

VLLM = "lm_eval.models.vllm_causallms"
ReadText = Callable[[str, list[str]], str]  # a text and the stops to cut it at


def read_as_generation(lm: Any, model: Model, template: Template | None) -> Json:
    """Let lm-eval end and read replies as generation does; return the arguments of generation that this needs.

    `template` is None where none is applied. Only with one, replies end where it ends turns and at the catalogue's
    `stop`, and thoughts are stripped: before the task's own stops cut the text, which end no reply amid its thoughts.
    """
    ends = reply_ends(template, model.stop).ids if template else end_of_turn_ids(lm.tokenizer, model)
    read = partial(read_text, re.compile(any_of(texts_of(ends, lm.tokenizer))))
    if template:
        read = partial(read_reply, read, template)
        if model.thinking == "strip":
            keep_thoughts_whole(lm)
    module = type(lm).__module__
    sys.modules[module].postprocess_generated_text = in_place_of_lm_evals(read)  # type: ignore[attr-defined]
    if module == VLLM:
        return {"stop_token_ids": ends}
    lm.tok_decode = partial(lm.tok_decode, skip_special_tokens=False)
    return {"eos_token_id": ends}


def texts_of(ids: list[int], tokenizer: Any) -> list[str]:
    """Return the texts of tokens."""
    return [text for number in ids if (text := tokenizer.decode([number], skip_special_tokens=False))]


def read_text(ends: re.Pattern[str], text: str, stops: list[str]) -> str:
    """Return a text up to its end token and the first of the stops."""
    return re.split(any_of(list(filter(None, stops))), ends.split(text)[0])[0]


def read_reply(read: ReadText, template: Template, text: str, stops: list[str]) -> str:
    """Return the reply to a chat up to the first stop, without its thoughts if the catalogue says so."""
    model = template.model
    tokens = control_tokens_of(model.stop, template.tokenizer)
    text = read(text, [stop for stop in model.stop if stop not in tokens])
    if model.thinking == "strip":
        opened = opened_tag(template.render(build_chat(["first-question"], [])), model.thinking_tags)
        text = strip_thoughts(text, opened, model.thinking_tags)
    return read(text, stops)


def in_place_of_lm_evals(read: ReadText) -> Callable[..., str]:
    """Return a function with the arguments of lm-eval's own; the tag that it is given says less than the catalogue."""

    def postprocess(generation: str, stop: list[str] | str | None, think_end_token: str | None) -> str:
        del think_end_token
        return read(generation, [stop] if isinstance(stop, str) else stop or [])

    return postprocess


def keep_thoughts_whole(lm: Any) -> None:
    """Let a task's stops not end generation: they may be in thoughts. The text is cut at them afterwards."""
    lm.think_end_token = "</think>"  # noqa: S105  # for vLLM's backend, which then passes no stops on
    if hasattr(lm, "_model_generate") and type(lm).__module__ != VLLM:
        generate = lm._model_generate
        lm._model_generate = lambda **options: generate(**{**options, "stop": []})
