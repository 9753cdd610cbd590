"""Run the command."""

from commands.add.command import main
from stages.lib.console.shell import exit_on_user_error

with exit_on_user_error("add"):
    main()
