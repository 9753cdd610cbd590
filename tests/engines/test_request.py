"""How a model is asked, and the identity of a conversation."""

from dataclasses import replace
from typing import Any

import pytest

from stages.lib.engines import request
from stages.lib.engines.request import RequestConfig, dgm_config, identity, with_reply_format
from stages.lib.models.catalogue import ModelSampling
from stages.lib.models.reply_format import ReplyFormat
from stages.lib.models.sampling import Sampling
from stages.lib.settings.sections import Generate
from tests.support.conversations import CONFIG, MODEL

PROMPT = {"conversation_hash": "h", "turns": [{"user": "Hi?", "reference": "Yes."}]}


def test_the_identity_covers_what_decides_the_text_and_nothing_else() -> None:
    base = identity(PROMPT, MODEL, CONFIG, "vllm")
    turns = [{"user": "Hi!", "reference": "Yes."}]
    others = [
        identity({**PROMPT, "turns": turns}, MODEL, CONFIG, "vllm"),
        identity({**PROMPT, "conversation_hash": "g"}, MODEL, CONFIG, "vllm"),
        identity(PROMPT, MODEL.model_copy(update={"commit": "d"}), CONFIG, "vllm"),
        identity(PROMPT, MODEL.model_copy(update={"quantization": "fp8"}), CONFIG, "vllm"),
        identity(PROMPT, MODEL.model_copy(update={"kv_cache_dtype": "fp8"}), CONFIG, "vllm"),
        identity(PROMPT, MODEL, RequestConfig(Sampling(temperature=0.8), 100, 400, 1), "vllm"),
        identity(PROMPT, MODEL, RequestConfig(CONFIG.sampling, 100, 400, 2), "vllm"),
        identity(PROMPT, MODEL, RequestConfig(CONFIG.sampling, 100, 400, 1, "reference"), "vllm"),
    ]
    assert len({base, *others}) == 9
    reference = [{"user": "Hi?", "reference": "No."}]
    assert identity({**PROMPT, "turns": reference}, MODEL, CONFIG, "vllm") == base
    assert identity(PROMPT, MODEL, RequestConfig(CONFIG.sampling, 50, 300, 1), "vllm") == base


def test_a_system_message_is_part_of_the_identity_only_where_there_is_one() -> None:
    released = "303935efafbeb521a3bef4d795674123"  # computed before prompts had system messages
    same: list[dict[str, Any]] = [PROMPT, {**PROMPT, "system": ""}, {**PROMPT, "system": None}]
    others: list[dict[str, Any]] = [{**PROMPT, "system": text} for text in ("Be brief.", "Be brief. ")]
    assert {identity(prompt, MODEL, CONFIG, "vllm") for prompt in same} == {released}
    assert len({released, *(identity(prompt, MODEL, CONFIG, "vllm") for prompt in others)}) == 3
    in_the_catalogue = replace(CONFIG, system_prompt="Be brief.")
    assert identity(PROMPT, MODEL, in_the_catalogue, "vllm") != identity(others[0], MODEL, CONFIG, "vllm")


def test_only_conversations_whose_text_is_read_in_another_way_have_another_identity() -> None:
    released = "303935efafbeb521a3bef4d795674123"
    formats = [ReplyFormat(added_ends=("<|eot_id|>",)), ReplyFormat(thinking_tokens=("[THINK]", "[/THINK]"))]
    others = [
        *[replace(CONFIG, reply_format=each) for each in formats],
        replace(CONFIG, thinking="strip"),
        replace(CONFIG, thinking="strip", thinking_tags=(("<muse>", "</muse>"),)),
    ]
    same = [
        CONFIG,
        replace(CONFIG, thinking_tags=(("<muse>", "</muse>"),)),
        replace(CONFIG, reply_format=ReplyFormat(user_header="\nUSER:", control_tokens=("<pad>",))),
    ]
    assert {identity(PROMPT, MODEL, config, "vllm") for config in same} == {released}
    assert len({released, *(identity(PROMPT, MODEL, config, "vllm") for config in others)}) == 5


def test_the_format_of_replies_is_known_where_an_engine_of_ours_has_the_tokenizer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = ReplyFormat(added_ends=("<|eot_id|>",))
    monkeypatch.setattr(request, "find_reply_format", lambda _: known)
    assert with_reply_format(CONFIG, MODEL, "vllm").reply_format == known
    assert with_reply_format(CONFIG, MODEL, "echo") == CONFIG
    assert with_reply_format(CONFIG, MODEL.model_copy(update={"kind": "server"}), "vllm") == CONFIG


def test_a_models_own_sampling_overrides_the_profiles() -> None:
    generate = Generate(
        engine="echo", history="own", trim="never", max_tokens=5, max_failed_share=0, seed=1,
        sampling=Sampling(temperature=0.7, top_p=0.9),
    )  # fmt: skip
    config = dgm_config(MODEL.model_copy(update={"sampling": ModelSampling(temperature=0.2)}), generate)
    assert config.sampling == Sampling(temperature=0.2, top_p=0.9)
