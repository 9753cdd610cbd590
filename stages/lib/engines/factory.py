"""The engines by name, and how each is started."""

import os
from functools import partial

from stages.lib.console.machine import GIB
from stages.lib.console.needs import Needs, check_machine
from stages.lib.engines.base import Engine
from stages.lib.engines.echo import EchoEngine
from stages.lib.engines.replicas.replica import ReplicaSpec
from stages.lib.engines.request import RequestConfig, choose_engine
from stages.lib.engines.supervisor import SupervisedEngine
from stages.lib.engines.vllm import VllmEngine, on_gpu
from stages.lib.engines.worker import StartEngine
from stages.lib.models.catalogue import Model
from stages.lib.models.weights import gpu_needs, weight_bytes
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import EngineName


def make_engine(name: EngineName, model: Model, config: RequestConfig, runtime: Runtime) -> Engine:
    """Start an engine for a model in a process of its own, or connect to the server that has the model.

    With `runtime.ray.address` it is a pool of such engines on the nodes of that cluster.
    """
    if choose_engine(model, name) == "openai":
        from stages.lib.engines.openai import OpenAIEngine  # the client takes half a second to import

        return OpenAIEngine(model, config, runtime)
    start: StartEngine = partial(EchoEngine, config) if name == "echo" else partial(VllmEngine, model, config)
    needs = vllm_needs(model, runtime) if name == "vllm" else None
    if runtime.ray.address:
        return start_pool(start, model, runtime, needs)
    if needs:
        check_machine(needs)
    return SupervisedEngine(start, runtime, model.id)


def start_pool(start: StartEngine, model: Model, runtime: Runtime, needs: Needs | None) -> Engine:
    """Start replicas of an engine on a Ray cluster; `needs` is checked on each of their machines."""
    from stages.lib.engines.replicas.pool import ReplicaPool  # only this loads Ray

    spec = ReplicaSpec(
        name=model.id,
        start=start,
        runtime=runtime,
        num_gpus=needs.gpus if needs else 0,
        is_wide=needs is not None and not needs.gpus,
        needs=needs,
        path=model.location if needs and model.kind == "local" else "",
        folder=os.getcwd(),
    )
    return ReplicaPool(spec)


def vllm_needs(model: Model, runtime: Runtime) -> Needs:
    """Return what vLLM takes for a model: on a CPU memory for the weights and the cache, else a share of its GPUs."""
    if on_gpu():
        return gpu_needs(model, runtime.gpu_memory_utilization)
    return Needs(model.id, memory=weight_bytes(model) + runtime.kv_cache_gib * GIB)
