"""What a program of others prints, on our screen: its lines as they are, its progress bars as ours."""

import re
from typing import Any, BinaryIO

from tqdm import tqdm

from stages.lib.console.shell import log_line, progress

LINE_END = re.compile(r"[\r\n]+")
# A bar of tqdm, and what another part of the program has written behind it.
BAR = re.compile(
    r"(?P<name>[^|]*?):?\s*\d+%\|.*\|\s*(?P<done>\d+)/(?P<total>\d+)\s*\[[^\]]*(?:\](?P<behind>.*))?", re.DOTALL
)
SETTINGS = re.compile(r"\s*\(num_proc=\d+\)$")  # how the package `datasets` ends the name of a bar
UNITS = {  # what the steps of a bar are, by the beginning of its name
    "": "rows",
    "Running ": "requests",
    "Processed prompts": "prompts",
    "Loading weights": "weights",
    "Tokenizing": "rows",
}


class ChildOutput:
    """Follows the output of a program in a file, from the place up to which it was read."""

    def __init__(self, output: BinaryIO, name: str, *, shows_lines: bool = True) -> None:
        self._output, self._name, self._shows_lines = output, name, shows_lines
        self._rest = ""  # of a line that is still being written
        self._bar: tqdm[Any] | None = None
        self._shown = ("", 0)  # name and total of the bar

    def update(self) -> None:
        """Show what the program has printed since the last call."""
        text = self._rest + self._output.read().decode("utf-8", "replace")
        *whole, self._rest = LINE_END.split(text)
        for line in whole:
            self._show(line)
        if match := BAR.match(self._rest):  # a bar that will be drawn again has no end of line yet
            self._move(match)

    def close(self) -> None:
        """Show what is left, and end the bar."""
        self.update()
        self._show(self._rest)
        self._rest = ""
        self._end_bar()

    def _show(self, line: str) -> None:
        """Show one line, or move the bar."""
        if match := BAR.match(line):
            self._move(match)
            line = match["behind"] or ""
        if line.strip() and self._shows_lines:
            log_line(line)

    def _move(self, match: re.Match[str]) -> None:
        """Move the bar of that name and total, and end it with its last step; one of another name follows it.

        What is done at once, before its bar was seen unfinished, has none.
        """
        name, done, total = match["name"].strip(), int(match["done"]), int(match["total"])
        is_new = self._bar is None or self._shown != (name, total) or done < self._bar.n
        if is_new and done == total:  # it ended before it was seen, or its last step is drawn twice
            self._end_bar()
            return
        if self._bar is None or is_new:
            self._end_bar()
            self._shown = name, total
            unit = next((unit for start, unit in UNITS.items() if start and name.startswith(start)), UNITS[""])
            desc = ": ".join(filter(None, [self._name, SETTINGS.sub("", name).lower()]))
            self._bar = progress([], desc=desc, unit=unit, total=total)
        self._bar.update(done - self._bar.n)
        if done == total:
            self._end_bar()

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = None
