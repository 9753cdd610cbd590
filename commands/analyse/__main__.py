"""Run the command."""

from commands.analyse.command import main
from stages.lib.console.shell import plainly

with plainly("analyse", "run it again, it begins anew"):
    main()
