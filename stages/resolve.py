"""A catalogue file -> the exact model: the commit of its repository, or the hash of its local weights.

In:  dgms/<id>.yaml, and the chat template that it names
Out: models/<id>/model.json
"""

from pathlib import Path

from stages.lib.console.errors import UserError
from stages.lib.core.files import new_folder, read_json
from stages.lib.core.sections import parse
from stages.lib.models.catalogue import (
    MODELS,
    Entry,
    Model,
    ModelSampling,
    import_digest,
    read_entry,
    read_template,
    save_model,
    weights_digest,
)
from stages.lib.models.hub import Kind, commit_of, find_copy, hub_file
from stages.lib.settings.reading import run

GENERATION_CONFIG = "generation_config.json"


def local_digest(entry: Entry, model: str) -> str:
    """Compute the sha256 of local weights or replies; raise UserError unless it is the entry's revision, its pin."""
    path = Path(entry.path or entry.import_)
    if not path.exists():
        raise UserError(f"dgms/{model}.yaml: {path} is not there")
    digest = weights_digest(path) if entry.path else import_digest(path)
    if entry.revision != digest:
        raise UserError(
            f"dgms/{model}.yaml: revision is {entry.revision or 'missing'}, but {path} has {digest}; "
            f"`make pin ID={model}` writes it"
        )
    return digest


def hub_commit(repository: str, revision: str, model: str, kind: Kind) -> str:
    """Return the commit that a revision is on the hub, or what pins the copy that $REWILD_MODELS holds."""
    copy = find_copy(repository, revision, model, kind)
    return copy.commit if copy else commit_of(repository, revision, kind)


def locate(entry: Entry, model: str) -> dict[str, str]:
    """Return the fields of a model that say where it is, of which kind, and what pins it."""
    if entry.server:
        source = {"kind": "server", "location": entry.server.address, "served_name": entry.server.model}
        return source | {"commit": entry.revision or "unverified"}  # a server cannot prove which weights it has
    if entry.on_hub:
        repository, kind = entry.on_hub
        source = {"kind": "hub" if kind == "model" else "import", "location": entry.repository or entry.import_}
        return source | {"commit": hub_commit(repository, entry.revision or "main", model, kind)}
    if entry.import_ == "reference":
        return {"kind": "import", "location": "reference", "commit": "reference"}
    source = {"kind": "local" if entry.path else "import", "location": entry.path or entry.import_}
    return source | {"commit": local_digest(entry, model)}


def config_file(entry: Entry, model: str, commit: str) -> Path:
    """Return the path of a model's generation_config.json, downloaded where the model is on the hub alone."""
    if entry.path:
        return Path(entry.path) / GENERATION_CONFIG
    copy = find_copy(entry.repository, entry.revision or "main", model)
    return copy.folder / GENERATION_CONFIG if copy else hub_file(entry.repository, GENERATION_CONFIG, commit)


def own_sampling(entry: Entry, model: str, commit: str) -> ModelSampling:
    """Return the entry's sampling, completed from the model's generation_config.json where the entry asks for it.

    As in vLLM, only the values are used: `do_sample: false` does not make the temperature 0.
    """
    if not entry.generation_config:
        return entry.sampling
    file = config_file(entry, model, commit)
    if not file.exists():
        raise UserError(f"dgms/{model}.yaml: generation_config: {file} is not there")
    given = entry.sampling.model_dump(exclude_none=True)
    defaults = {name: value for name, value in read_json(file).items() if name in ModelSampling.model_fields}
    return parse(ModelSampling, defaults | given, f"{file.name} of {model}")


def resolve(model: str, entry: Entry) -> Model:
    """Return the model that an entry describes, with the commit or digest that pins it."""
    source = locate(entry, model)
    shared = entry.model_dump(include=Model.model_fields.keys() - {"sampling"})
    own = {
        "id": model,
        "sampling": own_sampling(entry, model, source["commit"]),
        "chat_template": read_template(entry, f"dgms/{model}.yaml"),
    }
    return Model.model_validate({**shared, **source, **own})


READS = ()


def main(model: str) -> None:
    """Resolve one model of the catalogue."""
    resolved = resolve(model, read_entry(model))
    with new_folder(MODELS / model) as folder:
        save_model(folder, resolved)


if __name__ == "__main__":
    run(main)
