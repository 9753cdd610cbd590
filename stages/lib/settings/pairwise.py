"""The section `pairwise`: which models the judge sees side by side, and when it has seen enough of two."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from stages.lib.core.sections import Section

NO_STOP = "none"


class Stop(Section):
    """When the judge has seen enough of a pair: `pairwise.stop`."""

    alpha: float = Field(gt=0, le=0.5)  # the chance that any verdict on any pair is wrong
    margin: float = Field(gt=0, lt=0.5)  # of the share of questions won, ties as halves: within it two are equivalent
    top: int = Field(default=0, ge=0)  # ask only for what decides which models are the best so many; 0: every pair
    round: int = Field(default=10, gt=0)  # questions of a pair between two looks
    max_questions: int = Field(default=0, ge=0)  # over all pairs together; 0: no limit


def read_stop(value: object) -> object:
    """Take the word for no rule as none; raise ValueError for what is neither."""
    if value is not None and value != NO_STOP and not isinstance(value, dict | Section):
        raise ValueError(f"should be {NO_STOP}, or keys such as {{alpha: 0.05, margin: 0.05}}")
    return None if value == NO_STOP else value


class Pairwise(Section):
    """The section `pairwise`."""

    stop: Annotated[Stop | None, BeforeValidator(read_stop)]  # none: every question of every pair is asked
    pairs: Literal["all", "none"] | list[list[str]]  # all: every two of `compare`; else lists of two
