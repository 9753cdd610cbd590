"""All that the page shows, by id, as the stages before wrote it; and of every file that was read, its sha256."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from stages.lib.core.artifacts import MADE_BY, compared, require
from stages.lib.core.files import read_json, sha256_file, sha256_folder
from stages.lib.core.types import Json
from stages.lib.records.shards import read_rows, read_table
from stages.lib.report.browser import Collection, of_answers, of_pairings, of_responses
from stages.lib.similarity.pair_scores import PAIRS_FILE

DATA, MODELS, METRICS = Path("data"), Path("models"), Path("metrics")


@dataclass(frozen=True)
class Inputs:
    """What the page can show; all but the profile may be absent."""

    profile: str
    dgms: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    compare: list[str] = field(default_factory=list)
    prompts: Json = field(default_factory=dict)
    recipes: Json = field(default_factory=lambda: {"dgms": {}, "runs": {}})
    gate: dict[str, Json] = field(default_factory=dict)
    mix: dict[str, Json] = field(default_factory=dict)
    train: dict[str, Json] = field(default_factory=dict)
    losses: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # step and loss
    scores: dict[str, dict[str, float | None]] = field(default_factory=dict)
    results: dict[str, Json] = field(default_factory=dict)
    answers: dict[str, list[Json]] = field(default_factory=dict)
    styling: Json = field(default_factory=dict)
    similarity: Json = field(default_factory=dict)
    pairs: Json = field(default_factory=dict)  # of DGMs, the most alike first
    throughput: Json = field(default_factory=lambda: {"dgms": {}})
    judge: dict[str, Json] = field(default_factory=dict)
    preference: Json = field(default_factory=dict)
    words: list[Json] = field(default_factory=list)  # of judgments, the surest first
    agreement: Json = field(default_factory=dict)
    models: dict[str, Json] = field(default_factory=dict)
    mixes: dict[str, str] = field(default_factory=dict)  # digests
    collections: list[Collection] = field(default_factory=list)  # of conversations, to be read
    skipped: dict[str, str] = field(default_factory=dict)  # sections, and why
    sources: dict[str, str] = field(default_factory=dict)  # sha256 of each file, or folder, by its path


class Reader:
    """Reads files and remembers what they were."""

    def __init__(self) -> None:
        self.sources: dict[str, str] = {}

    def json(self, path: Path) -> Any:  # noqa: ANN401  (JSON is what it is)
        """A JSON file; raises UserError when it is absent."""
        content = read_json(path)
        self.sources[path.as_posix()] = sha256_file(path)
        return content

    def by_id(self, folder: Path, ids: list[str]) -> dict[str, Any]:
        """The JSON files of these ids."""
        return {key: self.json(folder / f"{key}.json") for key in ids}

    def rows(self, folder: Path) -> list[Json]:
        """All rows of a folder of parquet."""
        self.sources[folder.as_posix()] = sha256_folder(folder)
        rows: list[Json] = read_table(folder).to_pylist()
        return rows

    def losses(self, path: Path) -> list[tuple[float, float]]:
        """Step and loss of every step that logged one; none when there is no curve."""
        if not path.exists():
            return []
        self.sources[path.as_posix()] = sha256_file(path)
        with path.open(encoding="utf-8", newline="") as file:
            return [(float(row["step"]), float(row["loss"])) for row in csv.DictReader(file) if row.get("loss")]


def read_inputs(params: Mapping[str, Any], num_conversations: int) -> Inputs:
    """Read what the pipeline wrote, by the ids in params and recipes; folders only as the digests name them.

    Conversations are read when they are written on, the first so many of each DGM.
    """
    read = Reader()
    dgms, compare, recipes = params["dgms"], params["compare"], read.json(METRICS / "recipes.json")
    runs = sorted(recipes["runs"], key=lambda name: (compare.index(name) if name in compare else len(compare), name))
    trained = read.by_id(METRICS / "digests/runs", runs)
    described = {key: MODELS / key / "model.json" for key in dict.fromkeys([*dgms, *compare, *runs])}
    tables = {name: read.json(DATA / name / "tables.json") for name in ("agreement", "preference", "styling")}
    folders = {name: {key: compared(key, name) for key in compare} for name in MADE_BY}
    return Inputs(
        profile=params["profile"],
        dgms=dgms,
        runs=runs,
        compare=compare,
        recipes=recipes,
        gate=read.by_id(METRICS / "gate", dgms),
        mix=read.by_id(METRICS / "mix", runs),
        train=read.by_id(METRICS / "train", runs),
        mixes={key: digest["mix"] for key, digest in trained.items()},
        losses={key: read.losses(METRICS / "loss" / f"{key}.csv") for key in runs},
        scores=read.by_id(METRICS / "evaluate", compare),
        judge=read.by_id(METRICS / "judge", compare),
        results={key: read.json(folder / "results.json") for key, folder in folders["evaluations"].items()},
        answers={key: read.rows(folder) for key, folder in folders["answers"].items()},
        **tables,
        words=read.rows(DATA / "preference" / "words_by_winner_of_all"),
        similarity=read.json(DATA / "similarity" / "summary.json"),
        pairs=most_alike_first(read.json(DATA / "similarity" / PAIRS_FILE)),
        models={key: read.json(path) for key, path in described.items() if path.exists()},
        prompts=read.json(DATA / "prompts" / "summary.json"),
        throughput=read.json(DATA / "throughput" / "summary.json"),
        collections=[
            responses({dgm: required(dgm, recipes["dgms"][dgm]) for dgm in dgms}, num_conversations),
            answered(folders["answers"], folders["judgments"]),
        ],
        sources=read.sources
        | {f"data/{name}/{dgm}": digest for dgm in dgms for name, digest in recipes["dgms"][dgm].items()},
    )


def most_alike_first(table: Mapping[str, Any]) -> Json:
    """Pairs of DGMs, or DGMs, by their mean ROUGE-1."""
    return dict(sorted(table.items(), key=lambda item: -(item[1]["rouge1"]["mean"] or 0)))


def required(dgm: str, digests: Mapping[str, str]) -> tuple[Path, Path]:
    """The folders of a DGM's responses and of the verdicts on them, as recipes.json names them."""
    made_by = {"responses": f"generate@{dgm}", "verdicts": f"validate@{dgm}"}
    one, other = (require(DATA / name / dgm, digests[name], stage) for name, stage in made_by.items())
    return one, other


def responses(folders: Mapping[str, tuple[Path, Path]], most: int) -> Collection:
    """The first conversations of DGMs, from their folders of responses and verdicts."""
    models = {
        dgm: of_responses(islice(read_rows(rows), most), islice(read_rows(verdicts), most))
        for dgm, (rows, verdicts) in folders.items()
    }
    return Collection("prompts", "Prompts, answered by DGMs", "Language", models)


def answered(answers: Mapping[str, Path], judgments: Mapping[str, Path]) -> Collection:
    """The compared models' answers, what a judge said of them, and its choices between them."""
    models = {key: of_answers(read_rows(rows), read_rows(judgments[key])) for key, rows in answers.items()}
    title = "Questions, answered by the compared models"
    return Collection("questions", title, "Category", models, of_pairings(read_rows(DATA / "pairwise")))
