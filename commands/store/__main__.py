"""python -m commands.store list|verify|add|move|prune [--help]"""

from commands.store.command import main
from stages.lib.console.shell import exit_on_user_error

if __name__ == "__main__":
    with exit_on_user_error("store"):
        main()
