"""Sources of mixes in the folder of a project, and the mixes that the stage makes of them."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from stages import mix
from stages.lib.core.files import read_json, sha256_folder, write_json
from stages.lib.models.catalogue import Model, weights_digest
from stages.lib.records.chats import CHAT
from stages.lib.records.responses import RESPONSE, SYSTEM
from stages.lib.records.shards import read_rows, write_table
from stages.lib.records.verdicts import VERDICT
from tests.support.project import ROOT

BASE = Model(
    id="base", name="B", location=str(ROOT / "demo/models/demo-base"), kind="local",
    commit=weights_digest(ROOT / "demo/models/demo-base"), parameters_billions=0.0012, context_window=2048,
)  # fmt: skip
FILTERS = {"min_turns": 1, "languages": [], "exclude_toxic": False}


def response(name: str, *turns: tuple[str, str], **verdict: Any) -> dict[str, Any]:
    """A conversation of a DGM and its verdict: the columns of both."""
    messages = [{"user": user, "assistant": reply} for user, reply in turns or [(f"What is {name}?", f"It is {name}.")]]
    defaults = {"keep": True, "language": "English", "toxic": False}
    return {"conversation_hash": name, "identity": name, "turns": messages} | defaults | verdict


def write_dgm(dgm: str, rows: list[dict[str, Any]], rows_per_shard: int = 1000) -> None:
    """Write responses and verdicts of a DGM; those to prompts with a system message as `generate` does."""
    verdicts = [row | {"turns": len(row["turns"])} for row in rows]
    responses = RESPONSE.append(SYSTEM) if any("system" in row for row in rows) else RESPONSE
    for folder, content, schema in (("responses", rows, responses), ("verdicts", verdicts, VERDICT)):
        path = Path("data") / folder / dgm
        path.mkdir(parents=True, exist_ok=True)
        write_table(path, pa.Table.from_pylist(content, schema=schema), rows_per_shard)


def write_set(key: str, names: list[str], system: str = "") -> None:
    """Write an auxiliary set of one-turn chats."""
    path = Path("data/auxiliary") / key
    path.mkdir(parents=True, exist_ok=True)
    messages = [{"role": "system", "content": system}] if system else []
    messages += [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"}]
    rows = [{"conversation_hash": name, "source": key, "messages": messages} for name in names]
    write_table(path, pa.Table.from_pylist(rows, schema=CHAT))
    write_json(path / ".summary.json", {"license": "MIT", "origin": {}})


def recipe(take: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A recipe that takes these amounts of each source; a plain number is rows."""
    sources = {}
    for name, amount in take.items():
        folders = {what: Path("data") / what / name for what in ("responses", "verdicts", "auxiliary")}
        present = {name: sha256_folder(path) for name, path in folders.items() if path.exists()}
        kind = "auxiliary" if "auxiliary" in present else "dgm"
        digests = {"rows": present["auxiliary"]} if kind == "auxiliary" else present
        sources[name] = {"kind": kind, "take": {"rows": amount} if isinstance(amount, int) else amount, **digests}
    return {"base": "base", "seed": 1, "on_shortage": "error", "sources": sources, "filters": FILTERS} | more


def make(take: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    """Make a mix; its rows."""
    write_json(Path("metrics/recipes.json"), {"runs": {"run": recipe(take, **more)}})
    mix.main("run")
    return list(read_rows(Path("data/mixes/run")))


def manifest() -> dict[str, Any]:
    summary: dict[str, Any] = read_json(Path("data/manifests/run/.summary.json"))
    return summary


def names(rows: list[dict[str, Any]], source: str = "a") -> set[str]:
    return {row["conversation_hash"] for row in rows if row["source"] == source}


MANY = [response(f"thing {number}") for number in range(60)]
