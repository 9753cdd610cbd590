"""Which engine answers for a model, and how it is started."""

from functools import partial

from stages.lib.echo_engine import EchoEngine
from stages.lib.engine import Engine
from stages.lib.model import Model
from stages.lib.rules import EngineName, Rules, engine_of
from stages.lib.settings import Runtime
from stages.lib.supervised import Supervised
from stages.lib.vllm_engine import VllmEngine


def make_engine(name: EngineName, model: Model, rules: Rules, runtime: Runtime) -> Engine:
    """Start an engine for a model in a process of its own, or connect to the server that has the model."""
    if engine_of(model, name) == "openai":
        from stages.lib.openai_engine import OpenAIEngine  # the client takes half a second to import

        return OpenAIEngine(model, rules, runtime)
    start = partial(EchoEngine, rules) if name == "echo" else partial(VllmEngine, model, rules)
    return Supervised(start, runtime, model.id)
