"""The engines by name, and how each is started."""

from functools import partial

from stages.lib.engines.base import Engine
from stages.lib.engines.echo import EchoEngine
from stages.lib.engines.request import RequestConfig, choose_engine
from stages.lib.engines.supervisor import SupervisedEngine
from stages.lib.engines.vllm import VllmEngine
from stages.lib.engines.worker import StartEngine
from stages.lib.models.catalogue import Model
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import EngineName


def make_engine(name: EngineName, model: Model, config: RequestConfig, runtime: Runtime) -> Engine:
    """Start an engine for a model in a process of its own, or connect to the server that has the model."""
    if choose_engine(model, name) == "openai":
        from stages.lib.engines.openai import OpenAIEngine  # the client takes half a second to import

        return OpenAIEngine(model, config, runtime)
    start: StartEngine = partial(EchoEngine, config) if name == "echo" else partial(VllmEngine, model, config)
    return SupervisedEngine(start, runtime, model.id)
