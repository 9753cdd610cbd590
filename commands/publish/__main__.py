"""Run the command."""

from commands.publish.command import main
from stages.lib.console.shell import exit_on_user_error

with exit_on_user_error("publish", "no folder was changed; run it again"):
    main()
