"""What the page shows of an analysis of replies, and of what not and why."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from stages.lib.core.files import SUMMARY, sha256_folder
from stages.lib.core.types import Json
from stages.lib.records.shards import read_rows
from stages.lib.report.browser import Collection, scored
from stages.lib.report.inputs import Inputs, Reader, most_alike_first, responses
from stages.lib.similarity.pair_scores import PAIRS_FILE

NOT_HERE = {  # sections of the page, and why an analysis has none
    "benchmarks": "replies were read, no model was evaluated",
    "teachers": "nothing was fine-tuned, so nobody was a teacher",
    "runs": "nothing was mixed or trained",
    "throughput": "the replies existed already, and what they took is not known",
}
SECTIONS = {"similarity": "similarity", "judge": "preference"}  # of the page, and what they show


def to_inputs(
    out: Path, source: str, gate: dict[str, Json], skipped: Mapping[str, str], num_conversations: int
) -> Inputs:
    """What the page shows of an analysis in OUT: of the DGMs of `gate`, without the parts in `skipped`."""
    files, dgms = Reader(), list(gate)
    judged = {} if "preference" in skipped else {dgm: out / "judgments" / dgm for dgm in dgms}
    judged = {dgm: folder for dgm, folder in judged.items() if folder.is_dir()}
    found = {
        "prompts": files.json(out / "prompts" / SUMMARY),
        "styling": files.json(out / "styling" / "tables.json"),
        "models": {dgm: files.json(out / "models" / dgm / "model.json") for dgm in dgms},
    }
    if judged:
        found["preference"] = files.json(out / "preference" / "tables.json")
        found["words"] = files.rows(out / "preference" / "words_by_winner_of_all")
    if "similarity" not in skipped:
        found["similarity"] = files.json(out / "similarity" / SUMMARY)
        found["pairs"] = most_alike_first(files.json(out / "similarity" / PAIRS_FILE))
    digests = {dgm: {name: sha256_folder(out / name / dgm) for name in ("responses", "verdicts")} for dgm in dgms}
    sources = {Path(path).relative_to(out).as_posix(): digest for path, digest in files.sources.items()}
    sources |= {f"{name}/{dgm}": digest for dgm, both in digests.items() for name, digest in both.items()}
    return Inputs(
        profile=source,
        dgms=dgms,
        recipes={"dgms": digests, "runs": {}},
        gate=gate,
        collections=[conversations(out, dgms, judged, num_conversations)],
        skipped={section: skipped[part] for section, part in SECTIONS.items() if part in skipped} | NOT_HERE,
        sources=sources,
        **found,
    )


def conversations(out: Path, dgms: Iterable[str], judged: Mapping[str, Path], most: int) -> Collection:
    """The first conversations of each DGM, with the judgments on them."""
    found = responses({dgm: (out / "responses" / dgm, out / "verdicts" / dgm) for dgm in dgms}, most)
    models = {
        dgm: scored(rows, read_rows(judged[dgm])) if dgm in judged else rows for dgm, rows in found.models.items()
    }
    return replace(found, models=models)
