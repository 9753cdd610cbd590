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


def to_inputs(out: Path, source: str, gate: dict[str, Json], absent: Mapping[str, str]) -> Inputs:
    """Return the inputs of the page of an analysis in `out` of the DGMs of `gate`, without conversations.

    `absent` holds the parts that could not be made, and why.
    """
    digests = {dgm: {name: sha256_folder(out / name / dgm) for name in ("responses", "verdicts")} for dgm in gate}
    files = Files(root=out, data=out, metrics=out / "metrics", models=out / "models")
    files.digests |= {f"{name}/{dgm}": digest for dgm, both in digests.items() for name, digest in both.items()}
    return Inputs(
        profile=source,
        files=files,
        dgms=list(gate),
        recipes={"dgms": digests, "runs": {}},
        gate=gate,
        is_analysis=True,
        absent=absent,
    )


def collect_conversations(inputs: Inputs, num_conversations: int) -> Collection:
    """Return the first conversations of each DGM, with the judgments of them."""
    data = inputs.files.data
    folders = {dgm: (data / "responses" / dgm, data / "verdicts" / dgm) for dgm in inputs.dgms}
    collection = collect_responses(folders, num_conversations)
    models = dict(collection.models)
    for dgm, conversations in collection.models.items():
        judgments = data / "judgments" / dgm
        if "preference" not in inputs.absent and judgments.is_dir():
            models[dgm] = add_judgments(conversations, read_rows(judgments))
    return replace(collection, models=models)
