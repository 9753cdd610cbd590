"""Remove the files of metrics/ whose model, run or set is no longer in params.yaml: `make tidy`, as `check` does."""

from stages.lib.console.shell import log_line
from stages.lib.core.leftovers import remove_leftovers
from stages.lib.core.sections import PARAMS, read_yaml
from stages.lib.settings.reading import run


def main() -> None:
    """Remove the leftovers of the active params.yaml and name them."""
    log_line(f"{len(remove_leftovers(read_yaml(PARAMS)))} files removed")


if __name__ == "__main__":
    run(main)
