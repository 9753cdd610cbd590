"""What is known of the DGMs and of the prompts that they answered, read from the outs of the stages."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from commands.publish.options import Options
from commands.publish.provenance import describe_server, name_path
from stages.lib.console.errors import UserError
from stages.lib.console.faults import suggest
from stages.lib.console.shell import log_line
from stages.lib.core.artifacts import DIGESTS, require_folder
from stages.lib.core.files import ROWS_SUMMARY, read_json
from stages.lib.core.sections import parse
from stages.lib.core.types import Json
from stages.lib.models.catalogue import CATALOGUE, HUB_PREFIX, MODELS, Entry, Model, read_entry
from stages.lib.settings.licenses import License, find_license

DATA = Path("data")
HUB_SETS = "data/hub/"
MADE_BY = {"responses": "generate", "verdicts": "validate", "ledger": "generate"}


@dataclass(frozen=True)
class Dgm:
    """A DGM whose replies are published."""

    id: str
    entry: Entry
    model: Model
    responses: Path
    verdicts: Path
    ledger: Json  # what its replies cost, and how it was asked
    gate: Json  # counts of all its conversations
    digests: Json  # sha256 of its outs

    @property
    def license(self) -> License:
        """The licence of its replies."""
        return find_license(self.entry.license)

    @property
    def is_import(self) -> bool:
        """Whether its replies existed already."""
        return self.model.kind == "import"

    @property
    def source(self) -> str:
        """Where the model, or its replies, come from, without an address or folder of a machine."""
        return describe_model(self.model)

    def to_json(self) -> Json:
        """Return what the provenance says of it."""
        return {
            "name": self.entry.name,
            "source": self.source,
            "commit": self.model.commit,
            "license": self.entry.license,
            "engines": self.ledger["engines"],
            "hardware": self.ledger.get("hardware", []),
            "asked": self.ledger["asked"],
            "sha256": self.digests,
        }


@dataclass(frozen=True)
class Prompts:
    """The prompts that the DGMs answered."""

    source: str  # a hub dataset, or the name of a file or folder
    hub: str  # the repository of that dataset; empty if it is a file or folder
    commit: str  # of that dataset
    license: License
    summary: Json  # counts of the stage `prompts`


def choose_dgms(params: Json, options: Options) -> list[str]:
    """Return the ids of the DGMs to publish, in the order of params.yaml or of the command line.

    Raises UserError for one that is not in params.yaml, or whose replies must not be shared.
    """
    known = params["dgms"]
    for dgm in options.dgms:
        if dgm not in known:
            raise UserError(f"DGM={dgm}: it is not in dgms of params.yaml{suggest(dgm, known)}")
    chosen = list(options.dgms) or list(known)
    closed = [dgm for dgm in chosen if not read_entry(dgm).redistribute]
    if closed and options.restricted:
        raise UserError(
            f"{CATALOGUE}/{closed[0]}.yaml: redistribute: false forbids to share the replies of {closed[0]}: leave it "
            f"out of DGM, or give RESTRICTED=no, which leaves out every such DGM"
        )
    if closed:
        log_line(f"left out, because redistribute is false in their catalogue files: {', '.join(closed)}")
    open_ones = [dgm for dgm in chosen if dgm not in closed]
    if not open_ones:
        raise UserError("no DGM is left to publish: redistribute is false for every one that was asked for")
    return open_ones


def read_dgm(dgm: str) -> Dgm:
    """Read what is known of a DGM; raise UserError when its outs are absent, or not those of the metrics."""
    digests = read_json(DIGESTS / "dgms" / f"{dgm}.json")
    folders = {
        name: require_folder(DATA / name / dgm, digests[name], f"{stage}@{dgm}") for name, stage in MADE_BY.items()
    }
    return Dgm(
        id=dgm,
        entry=read_entry(dgm),
        model=read_model(dgm),
        responses=folders["responses"],
        verdicts=folders["verdicts"],
        ledger=read_json(folders["ledger"] / ROWS_SUMMARY),
        gate=read_json(Path("metrics/gate") / f"{dgm}.json"),
        digests={name: digests[name] for name in MADE_BY},
    )


def read_model(model: str) -> Model:
    """Read models/<model>/model.json, whether or not its weights are here."""
    return parse(Model, read_json(MODELS / model / "model.json"), f"models/{model}/model.json")


def describe_model(model: Model) -> str:
    """Say where a model or its replies come from, without an address or folder of a machine."""
    if model.kind == "server":
        return f"{model.served_name}, behind a server"
    if model.kind == "import":
        given = model.location.removeprefix(HUB_PREFIX)
        return "the replies that came with the prompts" if given == "reference" else f"imported: {name_path(given)}"
    return model.location if model.kind == "hub" else f"local weights, {describe_server(model.location)}"


def read_prompts(params: Json) -> Prompts:
    """Read what is known of the prompts."""
    given = params["prompts"]["source"].rstrip("/")
    hub = params["hub"].get(given.removeprefix(HUB_SETS), {}) if given.startswith(HUB_SETS) else {}
    fetched = Path(given) / ROWS_SUMMARY
    commit = read_json(fetched).get("commit", "") if hub and fetched.exists() else hub.get("revision", "")
    repository = hub.get("repository", "")
    return Prompts(
        source=name_path(repository or given),
        hub="" if Path(repository).is_dir() else repository,
        commit=commit,
        license=find_license(params["prompts"]["license"]),
        summary=read_json(DATA / "prompts" / ROWS_SUMMARY),
    )


def shared_license(licenses: Iterable[License]) -> str:
    """Return the hub's name of the licence that all parts have; `other` where they differ."""
    names = {license_.hub for license_ in licenses}
    return names.pop() if len(names) == 1 else "other"
