"""What only the environment's libraries know, as JSON for the doctor, which may run without them.

python -m commands.doctor.facts project     where DVC's cache and the store are, and what params.yaml asks for
python -m commands.doctor.facts remote [everything] [mend]      whether DVC's remote answers, and what it lacks
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo

from commands.doctor.objects.remote_objects import examine
from stages.lib.console.errors import UserError
from stages.lib.core.sections import PARAMS, read_yaml
from stages.lib.generation.place import left_behind
from stages.lib.models.catalogue import read_entry


def read_project(*_: str) -> dict[str, Any]:
    """Return where data is kept, and what the active profile asks of the machine."""
    with Repo() as repo:
        # As `store_folder` has it, which would start DVC once more.
        store = os.environ.get("REWILD_STORE") or str(Path(repo.cache.local_cache_dir).parent / "store")
        facts = {
            "cache": repo.cache.local.path,
            "hardlink_lock": bool(repo.config["core"].get("hardlink_lock", False)),
            "remote": repo.config["core"].get("remote", ""),
            # As `store_folder` has it, which would start DVC once more.
            "store": (
                store := os.environ.get("REWILD_STORE") or str(Path(repo.cache.local_cache_dir).parent / "store")
            ),
            "store_left": str(left_behind(Path(store)) or ""),
        }
    try:
        return facts | read_params()
    except (UserError, LookupError, TypeError) as error:  # `check` says what is wrong with the file
        return facts | {"params": f"{PARAMS} cannot be read: {error}"}


def read_params() -> dict[str, Any]:
    """Return what params.yaml asks for: GPUs, each with its key, WordNet, Evalchemy."""
    params = read_yaml(PARAMS)
    train, evaluate = params["train"], params["evaluate"]
    trained = [whole(train["num_gpus"], "train.num_gpus")] if train["device"] == "gpu" else []
    compared = [name for name in params["compare"] if name not in params["mix"]["runs"]]
    evaluated = parallel(compared) if evaluate["device"] == "gpu" else []
    return {
        "gpus": max([*trained, *evaluated], default=(0, "")),
        "gpus_to_generate": max(parallel(params["dgms"]), default=(0, "")),
        "synonyms": bool(params["similarity"]["synonyms"]),
        "evalchemy": bool(evaluate["evalchemy"]),
    }


def whole(number: object, key: str) -> tuple[int, str]:
    """Return the whole number of a key, with the key; raise UserError for anything else."""
    if not isinstance(number, int) or isinstance(number, bool):
        raise UserError(f"{key}: {number!r} is no whole number")
    return number, key


def parallel(models: list[str]) -> list[tuple[int, str]]:
    """Return the GPUs of each model that is loaded here, with the key that asks for them."""
    entries = {name: read_entry(name) for name in models}
    return [
        (entry.tensor_parallel, f"tensor_parallel of {name}")
        for name, entry in entries.items()
        if entry.repository or entry.path
    ]


def read_remote(*words: str) -> dict[str, Any]:
    """Return the name and address of DVC's default remote, and what it lacks; an empty name: there is none.

    Name and address are printed first: the doctor may not wait for the answer.
    """
    with Repo() as repo:
        name = repo.config["core"].get("remote", "")
        if not name:
            return {"name": ""}
        address = repo.config["remote"].get(name, {}).get("url", "")
        known = {"name": name, "address": address}
        print(json.dumps(known), flush=True)
        store = repo.cloud.get_remote_odb(name)
        is_there = bool(store.fs.exists(store.path))
        if not is_there:
            return known | {"is_there": False}
        cache = Path(repo.cache.local.path)
        return (
            known | {"is_there": True} | examine(cache, store, everything="everything" in words, mend="mend" in words)
        )


def main() -> None:
    """Print the facts that the command line asks for, or in one line why DVC has none."""
    try:
        facts = {"project": read_project, "remote": read_remote}[sys.argv[1]](*sys.argv[2:])
    except DvcException as error:
        sys.exit(" ".join(str(error).split()))
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
