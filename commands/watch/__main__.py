"""Run the command."""

from commands.watch.command import main
from stages.lib.console.shell import exit_on_user_error

with exit_on_user_error("watch"):
    main()
