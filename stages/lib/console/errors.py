"""Errors that a user can put right, and how they are explained in one line."""

from typing import Final

from pydantic import BaseModel, ValidationError

HIDDEN: Final = "hidden"  # the type of an error whose input may hold a password, and so is not shown


class UserError(Exception):
    """Something that the user can put right: printed as one plain line, without a traceback."""


def explain(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """Say in one line which key is wrong and what it should be."""
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
    said = first["msg"][:1].lower() + first["msg"][1:]  # not all of it: it may hold a user's own names
    return f"{key}: {said}, got {first['input']!r}{more}"
