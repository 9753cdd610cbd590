"""`generate` with one engine in this process, and as replicas of it: output tokens per second, prefix hits, a kill.

python -m perf.scaling --shape llama-3.1-8b --conversations 1200 --gpus 2      dummy weights, on a host with two GPUs
python -m perf.scaling --shape llama-3.1-8b --conversations 1200 --gpus 1      what the pool costs on one GPU
python -m perf.scaling                                                         the demo's model, on a CPU

Ways: an engine in this process; one replica of a Ray cluster that this starts (runtime.ray.address: local), and again
while its engine is killed at half time; with two GPUs two replicas with the same conversations, with twice as many, and
those again while the engine of one is killed. Each way is a fresh start, which does not count, and a warm-up on other
conversations. Replies are as long as planned. The last number of a line is the ledger's time over that of the replicas.
"""

import argparse
import os
import tempfile
from collections.abc import Collection
from contextlib import closing
from functools import partial
from pathlib import Path

from perf.bench import Bench, describe, print_line, shape_folder, stage
from perf.replica_engines import PlannedReplica
from perf.workload import SHAPES, Plan, make_plan, write_prompts
from stages.lib.console.errors import MachineError
from stages.lib.console.machine import list_gpus
from stages.lib.console.needs import Needs
from stages.lib.console.shell import exit_on_user_error
from stages.lib.engines.base import Engine, Reply, Request, Usage
from stages.lib.engines.factory import start_pool, vllm_needs
from stages.lib.engines.replicas.pool import ReplicaPool
from stages.lib.engines.request import RequestConfig
from stages.lib.engines.supervisor import SupervisedEngine
from stages.lib.engines.vllm import on_gpu
from stages.lib.models.catalogue import Model
from stages.lib.models.sampling import Sampling
from stages.lib.records.shards import read_table
from stages.lib.settings.runtime import RayCluster, Runtime
from tests.support.replicas import kill_engine

ROOT = Path(__file__).absolute().parents[1]
WARM_UP = 20  # conversations


class KilledAtHalf:
    """A pool, the engine of whose first replica is killed once half of the turns are answered."""

    def __init__(self, engine: ReplicaPool, turns: int) -> None:
        self._engine, self._left = engine, turns // 2
        self.description = engine.description

    @property
    def num_replicas(self) -> int:
        return self._engine.num_replicas

    def submit(self, key: str, request: Request) -> None:
        self._engine.submit(key, request)

    def step(self) -> list[tuple[str, Reply]]:
        ended = self._engine.step()
        if self._left > 0 >= self._left - len(ended):
            kill_engine(self._engine)
        self._left -= len(ended)
        return ended

    def usage(self) -> Usage:
        return self._engine.usage()

    def close(self) -> None:
        self._engine.close()


def part_of(plan: Plan, names: Collection[str]) -> Plan:
    """Return some conversations of a plan."""
    return Plan(
        {name: plan.users[name] for name in names},
        {name: plan.lengths[name] for name in names},
        {name: plan.references[name] for name in names},
    )


def start(replicas: int, plan: Plan, dummy: bool, model: Model, config: RequestConfig, runtime: Runtime) -> Engine:
    """Start an engine in this process (0 replicas), or so many replicas of it."""
    make = partial(PlannedReplica, plan, dummy, model, config)
    if not replicas:
        return SupervisedEngine(make, runtime, model.id)
    needs = vllm_needs(model, runtime) if on_gpu() else Needs(model.id)
    ray = RayCluster(address="local", replicas=replicas)
    return start_pool(make, model, runtime.model_copy(update={"ray": ray}), needs)


def run_way(name: str, replicas: int, whole: Plan, count: int, options: argparse.Namespace, kill: bool = False) -> None:
    """Run a way in a folder of its own, and print its line."""
    shape, names = SHAPES[options.shape], list(whole.users)
    runtime = Runtime(max_concurrent=options.concurrent or shape.concurrent, stall_seconds=900)
    model = Model(
        id="bench", name=options.shape, location=str(shape_folder(options.shape)), kind="local", commit="none",
        parameters_billions=8.03, context_window=shape.window, dtype=shape.dtype,
    )  # fmt: skip
    config = RequestConfig(Sampling(), shape.reply[2], shape.window, 1)
    warm, plan = part_of(whole, names[-WARM_UP:]), part_of(whole, names[:count])
    with closing(start(replicas, whole, shape.dummy, model, config, runtime)) as engine:
        run_stage("warm", Bench(engine, warm, config, model, runtime))
        if kill and isinstance(engine, ReplicaPool):
            engine = KilledAtHalf(engine, sum(map(len, plan.users.values())))
        run_stage(name, Bench(engine, plan, config, model, runtime), max(replicas, 1))


def run_stage(name: str, bench: Bench, replicas: int = 0) -> None:
    """Run `generate` on the conversations of a plan; print a line if it counts."""
    home = os.getcwd()
    with tempfile.TemporaryDirectory(dir=home) as folder:
        os.chdir(folder)
        write_prompts(bench.plan)
        bench.engine.usage()
        result = stage(bench)
        ledger = read_table(Path("data/ledger") / bench.model.id)
        counted, restarts = sum(ledger["seconds"].to_pylist()), sum(ledger["restarts"].to_pylist())
        os.chdir(home)
    if replicas:
        print(f"{name}: {describe(bench.plan)}")
        print_line("", bench.plan.output_tokens / result.seconds, result)
        hits, ratio = result.cached_tokens / result.input_tokens, counted / replicas / result.seconds
        print(f"  prefix hits {hits:.1%}, restarts {restarts}, ledger {ratio:.3f}", flush=True)


def compare(options: argparse.Namespace) -> None:
    """Run all ways that the GPUs allow."""
    gpus = list_gpus() or []
    if on_gpu() and len(gpus) < options.gpus:
        raise MachineError(f"--gpus {options.gpus}: this machine has {len(gpus)}")
    count = options.conversations
    whole = make_plan(SHAPES[options.shape], options.gpus * count + WARM_UP)
    run_way("an engine in this process", 0, whole, count, options)
    run_way("one replica", 1, whole, count, options)
    if options.gpus == 1:
        run_way("one replica, its engine killed at half time", 1, whole, count, options, kill=True)
    else:
        run_way("two replicas, the same", 2, whole, count, options)
        run_way("two replicas, twice as many", 2, whole, 2 * count, options)
        run_way("two replicas, twice as many, an engine killed at half time", 2, whole, 2 * count, options, kill=True)


def main() -> None:
    """Compare in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="demo")
    parser.add_argument("--conversations", type=int, default=60, help="of each engine")
    parser.add_argument("--concurrent", type=int, default=0, help="conversations at once; 0: the shape's own")
    parser.add_argument("--gpus", type=int, choices=(1, 2), default=2)
    options = parser.parse_args()
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(path)
    with tempfile.TemporaryDirectory() as folder, exit_on_user_error("scaling"):
        os.chdir(folder)
        compare(options)


if __name__ == "__main__":
    main()
