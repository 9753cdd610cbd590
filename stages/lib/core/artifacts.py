"""Folders that a stage reads by their digests, because a list in params decides which: DVC has no such deps."""

import subprocess
from pathlib import Path

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.core.files import read_json, sha256_folder

DIGESTS = Path("metrics/digests")
MADE_BY = {"answers": "answers", "evaluations": "evaluate", "judgments": "judge"}  # folder of data/: its stage


def require_folder(folder: Path, digest: str, stage: str) -> Path:
    """Return a folder with this sha256; pull it from the remote when it is absent.

    Raises UserError with the command to run when it cannot be pulled or has another digest.
    """
    if not folder.exists():
        log_line(f"{folder} is absent: pulling it")
        pulled = subprocess.run(["dvc", "pull", "--quiet", str(folder)], capture_output=True, text=True, check=False)  # noqa: S607
        if pulled.returncode or not folder.exists():
            raise UserError(
                f"{folder} is absent and could not be pulled: run `dvc pull {stage}` or `dvc repro {stage}`"
            )
    if sha256_folder(folder) != digest:
        raise UserError(
            f"{folder} does not match the digest in metrics/: run `dvc checkout {folder}` or `dvc repro {stage}`"
        )
    return folder


def require_seed(model: str) -> Path:
    """Return data/evaluations/<model> of another seed of a run, with the digest that metrics/digests/seeds holds."""
    digest = read_json(DIGESTS / "seeds" / f"{model}.json")["evaluations"]
    return require_folder(Path("data/evaluations") / model, digest, f"evaluate_seed@{model}")


def require_compared(model: str, name: str) -> Path:
    """Return data/<name>/<model> of a compared model, with the digest that metrics/digests/models holds."""
    digest = read_json(DIGESTS / "models" / f"{model}.json")[name]
    return require_folder(Path("data") / name / model, digest, f"{MADE_BY[name]}@{model}")
