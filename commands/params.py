"""Say what is wrong in params.yaml: every mistake with its line, before DVC reads the file or anything runs.

python -m commands.params [all|sections]     all: also in the catalogue and the files that params.yaml names

`check` finds the same, but DVC runs it only when params.yaml has changed and can be read by DVC.
"""

import argparse

from stages.lib.checking.models import read_catalogue
from stages.lib.checking.params import check_all, check_sections, read_params
from stages.lib.console.shell import exit_on_user_error
from stages.lib.core.sections import PARAMS


def main(words: list[str] | None = None) -> None:
    """Check the active params.yaml; silent if nothing is wrong."""
    parser = argparse.ArgumentParser(prog="python -m commands.params", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("all", "sections"), default="all")
    what = parser.parse_args(words).what
    params = read_params()
    if what == "all":
        check_all(params, str(PARAMS), read_catalogue())
    else:
        check_sections(params, str(PARAMS))


if __name__ == "__main__":
    with exit_on_user_error("params"):
        main()
