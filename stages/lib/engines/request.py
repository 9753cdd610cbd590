"""How a model is asked, and the identity of the conversation that this leads to."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from stages.lib.core.types import Json
from stages.lib.models.catalogue import Model
from stages.lib.models.reply_format import UNKNOWN, ReplyFormat, find_reply_format
from stages.lib.models.sampling import Sampling
from stages.lib.records.prompts import system_of
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
    thinking_tags: tuple[tuple[str, str], ...] = ()  # that begin and end thoughts, beside those of public families
    reply_format: ReplyFormat = UNKNOWN

    def to_json(self) -> Json:
        """Return how the model is asked, as plain values."""
        special = {"thinking_tags": dict(self.thinking_tags), "reply_format": self.reply_format.to_json()}
        values = asdict(self) | {"sampling": dict(self.sampling)} | special
        return {name: value for name, value in values.items() if value or name not in special}


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
        thinking_tags=tuple(model.thinking_tags.items()),
    )


def with_reply_format(config: RequestConfig, model: Model, engine: str) -> RequestConfig:
    """Return how a model is asked, with the format of its replies where an engine of ours loads its tokenizer.

    Raises UserError when the tokenizer cannot be loaded.
    """
    return replace(config, reply_format=find_reply_format(model)) if choose_engine(model, engine) == "vllm" else config


def choose_engine(model: Model, asked: str) -> str:
    """Return the engine that answers for a model: `openai` where a server has it, else the one of the params."""
    return "openai" if model.kind == "server" else asked


def identity(prompt: dict[str, Any], model: Model, config: RequestConfig, engine: str) -> str:
    """Return the hash of all that decides the text of a finished conversation: 32 hex digits.

    The reply limit and the window are not in it: the store compares them with what each reply took (unless they
    decide which turns are left out). The engine's version is not in it either: an upgrade regenerates nothing. Nor is
    a position or a file name. A system message is in it where there is one.
    """
    is_reference = config.history == "reference"
    turns = [[turn["user"], turn["reference"] if is_reference else ""] for turn in prompt["turns"]]
    decides = [
        prompt["conversation_hash"],
        turns,
        [model.commit, model.served_name, model.quantization, model.dtype, model.chat_template, engine],
        [config.system_prompt, config.stop, config.thinking, config.history, config.sampling.model_dump(), config.seed],
        [config.max_tokens, config.window] if config.trim == "oldest" else [],
        *reading(config),
        *([{"kv_cache": model.kv_cache_dtype}] if model.kv_cache_dtype != "auto" else []),
        *([{"system": system_of(prompt)}] if system_of(prompt) else []),
    ]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:32]


def reading(config: RequestConfig) -> list[Any]:
    """Return what decides a reply's text, and did not when the first conversations were stored.

    Then special tokens were left out of a text, which ended only where the model's own files say; and all before a
    first `</think>` was taken for thoughts. So another identity is needed where another end was added, where the tags
    of thoughts are special tokens, and where thoughts are stripped. All other texts are what they were, but for special
    tokens that a model wrote by chance amid its reply: the stored texts do not show where that happened, and their
    conversations keep their identity.
    """
    stripped = ["thoughts at the beginning", *config.thinking_tags] if config.thinking == "strip" else []
    parts = {"ends": config.reply_format.added_ends, "tags": config.reply_format.thinking_tokens, "stripped": stripped}
    return [parts] if any(parts.values()) else []
