"""Folders that a stage reads by their digests, because a list in params decides which: DVC has no such deps."""

import subprocess
from pathlib import Path

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.core.files import read_json, sha256_folder

DIGESTS = Path("metrics/digests")
MADE_BY = {"answers": "answers", "evaluations": "evaluate", "judgments": "judge"}  # folder of data/: its stage
ONE_FOR_ALL = ("judge",)  # stages whose out has the folders of all models: DVC pulls and checks it out as a whole


def require_folder(folder: Path, digest: str, stage: str, out: Path | None = None) -> Path:
    """Return a folder with this sha256; pull it from the remote when it is absent. `out` has it, if it is none itself.

    Raises UserError with the command to run when it cannot be pulled or has another digest.
    """
    out = out or folder
    if not folder.exists():
        log_line(f"{out} is absent: pulling it")
        pulled = subprocess.run(["dvc", "pull", "--quiet", str(out)], capture_output=True, text=True, check=False)  # noqa: S607
        if pulled.returncode or not folder.exists():
            raise UserError(
                f"{folder} is absent and could not be pulled: run `dvc pull {stage}` or `dvc repro {stage}`"
            )
    if sha256_folder(folder) != digest:
        raise UserError(
            f"{folder} does not match the digest in metrics/: run `dvc checkout {out}` or `dvc repro {stage}`"
        )
    return folder


def require_seed(model: str) -> Path:
    """Return data/evaluations/<model> of another seed of a run, with the digest that metrics/digests/seeds holds."""
    digest = read_json(DIGESTS / "seeds" / f"{model}.json")["evaluations"]
    return require_made("evaluations", model, digest, "evaluate_seed")


def require_compared(model: str, name: str) -> Path:
    """Return data/<name>/<model> of a compared model, with the digest that metrics/digests/models holds."""
    return require_made(name, model, read_json(DIGESTS / "models" / f"{model}.json")[name], MADE_BY[name])


def require_answers(model: str) -> Path:
    """Return data/answers/<model> of a compared model, with its digest from before the model is judged."""
    return require_made("answers", model, read_json(DIGESTS / "answers" / f"{model}.json")["answers"], "answers")


def require_made(name: str, model: str, digest: str, stage: str) -> Path:
    """Return data/<name>/<model> with this sha256, which a stage makes for each model or for all at once."""
    folder = Path("data") / name
    return require_folder(folder / model, digest, stage_of(stage, model), folder if stage in ONE_FOR_ALL else None)


def stage_of(stage: str, model: str) -> str:
    """Return the name, as DVC knows it, of the stage that makes a model's folder."""
    return stage if stage in ONE_FOR_ALL else f"{stage}@{model}"
