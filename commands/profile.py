"""Make a profile the active params.yaml: `make profile NAME=paper`."""

import shutil
import subprocess
from pathlib import Path

from stages.lib.checking.params import check_params, read_params
from stages.lib.console.errors import UserError
from stages.lib.console.faults import MOST, suggest
from stages.lib.console.shell import log_line
from stages.lib.core.leftovers import remove_results
from stages.lib.core.sections import PARAMS
from stages.lib.core.seeds import write_seeds
from stages.lib.settings.reading import run

PROFILES = Path("profiles")


def is_saved(params: Path) -> bool:
    """Tell whether params.yaml equals the file of git's HEAD or of a profile, so that replacing it loses nothing."""
    content = params.read_bytes()
    head = subprocess.run(["git", "show", f"HEAD:./{params}"], capture_output=True, check=False)  # noqa: S607
    return content == head.stdout or any(content == profile.read_bytes() for profile in PROFILES.glob("*.yaml"))


def main(name: str) -> None:
    """Switch to a profile; refuse when that would lose an edit of params.yaml.

    The numbers in metrics/ are those of other params, also under an id that both have, so they go.
    """
    profile = PROFILES / f"{name}.yaml"
    if not profile.exists():
        known = sorted(path.stem for path in PROFILES.glob("*.yaml"))
        raise UserError(f"there is no profile {name!r}{suggest(name, known)}")
    params = read_params(profile)
    to_put_right = check_params(params, str(profile))
    if PARAMS.exists() and not is_saved(PARAMS):
        raise UserError("params.yaml has edits that are saved nowhere else: commit them, or copy it to profiles/")
    if not PARAMS.exists() or PARAMS.read_bytes() != profile.read_bytes():
        shutil.copyfile(profile, PARAMS)
        if remove_results():
            log_line(
                "`git restore metrics` brings committed numbers back, for the params that they were committed with"
            )
    write_seeds(params)
    log_line(f"params.yaml is now profiles/{name}.yaml; `dvc repro` runs it, `make profile NAME=demo` goes back")
    if to_put_right:
        log_line("\n".join(["Before that:", *to_put_right[:MOST]]))


if __name__ == "__main__":
    run(main)
