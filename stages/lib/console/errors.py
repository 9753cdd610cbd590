"""Errors that the user can fix, explained in one line."""

from typing import Final

from pydantic import BaseModel, ValidationError

DOCTOR: Final = "`make doctor` shows what is here"
HIDDEN: Final = "hidden"  # the type of an error whose input may hold a password, and so is not shown


class UserError(Exception):
    """An error that the user can fix: printed as one line, without a traceback."""


class MachineError(UserError):
    """An error about the machine or what is installed on it; its line ends with the command that shows both."""

    def __str__(self) -> str:
        return f"{super().__str__()}; {DOCTOR}"


def explain(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """Return one line that names the wrong key and what it should be.

    `where` names the file and section. Of several errors the first is explained and the others are counted.
    """
    renamed: dict[str, str] = getattr(model, "RENAMED", {})
    for entry in error.errors():
        if entry["type"] == "extra_forbidden" and (old := str(entry["loc"][0])) in renamed:
            return f"{where}.{old}: is called {renamed[old]} now"
    first = error.errors()[0]
    key = ".".join([where, *(str(part) for part in first["loc"])])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known = ", ".join(field.alias or name for name, field in model.model_fields.items())
        hint = f"; known keys: {known}" if len(first["loc"]) == 1 else ""
        return f"{key}: no such key{hint}{more}"
    if first["type"] == "missing":
        return f"{key} is missing{more}"
    if first["type"] == HIDDEN:
        return f"{key}: {first['msg']}{more}"
    message = first["msg"][:1].lower() + first["msg"][1:]  # only the first letter: names in it keep their case
    return f"{key}: {message}, got {first['input']!r}{more}"
