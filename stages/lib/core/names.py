"""Names that have a meaning of their own, so that no model, run or task can have them."""

AVERAGE = "average"  # of all tasks: the average that every profile has
TIE = "tie"  # a judge's choice when two replies are equally good
