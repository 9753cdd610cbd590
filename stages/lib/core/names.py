"""Names that have a meaning of their own."""

NO_JUDGE = "none"  # `judge.model`: nobody judges; no model can have this id
NOBODY_JUDGED = f"nobody judged, as judge.model is {NO_JUDGE}"
AVERAGE = "average"  # of all tasks: the average that every profile has; no task can have this name
FORGOTTEN = ("size", "nfiles")  # keys that DVC leaves out of its run-cache's key, at any depth of a param; no id is one
