"""The progress of a training on the screen: what is trained, a bar with loss and speed, and a loss curve to plot."""

import time
from pathlib import Path
from typing import Any, BinaryIO

from tqdm import tqdm

from stages.lib.console.child_output import ChildOutput
from stages.lib.console.formats import format_count
from stages.lib.console.shell import log_line, progress
from stages.lib.core.files import read_json
from stages.lib.core.text import escape_unprintable
from stages.lib.core.types import Json
from stages.lib.training.protocol import FACTS, MASK, OUTPUT, read_log
from stages.lib.training.trained_model import steps_of, write_curve

LIVE = Path("data/live")  # DVC plots nothing under .dvc
MAX_CHARS = 600  # of the first conversation


class TrainingScreen:
    """Follows the files that the plugin writes into the work folder of a run."""

    def __init__(self, key: str, work: Path) -> None:
        self.key = key
        self.work = work
        self.curve = LIVE / f"{key}.csv"
        self._file: BinaryIO | None = None  # Axolotl's output, while it prepares the data
        self._preparation: ChildOutput | None = None
        self._bar: tqdm[Any] | None = None
        self._first_step = (0.0, 0)  # when the first step was seen, and the tokens until then

    def update(self) -> None:
        """Show what is new; cheap when nothing is."""
        if not (self.work / FACTS).exists():
            self._follow_preparation()
            return
        self._end_preparation()
        if self._bar is None:
            self._bar = self._open_bar(read_json(self.work / FACTS))
        steps = steps_of(read_log(self.work))
        if steps and steps[-1]["step"] > self._bar.n:
            write_curve(self.curve, steps)
            self._move_bar(self._bar, steps[-1])

    def close(self) -> None:
        """Leave the bar as it is, and delete the live curve."""
        self._end_preparation()
        if self._bar is not None:
            self._bar.close()
        self.curve.unlink(missing_ok=True)

    def _follow_preparation(self) -> None:
        """Show the bars of Axolotl as it prepares the data."""
        if self._file is None and (self.work / OUTPUT).exists():
            self._file = (self.work / OUTPUT).open("rb")
            self._preparation = ChildOutput(self._file, self.key, shows_lines=False)
        if self._preparation is not None:
            self._preparation.update()

    def _end_preparation(self) -> None:
        """End what `_follow_preparation` shows."""
        if self._preparation is not None:
            self._preparation.close()
        if self._file is not None:
            self._file.close()
        self._file = self._preparation = None

    def _open_bar(self, facts: Json) -> "tqdm[Any]":
        """Print what is trained and where the curve is, and open the bar at the step that is resumed from."""
        log_line(describe_mask(facts))
        log_line(escape_unprintable((self.work / MASK).read_text(encoding="utf-8").rstrip(), MAX_CHARS))
        log_line(f"The curve as it grows: dvc plots show {self.curve} -x step -y loss")
        steps = steps_of(read_log(self.work))
        if steps:
            write_curve(self.curve, steps)
        none: list[Any] = []
        initial = steps[-1]["step"] if steps else 0
        return progress(none, desc=self.key, unit="steps", total=facts["max_steps"], initial=initial)

    def _move_bar(self, bar: "tqdm[Any]", step: Json) -> None:
        """Move the bar to a step."""
        now, tokens = time.monotonic(), step.get("tokens/total", 0)
        if not self._first_step[0]:
            self._first_step = now, tokens
        began, tokens_before = self._first_step
        speed = (tokens - tokens_before) / (now - began) if now > began else 0.0
        shown_speed = f", {format_count(speed)} tokens/s" if speed else ""
        bar.set_postfix_str(f"loss {step['loss']:.3f}{shown_speed}", refresh=False)
        bar.update(step["step"] - bar.n)


def describe_mask(facts: Json) -> str:
    """Describe in one line how much is trained."""
    share = facts["trained_tokens"] / facts["tokens"]
    rows, tokens, replies = (format_count(facts[name]) for name in ("rows", "tokens", "replies"))
    return (
        f"{rows} conversations, {tokens} tokens; trained: {share:.1%} of them, in {replies} replies to their end of "
        f"turn. The first conversation, with ⟦the trained tokens⟧ in brackets:"
    )
