"""The keys of `runtime` that make vLLM faster."""

import pytest

from stages.lib.console.errors import UserError
from stages.lib.core.sections import parse
from stages.lib.engines import vllm_runtime
from stages.lib.engines.vllm_runtime import check_speculation, describe_speed, speed_options
from stages.lib.models.sampling import Sampling
from stages.lib.settings.runtime import Runtime

DRAFTING = Runtime(max_num_batched_tokens=8192, speculation="ngram", num_speculative_tokens=3)


def test_what_is_not_set_is_left_to_vllm_and_not_described() -> None:
    assert speed_options(Runtime(), 2048) == {} and describe_speed(Runtime()) == ""


def test_what_is_set_reaches_vllm_and_the_engines_description_in_the_ledger() -> None:
    lookup = {"prompt_lookup_min": 2, "prompt_lookup_max": 5}
    drafts = {"method": "ngram", "num_speculative_tokens": 3}
    assert speed_options(DRAFTING, 0) == {"max_num_batched_tokens": 8192, "speculative_config": drafts | lookup}
    assert describe_speed(DRAFTING) == ", 8192 batched tokens, 3 tokens drafted by ngram"


def test_a_step_takes_at_least_a_whole_prompt_where_prompts_are_not_cut() -> None:
    assert speed_options(Runtime(max_num_batched_tokens=512), 2048) == {"max_num_batched_tokens": 2048}


@pytest.mark.parametrize(
    ("speculation", "sampling", "on_gpu", "message"),
    [
        ("ngram", Sampling(min_p=0.1), True, "vLLM drafts no tokens for a sampling with min_p"),
        ("ngram", Sampling(temperature=0.7), False, "on a CPU, vLLM's sampled replies would change"),
        ("suffix", Sampling(), True, "suffix needs a package: .*arctic-inference==0.1.1$"),
    ],
)
def test_speculation_that_vllm_cannot_do_or_that_changes_replies_is_refused(
    speculation: str, sampling: Sampling, on_gpu: bool, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_runtime, "find_spec", lambda _: None)
    runtime = parse(Runtime, {"speculation": speculation}, "runtime")
    with pytest.raises(UserError, match=rf"^runtime.speculation: {message}"):
        check_speculation(runtime, sampling, on_gpu=on_gpu)


def test_speculation_is_allowed_for_samples_on_a_gpu_and_for_greedy_replies_anywhere() -> None:
    check_speculation(DRAFTING, Sampling(temperature=0.7), on_gpu=True)
    check_speculation(DRAFTING, Sampling(temperature=0.0), on_gpu=False)
    check_speculation(Runtime(), Sampling(min_p=0.1), on_gpu=False)


def test_fewer_batched_tokens_than_conversations_are_refused() -> None:
    with pytest.raises(UserError, match="max_num_batched_tokens must be 0, or max_concurrent or more"):
        parse(Runtime, {"max_concurrent": 256, "max_num_batched_tokens": 128}, "params.yaml: runtime")
