"""Errors that the user can fix."""

import re
from typing import Final

DOCTOR: Final = "`make doctor` shows what is here"
PASSWORD: Final = re.compile(r"(?<=:)(//?)[^/@\s]*:[^/@\s]*@")  # in an address; a path keeps one of the slashes
# Here, where no stage is digested: a stage that names a command would depend on its code.
MOVE_STORE: Final = "`python -m commands.store move`"


def hide_passwords(text: str) -> str:
    """Leave out the users and passwords of the addresses in a text."""
    return PASSWORD.sub(r"\1", text)


class UserError(Exception):
    """An error that the user can fix: printed as one line, or one for each mistake, without a traceback."""

    def __str__(self) -> str:
        return hide_passwords(super().__str__())


class MachineError(UserError):
    """An error about the machine or what is installed on it; its line ends with the command that shows both."""

    def __str__(self) -> str:
        return f"{super().__str__()}; {DOCTOR}"
