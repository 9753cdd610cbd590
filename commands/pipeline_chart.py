"""The stages of dvc.yaml and what each depends on, as a Mermaid chart: a generated part of README.md.

A node is a module of stages/: what `foreach` expands is one node, and so are the stages that run one module.
`check`, on which every stage depends, and `digest`, which copies numbers between stages, are left out. Where a stage
depends on another by way of a third, there is no direct arrow.
"""

import re
import shutil
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from warnings import catch_warnings

import networkx as nx

from stages.lib.core.files import write_json
from stages.lib.core.sections import PARAMS, read_yaml
from stages.lib.core.seeds import SEEDS, other_seeds
from stages.lib.core.types import Json

DVC_YAML = Path("dvc.yaml")
PROFILE = Path("profiles/demo.yaml")
HUB = "wildchat"  # a hub dataset, which the demo has none of
CHECK, COPIES = "check", "digest"
MODULE = re.compile(r"python -m stages\.(\w+)")
EACH = {  # what a stage is repeated over: the words of its node
    "${hub}": "dataset",
    "${auxiliary}": "set",
    "${dgms}": "DGM",
    "${bases}": "base model",
    "${suitability.bases}": "base model",
    "${mix.runs}": "run",
    "${compare}": "model",
}
STEPS = {  # of the paper: the stages that belong to each
    "data": ("inputs", "fetch", "prompts", "auxiliary", "resolve"),
    "responses": ("generate", "validate", "gate"),
    "training": ("benchmarks", "recipes", "mix", "train"),
    "evaluation": ("answers", "evaluate", "judge", "pairwise"),
    "comparison": ("preference", "agreement", "differences", "styling", "similarity", "suitability", "throughput"),
    "reading": ("headlines", "report"),
}


def chart_lines() -> list[str]:
    """Return the chart as the lines of a Markdown block that GitHub draws."""
    stages = read_yaml(DVC_YAML)["stages"]
    graph = read_graph()
    lines = ["```mermaid", "flowchart TD"]
    for step, names in STEPS.items():
        lines.append(f"  subgraph {step}")
        lines += [f'    {name}["{label(name, stages)}"]' for name in names if name in graph]
        lines.append("  end")
    missing = set(graph) - {name for names in STEPS.values() for name in names}
    assert not missing, f"stages without a step: {missing}"
    order = {name: place for place, name in enumerate(name for names in STEPS.values() for name in names)}
    edges = sorted(graph.edges, key=lambda edge: (order[edge[0]], order[edge[1]]))
    return [*lines, *(f"  {one} --> {other}" for one, other in edges), "```"]


def label(module: str, stages: Json) -> str:
    """Return the name of a module's stages, with what they are repeated over."""
    entries = [entry for entry in stages.values() if module_of(entry.get("do", entry)["cmd"]) == module]
    lists = [entry.get("foreach") or next(iter((entry.get("matrix") or {}).values()), None) for entry in entries]
    words = {EACH[name] for name in lists if name in EACH}
    return f"{module}<br/>each {words.pop() if len(words) == 1 else 'model'}" if words else module


def module_of(command: str) -> str:
    """Return the module of stages/ that a command runs."""
    match = MODULE.match(command)
    assert match, command
    return match[1]


def read_graph() -> Any:
    """Return the modules and what each makes for another, as DVC resolves dvc.yaml with the demo's params.

    It does not depend on params.yaml, which may be another profile.
    """
    from dvc.repo import Repo  # takes a second to import

    params = read_yaml(PROFILE)
    params |= {"hub": {HUB: {}}, "prompts": params["prompts"] | {"source": f"data/hub/{HUB}"}}
    with TemporaryDirectory(prefix="pipeline-") as scratch:
        root = Path(scratch)
        shutil.copy(DVC_YAML, root)
        write_json(root / PARAMS, params)  # JSON is YAML
        seeds = {model: training._asdict() for model, training in other_seeds(params).items()}
        write_json(root / SEEDS, {"seeds": seeds})
        with catch_warnings(action="ignore", category=DeprecationWarning), Repo(scratch, uninitialized=True) as repo:
            graph = nx.DiGraph((dep.addressing, stage.addressing) for stage, dep in repo.index.graph.edges)
            modules = {stage.addressing: module_of(stage.cmd) for stage in repo.index.stages}
    nx.set_node_attributes(graph, modules, "module")
    return simplify(graph)


def simplify(graph: Any) -> Any:
    """Take out of a graph of modules' stages what is left out, and make the stages of one module one node.

    `graph` has the arrows from a stage to what depends on it, and at each node the `module`.
    """
    stages = graph.copy()
    for stage, module in list(graph.nodes(data="module")):
        if module == COPIES:
            ways = product(list(stages.predecessors(stage)), list(stages.successors(stage)))
            stages.add_edges_from(ways)
        if module in {COPIES, CHECK}:
            stages.remove_node(stage)
    modules = nx.get_node_attributes(stages, "module")
    pairs = {(modules[one], modules[other]) for one, other in stages.edges}
    return nx.transitive_reduction(nx.DiGraph(sorted(pair for pair in pairs if pair[0] != pair[1])))
