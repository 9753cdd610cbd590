"""What the stages keep outside of DVC's cache: the store of finished conversations, and the models' folders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from commands.doctor.dvc_files import CACHE, MEND, name_holders
from commands.doctor.findings import BROKEN, OK, Finding, count, gigabytes, quote, short
from commands.doctor.objects.hashes import BUDGET, check_files, digest
from commands.doctor.objects.locked import locked_outs
from stages.lib.checking.tensors import read_header

STORE = Path(".dvc/store")
MODELS = Path("models")
WHOLE, LACKING, TORN = "whole", "not whole", "torn"


def look_at_data(facts: dict[str, Any], *, everything: bool) -> list[Finding]:
    """Return the findings on the store and the models."""
    store = Path(facts.get("store", STORE))
    left = facts.get("store_left", "")
    return [look_at_store(store, everything=everything, left=left), *look_at_models(facts)]


def look_at_store(store: Path, *, everything: bool, left: str = "") -> Finding:
    """Compare the store's segments with the hash in their names; `left` is a store that stayed behind, if any did."""
    segments = sorted(store.glob("*/*.parquet"))
    if left:
        text = f"{short(left)} holds finished conversations, and the store is now {short(store)}"
        return Finding("store", BROKEN, text, "python -m commands.store move")
    if not segments:
        return Finding("store", OK, f"{short(store)} is empty")
    checked = check_files(segments, lambda path: path.stem.partition("-")[2], "sha256", None if everything else BUDGET)
    text = f"{count(checked.files, 'segment')}, {gigabytes(checked.num_bytes)}, {checked.how}"
    if checked.torn:
        names = sorted({path.parent.name for path in checked.torn})
        command = f"python -m commands.store prune {' '.join(names)}"
        return Finding(
            "store", BROKEN, f"{len(checked.torn)} torn of {text}; generation asks again what they held", command
        )
    busy = [f"{lock.parent.name} ({who})" for lock in sorted(store.glob("*/.lock")) if (who := name_holders(lock))]
    return Finding("store", OK, f"{text}: none is torn" + (f"; at work: {', '.join(busy)}" if busy else ""))


def look_at_models(facts: dict[str, Any]) -> list[Finding]:
    """Read model.json and the headers of all weights of the folders of models/ that DVC keeps."""
    outs = {folder: listing for folder, listing in locked_models().items() if folder.is_dir()}
    if not outs:
        return [Finding("models", OK, "none yet; dvc repro makes them")]
    faults = {folder: found for folder in sorted(outs) if (found := list(model_faults(folder)))}
    cache = Path(facts.get("cache", CACHE))
    broken: dict[str, list[Path]] = {}
    for folder in faults:
        broken.setdefault(cached_state(cache, outs[folder]), []).append(folder)
    findings = [
        describe_faults([fault for folder in folders for fault in faults[folder]], folders, state, facts)
        for state, folders in sorted(broken.items())
    ]
    return findings or [Finding("models", OK, count(len(outs), "folder"))]


def describe_faults(faults: list[str], folders: list[Path], state: str, facts: dict[str, Any]) -> Finding:
    """Name the first fault of models of which DVC's cache holds all, not all or torn files, and what mends them."""
    text = faults[0] + (f" (and {len(faults) - 1} more)" if len(faults) > 1 else "")
    names = " ".join(map(quote, folders))
    if "problem" in facts:  # where the cache and the remote are is not known
        return Finding("models", BROKEN, text)
    if state == WHOLE:
        return Finding("models", BROKEN, text, f"dvc checkout --force {names}")
    text = f"{text}, and in DVC's cache it is {state}"
    if state == TORN:
        return Finding("models", BROKEN, text, f"{MEND} ALL=yes")
    if facts.get("remote"):
        text = f"{text}; after this look again, and where the remote lacks it `dvc repro` makes it"
        return Finding("models", BROKEN, text, f"dvc fetch {names}")
    return Finding("models", BROKEN, text, "dvc repro")


def locked_models() -> dict[Path, str]:
    """Return the folders of models/ that dvc.lock names as outs, each with the md5 of its listing."""
    return {Path(out.path): out.md5 for out in locked_outs() if out.path.startswith(f"{MODELS}/")}


def cached_state(cache: Path, listing: str) -> str:
    """Tell whether all files of a folder are in DVC's cache, by the md5 of the folder's listing there."""
    try:
        names = [entry["md5"] for entry in json.loads((cache / listing[:2] / listing[2:]).read_text(encoding="utf-8"))]
        whole = all(digest(cache / name[:2] / name[2:], "md5") == name for name in names)
    except FileNotFoundError:
        return LACKING
    except ValueError:
        return TORN
    return WHOLE if whole else TORN


def model_faults(folder: Path) -> Iterator[str]:
    """Yield what is wrong with a model's folder."""
    try:
        json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        yield f"{folder} has no model.json"
    except ValueError:
        yield f"{folder}/model.json is torn"
    yield from (
        f"{path} is torn" for path in sorted(folder.glob("*.safetensors")) if isinstance(read_header(path), str)
    )
