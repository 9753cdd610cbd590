"""Run the command."""

from commands.pilot.command import main
from stages.lib.console.shell import exit_on_user_error

with exit_on_user_error("pilot"):
    main()
