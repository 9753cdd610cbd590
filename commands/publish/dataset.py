"""A dataset of DGMs' replies: a config for each DGM, its rows with their verdicts, a card, counts and provenance."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from commands.publish.cards.dataset_card import build_card, build_license
from commands.publish.folder import is_made, new_publication
from commands.publish.options import Options
from commands.publish.provenance import has_changes, hide_folders, read_commit, read_lineage
from commands.publish.rows import PUBLISHED, Choice, read_published
from commands.publish.shards import write_shards
from commands.publish.sources import Dgm, Prompts, choose_dgms, read_dgm, read_prompts
from commands.publish.statistics import Counts, add_up
from stages.lib.console.errors import UserError
from stages.lib.console.needs import check_disk
from stages.lib.console.shell import log_line
from stages.lib.core.files import write_json, write_text
from stages.lib.core.types import Json

STATISTICS = "statistics.json"
SECTIONS = ("profile", "prompts", "generate", "validate", "gate")  # of params.yaml, that decide the rows


def write_dataset(params: Json, options: Options) -> Json:
    """Write the folder of a dataset, unless it is there already; return its provenance."""
    prompts = read_prompts(params)
    dgms = [read_dgm(dgm) for dgm in choose_dgms(params, options)]
    provenance = describe_origin(params, dgms, prompts, options)
    if is_made(options.out, provenance):
        log_line(f"{options.out} is there already, made from the same commit, rows and options")
        return provenance
    check_disk("the dataset", sum(map(folder_bytes, (dgm.responses for dgm in dgms))), existing(options.out))
    with new_publication(options.out, provenance) as folder:
        statistics = {dgm.id: write_config(folder, dgm, options) for dgm in dgms}
        counts: Json = {"total": add_up(each["published"] for each in statistics.values()), "configs": statistics}
        write_json(folder / STATISTICS, counts)
        write_text(folder / "LICENSE.md", build_license(prompts, dgms))
        write_text(folder / "README.md", build_card(provenance, counts, prompts, dgms, options))
    return provenance


def write_config(folder: Path, dgm: Dgm, options: Options) -> Json:
    """Write the rows of one DGM; return their counts, and those of all its conversations."""
    choice, counts = Choice(options.kept, options.toxic), Counts()
    rows = counts.count(read_published(dgm.responses, dgm.verdicts, choice))
    files = write_shards(folder / "data" / dgm.id, rows, PUBLISHED)
    if not files:
        raise UserError(f"{dgm.id}: no row is left to publish; leave it out of DGM, or publish more of its rows")
    log_line(f"{dgm.id}: {counts.rows:,} rows")
    return {
        "published": counts.to_json(),
        "left_out": {reason: number for reason, number in choice.left_out.items() if number},
        "validation": dgm.gate,
        "files": len(files),
        "bytes": sum(file.stat().st_size for file in files),
    }


def describe_origin(params: Json, dgms: Sequence[Dgm], prompts: Prompts, options: Options) -> Json:
    """Return what a dataset is made from and with which options; equal ones give equal bytes."""
    folders = ["data/prompts", *(f"data/{name}/{dgm.id}" for dgm in dgms for name in ("responses", "verdicts"))]
    return {
        "commit": read_commit(),
        "has_uncommitted_changes": has_changes(),
        "project": options.project,
        "repository": options.repository,
        "rows": {"kept_only": options.kept, "toxic_prompts": options.toxic},
        "gated": options.gated,
        "notes": options.notes,
        "prompts": {"source": prompts.source, "commit": prompts.commit, "license": params["prompts"]["license"]},
        "dgms": {dgm.id: dgm.to_json() for dgm in dgms},
        "params": hide_folders({name: params[name] for name in SECTIONS}),
        "md5": read_lineage(folders),
    }


def folder_bytes(folder: Path) -> int:
    """Return the size of a folder's files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def existing(path: Path) -> Path:
    """Return a path, or the nearest folder above it that exists."""
    return next((folder for folder in (path, *path.parents) if folder.exists()), Path())


def missing_licenses(params: Json, dgms: Mapping[str, Json]) -> list[str]:
    """List the keys that should name a licence and do not."""
    keys = [] if params["prompts"]["license"] else ["prompts.license in params.yaml"]
    return keys + [f"license in dgms/{dgm}.yaml" for dgm, known in dgms.items() if not known["license"]]
