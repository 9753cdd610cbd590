"""What a user sees of a training: what is trained, a bar with loss, speed and time left, and the curve as it grows."""

import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from stages.lib.console.formats import format_count
from stages.lib.console.shell import log_line
from stages.lib.core.files import read_json
from stages.lib.core.text import escape_unprintable
from stages.lib.training.axolotl import read_log, steps_of, write_curve

LIVE = Path("data/live")  # DVC plots nothing under .dvc
SHOWN = 600  # characters of the first conversation


class Screen:
    """Follows the files that the plugin writes into the work folder of a run."""

    def __init__(self, key: str, work: Path) -> None:
        self.key, self.work, self.curve = key, work, LIVE / f"{key}.csv"
        self._bar: tqdm[Any] | None = None
        self._began = (0.0, 0)  # when the first step was seen, and the tokens until then

    def look(self) -> None:
        """Show what is new. Cheap when nothing is."""
        if not (self.work / "facts.json").exists():
            return
        if self._bar is None:
            self._bar = self._begin(read_json(self.work / "facts.json"))
        steps = steps_of(read_log(self.work))
        if steps and steps[-1]["step"] > self._bar.n:
            write_curve(self.curve, steps)
            self._show(self._bar, steps[-1])

    def close(self) -> None:
        """Leave the bar as it is, and take the live curve away."""
        if self._bar is not None:
            self._bar.close()
        self.curve.unlink(missing_ok=True)

    def _begin(self, facts: dict[str, Any]) -> "tqdm[Any]":
        """Say what is trained and where the curve is, and open the bar where a broken-off training had come to."""
        log_line(mask_line(facts))
        log_line(escape_unprintable((self.work / "mask.txt").read_text(encoding="utf-8").rstrip(), SHOWN))
        log_line(f"The curve as it grows: dvc plots show {self.curve} -x step -y loss")
        before = steps_of(read_log(self.work))
        first = before[-1]["step"] if before else 0
        if before:
            write_curve(self.curve, before)
        return tqdm(
            desc=f"train {self.key}", unit=" steps", total=facts["max_steps"], initial=first, dynamic_ncols=True
        )

    def _show(self, bar: "tqdm[Any]", step: dict[str, Any]) -> None:
        """Move the bar to a step."""
        now, tokens = time.monotonic(), step.get("tokens/total", 0)
        if not self._began[0]:
            self._began = now, tokens
        speed = (tokens - self._began[1]) / (now - self._began[0]) if now > self._began[0] else 0.0
        bar.set_postfix_str(
            f"loss {step['loss']:.3f}" + (f", {format_count(speed)} tokens/s" if speed else ""), refresh=False
        )
        bar.update(step["step"] - bar.n)


def mask_line(facts: dict[str, Any]) -> str:
    """What is trained, in one line."""
    share = facts["trained_tokens"] / facts["tokens"]
    return (
        f"{format_count(facts['rows'])} conversations, {format_count(facts['tokens'])} tokens; "
        f"trained: {share:.1%} of them, in "
        f"{format_count(facts['replies'])} replies to their end of turn. The first one, ⟦what is trained⟧ in brackets:"
    )
