"""Where the store is: what was finished, kept outside DVC's outs."""

import os
import subprocess
from pathlib import Path

from stages.lib.console.errors import MachineError


def store_folder() -> Path:
    """Return the store's folder: $REWILD_STORE, else `store` beside DVC's cache, which experiments share.

    Raises MachineError where DVC does not say where that is.
    """
    if "REWILD_STORE" in os.environ:
        return Path(os.environ["REWILD_STORE"])
    try:
        cache = subprocess.run(["dvc", "cache", "dir"], capture_output=True, text=True, check=True)  # noqa: S607
    except FileNotFoundError:
        raise MachineError("`dvc` is not on the path: run `source .venv/bin/activate`") from None
    except subprocess.CalledProcessError as error:
        last = [*error.stderr.strip().splitlines(), f"exit code {error.returncode}"][0]
        raise MachineError(f"`dvc cache dir` failed: {last}") from None
    return Path(cache.stdout.strip()).parent / "store"
