"""The turns of a chat that others made."""

ParsedTurn = dict[str, str | None]  # user and reply (None: not known), finish
