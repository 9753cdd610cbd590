"""Trainings, running and finished: their loss so far, and how long they take yet."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stages.lib.core.files import read_json
from stages.lib.models.catalogue import MODELS
from stages.lib.training.protocol import FACTS, LOG, OUT, checkpoint_name, read_log
from stages.lib.training.trained_model import LOSS_CURVE, steps_of
from stages.train import WORK

Curve = list[tuple[float, float]]  # (step, loss)


@dataclass(frozen=True, slots=True)
class Training:
    """One training."""

    key: str
    curve: Curve
    max_steps: int  # 0: not known yet
    is_finished: bool
    seconds: float | None  # since it began; None where it is finished or has made no step
    seconds_to_go: float | None

    @property
    def step(self) -> int:
        """The last step."""
        return int(self.curve[-1][0]) if self.curve else 0

    @property
    def loss(self) -> float | None:
        """The loss of the last step."""
        return self.curve[-1][1] if self.curve else None


def read_trainings(keys: Iterable[str]) -> Iterator[Training]:
    """Yield the trainings of these models that have begun."""
    for key in keys:
        work = WORK / key
        if work.exists():
            yield read_begun(key, work)
        elif (curve := MODELS / key / LOSS_CURVE).exists():
            points = read_curve(curve)
            yield Training(key, points, int(points[-1][0]) if points else 0, True, None, None)


def read_begun(key: str, work: Path) -> Training:
    """Read a training that has not come to its end."""
    curve = [(float(step["step"]), float(step["loss"])) for step in steps_of(read_log(work))]
    facts = work / FACTS
    if not facts.exists():
        return Training(key, curve, 0, False, None, None)
    max_steps, began = int(read_json(facts)["max_steps"]), facts.stat().st_mtime
    before = resumed_from(work, began)
    if not curve or curve[-1][0] <= before:
        return Training(key, curve, max_steps, False, None, None)
    seconds = (work / LOG).stat().st_mtime - began
    to_go = seconds / (curve[-1][0] - before) * (max_steps - curve[-1][0])
    return Training(key, curve, max_steps, False, seconds, to_go)


def resumed_from(work: Path, began: float) -> int:
    """Return the step of the last checkpoint from before a moment; 0 for none."""
    older = (path for path in (work / OUT).glob(checkpoint_name("*")) if path.stat().st_mtime < began)
    return max((int(path.name.rpartition("-")[2]) for path in older), default=0)


def read_curve(path: Path) -> Curve:
    """Read the curve of a finished training."""
    with path.open(encoding="utf-8", newline="") as file:
        return [(float(row["step"]), float(row["loss"])) for row in csv.DictReader(file) if row["loss"]]
