"""How a model is asked, and the identity of the conversation that this leads to."""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any, Literal

from stages.lib.models.catalogue import Model
from stages.lib.models.sampling import Sampling
from stages.lib.settings.sections import Generate, History, RequestSettings, Trim


@dataclass(frozen=True, slots=True)
class RequestConfig:
    """How a model is asked; the same for all of its conversations."""

    sampling: Sampling
    max_tokens: int  # per reply
    window: int  # tokens of prompt and reply together
    seed: int
    history: History = "own"
    trim: Trim = "never"  # oldest: leave out the oldest turns of a chat until a whole reply has room
    system_prompt: str = ""
    stop: tuple[str, ...] = ()  # strings that end a reply
    thinking: Literal["keep", "strip"] = "keep"


def dgm_config(model: Model, generate: Generate) -> RequestConfig:
    """Return how a DGM is asked: with the profile's sampling, overridden by the model's own."""
    own = model.sampling.model_dump(exclude_none=True)
    sampling = Sampling(**{**generate.sampling.model_dump(), **own})
    return replace(comparison_config(model, generate), sampling=sampling, history=generate.history, trim=generate.trim)


def comparison_config(model: Model, asking: RequestSettings) -> RequestConfig:
    """Return how any model is asked when models are compared: all with the same sampling."""
    return RequestConfig(
        sampling=asking.sampling,
        max_tokens=asking.max_tokens,
        window=model.context_window,
        seed=asking.seed,
        system_prompt=model.system_prompt,
        stop=tuple(model.stop),
        thinking=model.thinking,
    )


def choose_engine(model: Model, asked: str) -> str:
    """Return the engine that answers for a model: `openai` where a server has it, else the one of the params."""
    return "openai" if model.kind == "server" else asked


def identity(prompt: dict[str, Any], model: Model, config: RequestConfig, engine: str) -> str:
    """Return the hash of all that decides the text of a finished conversation: 32 hex digits.

    The reply limit and the window are not in it: the store compares them with what each reply took (unless they
    decide which turns are left out). The engine's version is not in it either: an upgrade regenerates nothing. Nor is
    a position or a file name.
    """
    is_reference = config.history == "reference"
    turns = [[turn["user"], turn["reference"] if is_reference else ""] for turn in prompt["turns"]]
    decides = [
        prompt["conversation_hash"],
        turns,
        [model.commit, model.served_name, model.quantization, model.dtype, model.chat_template, engine],
        [config.system_prompt, config.stop, config.thinking, config.history, config.sampling.model_dump(), config.seed],
        [config.max_tokens, config.window] if config.trim == "oldest" else [],
    ]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:32]
