"""dvc.yaml as data."""

from typing import Any

from ruamel.yaml import YAML

from tests.support.project import ROOT

GRAPH: dict[str, Any] = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]


STAGES = {name: entry.get("do", entry) for name, entry in GRAPH.items()}


def out_paths(entry: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    outs = [*entry.get("outs", []), *entry.get("metrics", [])]
    return [(next(iter(out)), next(iter(out.values()))) if isinstance(out, dict) else (out, {}) for out in outs]


ALL_OUTS = {path for entry in STAGES.values() for path, _ in out_paths(entry)}
