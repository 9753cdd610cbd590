"""The keys of `runtime` that make vLLM faster: its arguments for them, and how its description names them.

They change no reply's distribution: drafted tokens are kept only as far as the model itself draws them (rejection
sampling, Leviathan et al., 2023): greedy replies stay the same, sampled ones come from the same distribution.
"""

from importlib.util import find_spec
from typing import Any

from stages.lib.console.errors import UserError
from stages.lib.models.sampling import Sampling
from stages.lib.settings.runtime import Runtime

NGRAM_TOKENS = {"prompt_lookup_min": 2, "prompt_lookup_max": 5}  # that must repeat for what followed them to be drafted
SUFFIX_PACKAGE = "arctic-inference==0.1.1"  # vLLM asks for exactly this


def speed_options(runtime: Runtime, least_tokens: int) -> dict[str, Any]:
    """Return vLLM's arguments for the keys that are set; a step takes at least `least_tokens`."""
    tokens = runtime.max_num_batched_tokens
    drafts = {"method": runtime.speculation, "num_speculative_tokens": runtime.num_speculative_tokens}
    lookup = NGRAM_TOKENS if runtime.speculation == "ngram" else {}
    return {
        **({"max_num_batched_tokens": max(tokens, least_tokens)} if tokens else {}),
        **({"speculative_config": drafts | lookup} if runtime.speculation != "none" else {}),
    }


def check_speculation(runtime: Runtime, sampling: Sampling, *, on_gpu: bool) -> None:
    """Raise UserError where vLLM cannot draft tokens, or replies would not come from the same distribution.

    On a CPU, vLLM 0.32 checks drafts at another temperature than it samples with: only greedy replies stay the same.
    """
    if runtime.speculation == "none":
        return
    if sampling.min_p:
        raise UserError(f"runtime.speculation: vLLM drafts no tokens for a sampling with min_p ({sampling.min_p})")
    if sampling.temperature and not on_gpu:
        raise UserError("runtime.speculation: on a CPU, vLLM's sampled replies would change: set it to none")
    if runtime.speculation == "suffix" and find_spec("arctic_inference") is None:
        raise UserError(
            f"runtime.speculation: suffix needs a package: .venv/bin/uv pip install --python .venv/bin/python "
            f"{SUFFIX_PACKAGE}"
        )


def describe_speed(runtime: Runtime) -> str:
    """Return the keys that are set, to follow the engine's name and version; empty when none is."""
    tokens, drafted = runtime.max_num_batched_tokens, runtime.num_speculative_tokens
    return "".join([
        f", {tokens} batched tokens" if tokens else "",
        f", {drafted} tokens drafted by {runtime.speculation}" if runtime.speculation != "none" else "",
    ])
