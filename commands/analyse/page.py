"""Builds the inputs of the page of an analysis: the replies of the DGMs, without a pipeline around them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from stages.lib.core.files import sha256_folder
from stages.lib.core.types import Json
from stages.lib.records.shards import read_rows
from stages.lib.report.conversations import Collection, add_judgments
from stages.lib.report.files import Files
from stages.lib.report.inputs import Inputs, collect_responses
from stages.lib.settings.sections import Report


def build_inputs(out: Path, source: str, gate: dict[str, Json], absent: Mapping[str, str], settings: Report) -> Inputs:
    """Return the inputs of the page of an analysis in `out` of the DGMs of `gate`.

    `absent` holds the parts that could not be made (`similarity`, `preference`), and why.
    """
    digests = {dgm: {name: sha256_folder(out / name / dgm) for name in ("responses", "verdicts")} for dgm in gate}
    files = Files(root=out, data=out, metrics=out / "metrics", models=out / "models")
    files.digests |= {f"{name}/{dgm}": digest for dgm, both in digests.items() for name, digest in both.items()}
    judged = [dgm for dgm in gate if "preference" not in absent and (out / "judgments" / dgm).is_dir()]
    return Inputs(
        profile=source,
        files=files,
        dgms=list(gate),
        recipes={"dgms": digests, "runs": {}},
        gate=gate,
        collections=[collect_conversations(out, list(gate), judged, settings.num_conversations)],
        num_examples=settings.num_examples,
        is_analysis=True,
        absent=absent,
    )


def collect_conversations(out: Path, dgms: list[str], judged: list[str], num_conversations: int) -> Collection:
    """Return the first conversations of each DGM, with the judgments of those that were judged."""
    folders = {dgm: (out / "responses" / dgm, out / "verdicts" / dgm) for dgm in dgms}
    collection = collect_responses(folders, num_conversations)
    scored = {dgm: add_judgments(collection.models[dgm], read_rows(out / "judgments" / dgm)) for dgm in judged}
    return replace(collection, models={**collection.models, **scored})
