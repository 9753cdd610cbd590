"""Run `dvc repro`, and number its stages: which of how many it is, and the time so far. Not a stage.

python -m commands.progress [arguments of dvc repro]

A stage that need not run counts as done. DVC prints no total, so its own list of stages is counted.
"""

import importlib
import logging
import sys
import time
from collections.abc import Sequence
from typing import Any

from dvc.cli import main as dvc

from stages.lib.console.formats import format_duration
from stages.lib.console.shell import log_line

STAGE_LINES = ("Running stage", "Stage ")  # how DVC begins the line of a stage


class StageCounter:
    """Knows at which of its stages DVC is."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.number = self.total = 0

    def watch(self) -> None:
        """Count the stages that DVC runs from now on, and put the count before the line of each."""
        module: Any = importlib.import_module("dvc.repo.reproduce")
        run_all, run_one = module._reproduce, module._reproduce_stage

        def numbered_all(stages: Sequence[Any], *args: Any, **options: Any) -> Any:
            numbers = {stage: number for number, stage in enumerate(stages, start=1)}
            self.total = len(stages)

            def numbered(stage: Any, **settings: Any) -> Any:
                self.number = numbers[stage]
                return run_one(stage, **settings)

            return run_all(stages, *args, repro_fn=numbered, **options)

        module._reproduce = numbered_all
        logging.setLogRecordFactory(self.make_record)

    def make_record(self, *args: Any, **options: Any) -> logging.LogRecord:
        """Make a log record; the line of a stage begins with its number."""
        record = logging.LogRecord(*args, **options)
        if record.name.startswith("dvc.stage") and str(record.msg).startswith(STAGE_LINES):
            record.msg = f"[{self.described}] {record.msg}"
        return record

    @property
    def described(self) -> str:
        """How far DVC is, such as `23 of 60, 4.20 min`."""
        return f"{self.number} of {self.total}, {format_duration(time.monotonic() - self._began)}"


def main() -> int:
    """Run `dvc repro` with the arguments of the command line; return its exit code."""
    counter = StageCounter()
    counter.watch()
    code = int(dvc(["repro", *sys.argv[1:]]))
    if code == 0 and counter.total:
        log_line(f"[{counter.described}] done")
    return code


if __name__ == "__main__":
    sys.exit(main())
