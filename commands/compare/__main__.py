"""Run the command."""

from commands.compare.command import main
from stages.lib.console.shell import exit_on_user_error

with exit_on_user_error("compare", "nothing was written; run it again"):
    main()
