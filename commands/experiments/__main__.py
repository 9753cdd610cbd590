"""Run the command."""

from commands.experiments.command import main
from stages.lib.console.shell import exit_on_user_error

with exit_on_user_error("experiments", "nothing was written; run it again"):
    main()
