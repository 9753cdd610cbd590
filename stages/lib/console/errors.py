"""Errors that the user can fix."""

from typing import Final

DOCTOR: Final = "`make doctor` shows what is here"


class UserError(Exception):
    """An error that the user can fix: printed as one line, or one for each mistake, without a traceback."""


class MachineError(UserError):
    """An error about the machine or what is installed on it; its line ends with the command that shows both."""

    def __str__(self) -> str:
        return f"{super().__str__()}; {DOCTOR}"
