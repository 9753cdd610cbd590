"""Put a profile in the place of params.yaml: `make profile NAME=paper`."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.core.sections import PARAMS, read_yaml
from stages.lib.settings.reading import run

PROFILES = Path("profiles")
METRICS = Path("metrics")


def is_saved(params: Path) -> bool:
    """Whether params.yaml is to be found elsewhere: in git's HEAD or as a profile."""
    here = params.read_bytes()
    head = subprocess.run(["git", "show", f"HEAD:./{params}"], capture_output=True, check=False)  # noqa: S607
    return here == head.stdout or any(here == profile.read_bytes() for profile in PROFILES.glob("*.yaml"))


def ids(params: dict[str, Any]) -> set[str]:
    """Every id that a file of metrics/ can be named after under these params."""
    return {*params["dgms"], *params["bases"], *params["compare"], *params["auxiliary"], *params["mix"]["runs"]}


def leftovers(params: dict[str, Any]) -> list[Path]:
    """Files under metrics/ that belong to ids which these params do not have."""
    return [path for path in sorted(METRICS.glob("*/**/*.*")) if path.suffix and path.stem not in ids(params)]


def main(name: str) -> None:
    """Switch to a profile; refuse when that would lose an edit of params.yaml."""
    profile = PROFILES / f"{name}.yaml"
    if not profile.exists():
        known = ", ".join(sorted(path.stem for path in PROFILES.glob("*.yaml")))
        raise UserError(f"no profile {name!r}; there are: {known}")
    if PARAMS.exists() and not is_saved(PARAMS):
        raise UserError(
            "params.yaml holds edits that are nowhere else: commit them, or save them as a file of profiles/"
        )
    shutil.copyfile(profile, PARAMS)
    for path in leftovers(read_yaml(PARAMS)):
        path.unlink()
    log_line(f"params.yaml is now profiles/{name}.yaml; `dvc repro` runs it, `make profile NAME=demo` goes back")


if __name__ == "__main__":
    run(main)
