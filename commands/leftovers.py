"""Remove the files of metrics/ whose model, run or set is no longer in params.yaml: `make tidy`."""

from pathlib import Path

from stages.lib.console.shell import log_line
from stages.lib.core.sections import PARAMS, read_yaml
from stages.lib.core.types import Json
from stages.lib.settings.reading import run

METRICS = Path("metrics")


def known_ids(params: Json) -> set[str]:
    """Return every id after which a file of metrics/ can be named."""
    return {*params["dgms"], *params["bases"], *params["compare"], *params["auxiliary"], *params["mix"]["runs"]}


def remove_leftovers(params: Json) -> list[Path]:
    """Remove the files in folders of metrics/ that are named after other ids, and return their paths."""
    ids = known_ids(params)
    leftovers = [path for path in sorted(METRICS.glob("*/**/*.*")) if path.suffix and path.stem not in ids]
    for path in leftovers:
        path.unlink()
    return leftovers


def main() -> None:
    """Remove the leftovers of the active params.yaml and name them."""
    removed = remove_leftovers(read_yaml(PARAMS))
    for path in removed:
        log_line(f"removed {path}")
    log_line(f"{len(removed)} files removed")


if __name__ == "__main__":
    run(main)
