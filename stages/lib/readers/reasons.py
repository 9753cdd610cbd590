"""Why a value or row of a file cannot be used, and how many rows of a source that was."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from stages.lib.console.shell import log_line

MAX_PLACES = 5  # named per reason


@dataclass(frozen=True, slots=True)
class Reason:
    """The name of a reason: what a conversion returns in the place of a value that cannot be had exactly."""

    name: str


@dataclass
class UnreadableRows:
    """Counts the rows of a source that no reader can make a row of, and remembers where the first ones are."""

    counts: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: Reason, file: Path, number: int) -> None:
        """Count a row by its line of a JSON-lines file, or its number in another; both from 1."""
        self.counts[reason.name] += 1
        places = self.places.setdefault(reason.name, [])
        if len(places) < MAX_PLACES:
            places.append(f"{file}:{number}")

    def log(self) -> None:
        """Print a line for each reason."""
        for name, places in sorted(self.places.items()):
            more = ", …" if self.counts[name] > len(places) else ""
            log_line(f"{self.counts[name]} rows left out as {name}: {', '.join(places)}{more}")
