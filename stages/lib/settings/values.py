"""Types of values that several sections have."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

MOST_SEED = 2**32 - 1  # that numpy takes


def check_repository(name: str) -> str:
    """Return the name of a repository of the hub; raise ValueError for a text that is none."""
    if match := re.match(r"https?://[^/]+/(?:datasets/)?([\w.-]+/[\w.-]+)", name):
        raise ValueError(f"is an address; write {match[1]}")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise ValueError(f"should be <owner>/<name> as on the hub, got '{name}'")
    return name


Seed = Annotated[int, Field(ge=0, le=MOST_SEED)]
Share = Annotated[float, Field(ge=0, le=1)]
TaskName = Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
Repository = Annotated[str, AfterValidator(check_repository)]  # of the hub
