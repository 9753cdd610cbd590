"""Data that a stage reads without declaring it as a dep, because a list in params decides which: by digest."""

import subprocess
from pathlib import Path

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.core.files import read_json, sha256_folder

DIGESTS = Path("metrics/digests/models")
MADE_BY = {"answers": "answers", "evaluations": "evaluate", "judgments": "judge"}  # the stages


def require(folder: Path, digest: str, stage: str) -> Path:
    """Return a folder that has this digest; pull it from the remote when it is absent.

    Raises UserError with the command to run when it cannot be had or is not the one that was named.
    """
    if not folder.exists():
        log_line(f"{folder} is absent: pulling it")
        pulled = subprocess.run(["dvc", "pull", "--quiet", str(folder)], capture_output=True, text=True, check=False)  # noqa: S607
        if pulled.returncode or not folder.exists():
            raise UserError(
                f"{folder} is absent and could not be pulled: run `dvc pull {stage}` or `dvc repro {stage}`"
            )
    if sha256_folder(folder) != digest:
        raise UserError(f"{folder} is not what metrics/ names: run `dvc checkout {folder}` or `dvc repro {stage}`")
    return folder


def compared(model: str, name: str) -> Path:
    """data/<name>/<model> of a compared model, as metrics/digests names it."""
    digest = read_json(DIGESTS / f"{model}.json")[name]
    return require(Path("data") / name / model, digest, f"{MADE_BY[name]}@{model}")
