"""Run the command."""

from commands.analyse.command import main
from stages.lib.console.shell import exit_on_user_error

with exit_on_user_error("analyse", "run it again; it starts from the beginning"):
    main()
