"""Errors that the user can fix."""

from typing import Final

DOCTOR: Final = "`make doctor` shows what is here"
# Here, where no stage is digested: a stage that names a command would depend on its code.
MOVE_STORE: Final = "`python -m commands.store move`"


class UserError(Exception):
    """An error that the user can fix: printed as one line, or one for each mistake, without a traceback."""


class MachineError(UserError):
    """An error about the machine or what is installed on it; its line ends with the command that shows both."""

    def __str__(self) -> str:
        return f"{super().__str__()}; {DOCTOR}"
