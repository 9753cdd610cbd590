"""The engines by name, and how each is started."""

from functools import partial

from stages.lib.console.machine import GIB
from stages.lib.console.needs import Needs, check_machine
from stages.lib.engines.base import Engine
from stages.lib.engines.echo import EchoEngine
from stages.lib.engines.request import RequestConfig, choose_engine
from stages.lib.engines.supervisor import SupervisedEngine
from stages.lib.engines.vllm import VllmEngine, on_gpu
from stages.lib.engines.worker import StartEngine
from stages.lib.models.catalogue import Model
from stages.lib.models.weights import gpu_needs, weight_bytes
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import EngineName


def make_engine(name: EngineName, model: Model, config: RequestConfig, runtime: Runtime) -> Engine:
    """Start an engine for a model in a process of its own, or connect to the server that has the model."""
    if choose_engine(model, name) == "openai":
        from stages.lib.engines.openai import OpenAIEngine  # the client takes half a second to import

        return OpenAIEngine(model, config, runtime)
    if name == "echo":
        return SupervisedEngine(partial(EchoEngine, config), runtime, model.id)
    check_machine(vllm_needs(model, runtime))
    start: StartEngine = partial(VllmEngine, model, config)
    return SupervisedEngine(start, runtime, model.id)


def vllm_needs(model: Model, runtime: Runtime) -> Needs:
    """Return what vLLM takes for a model: on a CPU memory for the weights and the cache, else a share of its GPUs."""
    if on_gpu():
        return gpu_needs(model, runtime.gpu_memory_utilization)
    return Needs(model.id, memory=weight_bytes(model) + runtime.kv_cache_gib * GIB)
