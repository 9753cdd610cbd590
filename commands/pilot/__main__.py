"""Run the command."""

from commands.pilot.command import main
from stages.lib.console.shell import plainly

with plainly("pilot"):
    main()
