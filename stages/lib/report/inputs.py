"""What a report is about: the ids of its models, what several sections need of them, and the files for the rest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from stages.lib.core.artifacts import require_folder
from stages.lib.core.types import Json
from stages.lib.records.shards import read_rows
from stages.lib.report.conversations import Collection, from_answers, from_pairings, from_responses
from stages.lib.report.files import Files
from stages.lib.report.findings import rank_cells
from stages.lib.report.palette import GREY, colour_models
from stages.lib.report.samples import collect_samples
from stages.lib.settings.sections import Report

MOST_FINE_TUNES = 4  # that have a colour before the base models have one


@dataclass(frozen=True)
class Inputs:
    """What the sections of a page are built of. Lists of ids are in the order of the page."""

    profile: str  # or, of an analysis, the name of its source
    files: Files
    dgms: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    compare: list[str] = field(default_factory=list)
    recipes: Json = field(default_factory=lambda: {"dgms": {}, "runs": {}})  # digests by DGM, sources by run
    gate: dict[str, Json] = field(default_factory=dict)  # counts of conversations by DGM
    collections: list[Collection] = field(default_factory=list)  # conversations to read
    samples: list[Collection] = field(default_factory=list)  # rows of benchmarks to read
    num_examples: int = 0
    is_analysis: bool = False  # of existing replies: no model was run, trained or evaluated
    absent: Mapping[str, str] = field(default_factory=dict)  # folders that an analysis could not fill, and why

    @cached_property
    def evaluations(self) -> dict[str, Json]:
        """The results.json of every compared model."""
        folders = {model: self.files.find_compared(model, "evaluations") for model in self.compare}
        return {model: self.files.read_json(folder / "results.json") for model, folder in folders.items()}

    @cached_property
    def colours(self) -> dict[str, str]:
        """A colour for each DGM, run and auxiliary set (see `colour_models`); grey for the other compared models.

        Where there are too many for that: for the best models, the DGMs of the best fine-tunes and the base models.
        """
        sources = {run: list(self.recipes["runs"][run]["sources"]) for run in self.runs}
        taught = {run: [name for name in names if name in self.dgms] for run, names in sources.items()}
        only = {run: names[0] for run, names in taught.items() if len(names) == 1}
        others = [*self.runs, *(name for names in sources.values() for name in names)]
        return dict.fromkeys(self.compare, GREY) | colour_models(self.dgms, only, others, self.important)

    @cached_property
    def ranked(self) -> list[str]:
        """The models that have the page's first number, the highest first: the average, else the judge's mean score."""
        if self.compare and not self.is_analysis:
            scores = self.files.read_json(self.files.data / "differences" / "tables.json")["scores"]
            return rank_cells({model: scores[model]["average"] for model in scores if "average" in scores[model]})
        if "preference" in self.absent:
            return []
        judged = self.files.read_json(self.files.data / "preference" / "tables.json").get("models", {})
        return rank_cells({model: {"value": score["mean"]} for model, score in judged.items()})

    @property
    def important(self) -> list[str]:
        """The models that have a colour first where there are more models than colours."""
        tuned = [model for model in self.ranked if model in self.runs]
        bases = [model for model in self.compare if model not in {*self.dgms, *self.runs}]
        return [*self.ranked[:1], *tuned[:MOST_FINE_TUNES], *bases, *self.ranked]


def read_inputs(profile: str, dgms: list[str], compare: list[str], settings: Report) -> Inputs:
    """Read what the pipeline made of the ids of DGMs, of compared models and, in metrics/recipes.json, of runs.

    Conversations, the first `settings.num_conversations` of each DGM, are read when they are written on.
    """
    files = Files()
    recipes = files.read_json(files.metrics / "recipes.json")
    files.digests |= {f"data/{name}/{dgm}": sha256 for dgm in dgms for name, sha256 in recipes["dgms"][dgm].items()}
    folders = {dgm: find_responses(dgm, recipes["dgms"][dgm]) for dgm in dgms}
    return Inputs(
        profile=profile,
        files=files,
        dgms=dgms,
        runs=sort_runs(recipes["runs"], compare),
        compare=compare,
        recipes=recipes,
        gate=files.read_json_of(dgms, files.metrics / "gate"),
        collections=[collect_responses(folders, settings.num_conversations), collect_answers(compare, files)],
        samples=collect_evaluated(compare, files),
        num_examples=settings.num_examples,
    )


def sort_runs(runs: Mapping[str, Any], compare: list[str]) -> list[str]:
    """Return the ids of runs: compared ones in the order of comparison, then the others by name."""
    return sorted(runs, key=lambda name: (compare.index(name) if name in compare else len(compare), name))


def find_responses(dgm: str, digests: Mapping[str, str]) -> tuple[Path, Path]:
    """Return the folders of a DGM's responses and of the verdicts on them; raise UserError unless the digests match."""
    responses = require_folder(Path("data/responses", dgm), digests["responses"], f"generate@{dgm}")
    verdicts = require_folder(Path("data/verdicts", dgm), digests["verdicts"], f"validate@{dgm}")
    return responses, verdicts


def collect_responses(folders: Mapping[str, tuple[Path, Path]], num_conversations: int) -> Collection:
    """Return the first conversations of each DGM, given its folders of responses and verdicts."""
    models = {
        dgm: from_responses(
            islice(read_rows(responses), num_conversations), islice(read_rows(verdicts), num_conversations)
        )
        for dgm, (responses, verdicts) in folders.items()
    }
    return Collection("prompts", "Prompts, answered by DGMs", "Language", models)


def collect_answers(compare: list[str], files: Files) -> Collection:
    """Return the compared models' answers, a judge's scores of them and its choices between them."""
    models = {}
    for key in compare:
        answers, judgments = files.find_compared(key, "answers"), files.find_compared(key, "judgments")
        models[key] = from_answers(read_rows(answers), read_rows(judgments))
    title = "Questions, answered by the compared models"
    return Collection("questions", title, "Category", models, from_pairings(read_rows(files.data / "pairwise")))


def collect_evaluated(compare: list[str], files: Files) -> list[Collection]:
    """Return the rows of each benchmark, with the compared models' replies and scores."""
    folders = {model: files.find_compared(model, "evaluations") for model in compare}
    results = {model: files.read_json(folder / "results.json") for model, folder in folders.items()}
    return collect_samples(folders, results)
