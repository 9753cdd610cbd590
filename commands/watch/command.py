"""Write one page of what runs, again and again until Ctrl-C: data/watch.html. Not a stage.

python -m commands.watch [--once] [--seconds 5]

The page opens from the disk and loads itself again. It is made of what the stages flush, at the lowest priority: each
segment of the store is read and validated once. Nothing here blocks a run, or writes what a run reads.
"""

import argparse
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from commands.pilot.job import Settings, load_settings
from commands.watch.generation import Dgm, open_dgm
from commands.watch.page import build_page
from commands.watch.pipeline import Pipeline, read_pipeline, read_values
from commands.watch.trainings import read_trainings
from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.core.files import write_text
from stages.lib.core.sections import PARAMS
from stages.lib.core.seeds import list_trainings
from stages.lib.core.store import store_folder
from stages.lib.evaluation.finished import FOLDER

PAGE = Path("data/watch.html")
SECONDS = 5.0
LOWEST = 19  # priority


@dataclass
class Watch:
    """What is known of a run; the DGMs remember what they have read."""

    store: Path
    dgms: dict[str, Dgm] = field(default_factory=dict)
    settings: Settings | None = None
    _params_changed: float = 0.0  # when params.yaml was changed that the settings are of
    _opened_with: dict[str, object] = field(default_factory=dict)  # by DGM, what its counts hold for

    def update(self, seconds: float | None) -> None:
        """Write the page; it loads itself again after so many seconds, or never."""
        pipeline = read_pipeline()
        self._update_dgms(pipeline)
        trainings = list(read_trainings(list_trainings(pipeline.values)))
        write_text(PAGE, build_page(pipeline, self.dgms, trainings, self.finished_tasks(), seconds))

    def _update_dgms(self, pipeline: Pipeline) -> None:
        """Read what is new; from the beginning for a DGM whose model, prompts or params are others now."""
        settings = self._load_settings()
        names = [str(name) for name in pipeline.values["dgms"]]
        self.dgms = {name: dgm for name, dgm in self.dgms.items() if name in names}
        for name in names:
            files = [*sorted(Path("data/prompts").glob("*")), Path("models") / name / "model.json"]
            made_with = [settings, [file.stat().st_mtime for file in files if file.exists()]]
            if self._opened_with.get(name) != made_with:
                self._opened_with[name] = made_with
                self.dgms.pop(name, None)
                if dgm := open_dgm(name, settings, self.store):
                    self.dgms[name] = dgm
        self.dgms = {name: self.dgms[name] for name in names if name in self.dgms}
        for dgm in self.dgms.values():
            dgm.update()

    def _load_settings(self) -> Settings:
        """Read the settings, again only when params.yaml was changed."""
        changed = PARAMS.stat().st_mtime
        if self.settings is None or changed != self._params_changed:
            self.settings, self._params_changed = load_settings(), changed
        return self.settings

    def finished_tasks(self) -> dict[str, int]:
        """Count the finished tasks of evaluations that have not come to their end, by model."""
        counts: dict[str, int] = {}
        for file in (self.store / FOLDER).glob("*.json"):
            model = read_values(file).get("model", "")
            counts[model] = counts.get(model, 0) + 1
        return counts


def update(watch: Watch, seconds: float | None, before: str) -> str:
    """Write the page; where that cannot be done just now, print why, unless it was said before, and return it."""
    try:
        watch.update(seconds)
    except (UserError, OSError) as error:  # params.yaml is being edited, or a file was replaced as it was read
        if str(error) != before:
            log_line(f"the page stays as it is: {error}")
        return str(error)
    return ""


def main(words: list[str] | None = None) -> None:
    """Write the page until Ctrl-C, and once more at the end."""
    parser = argparse.ArgumentParser(
        prog="python -m commands.watch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--once", action="store_true", help="write the page once")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"between two pages; default: {SECONDS:g}")
    arguments = parser.parse_args(words)
    if not PARAMS.exists():
        raise UserError(f"there is no {PARAMS} here: run it at the root of the repository")
    os.nice(LOWEST)
    watch = Watch(store_folder())
    if arguments.once:
        watch.update(None)
        log_line(f"The page: {PAGE.absolute()}")
        return
    log_line(f"The page: {PAGE.absolute()}, written again every {arguments.seconds:g} s; Ctrl-C ends it")
    try:
        problem = ""
        while True:
            problem = update(watch, arguments.seconds, problem)
            time.sleep(arguments.seconds)
    except KeyboardInterrupt:
        update(watch, None, "")
        log_line(f"The page is written no more: {PAGE.absolute()}")
