"""Names that have a meaning of their own."""

AVERAGE = "average"  # of all tasks: the average that every profile has; no task can have this name
