"""What the stages keep outside of DVC's cache: the store of finished conversations, and the models' folders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from commands.doctor.dvc_files import name_holders
from commands.doctor.findings import BROKEN, OK, Finding, count, gigabytes, short
from commands.doctor.hashes import BUDGET, check_files

STORE = Path(".dvc/store")
MODELS = Path("models")
HEADER = 8  # bytes of the length that a safetensors file begins with
LARGEST_HEADER = 100_000_000  # bytes, by the format's definition


def look_at_data(facts: dict[str, Any], *, everything: bool) -> list[Finding]:
    """Return the findings on the store and the models."""
    return [look_at_store(Path(facts.get("store", STORE)), everything=everything), look_at_models()]


def look_at_store(store: Path, *, everything: bool) -> Finding:
    """Compare the store's segments with the hash in their names."""
    segments = sorted(store.glob("*/*.parquet"))
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


def look_at_models() -> Finding:
    """Read model.json and the headers of all weights in models/."""
    folders = sorted(path for path in MODELS.glob("*") if path.is_dir() and not path.name.endswith(".tmp"))
    faults = [fault for folder in folders for fault in model_faults(folder)]
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return Finding("models", BROKEN, f"{faults[0]}{more}", "dvc checkout --force models")
    return Finding("models", OK, count(len(folders), "folder") if folders else "none yet; dvc repro makes them")


def model_faults(folder: Path) -> Iterator[str]:
    """Yield what is wrong with a model's folder."""
    try:
        json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        yield f"{folder} has no model.json"
    except ValueError:
        yield f"{folder}/model.json is torn"
    yield from (f"{path} is torn" for path in sorted(folder.glob("*.safetensors")) if is_torn(path))


def is_torn(path: Path) -> bool:
    """Tell whether a safetensors file has another length than its header says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(HEADER), "little")
        if size < HEADER or length > min(size - HEADER, LARGEST_HEADER):
            return True
        try:
            header = json.loads(file.read(length))
        except ValueError:
            return True
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return HEADER + length + max(ends, default=0) != size
