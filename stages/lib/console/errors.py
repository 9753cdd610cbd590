"""Errors that the user can fix."""


class UserError(Exception):
    """An error that the user can fix: printed as one line, or one for each mistake, without a traceback."""
