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
from stages.lib.models.hub import commit_of, hub_file
from stages.lib.settings.reading import run

GENERATION_CONFIG = "generation_config.json"


def local_digest(entry: Entry, model: str) -> str:
    """Hash the local weights or replies, and hold it against the entry's revision, its pin."""
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


def locate(entry: Entry, model: str) -> dict[str, str]:
    """Where a model is, of which kind, and what pins it."""
    if entry.server:
        place = {"kind": "server", "location": entry.server.address, "served_name": entry.server.model}
        return place | {"commit": entry.revision or "unverified"}  # a server proves nothing
    if entry.on_hub:
        repository, kind = entry.on_hub
        place = {"kind": "hub" if kind == "model" else "import", "location": entry.repository or entry.import_}
        return place | {"commit": commit_of(repository, entry.revision or "main", kind)}
    if entry.import_ == "reference":
        return {"kind": "import", "location": "reference", "commit": "reference"}
    place = {"kind": "local" if entry.path else "import", "location": entry.path or entry.import_}
    return place | {"commit": local_digest(entry, model)}


def own_sampling(entry: Entry, model: str, commit: str) -> ModelSampling:
    """The entry's sampling; where it says so, filled with the model's own generation_config.json.

    As in vLLM, only the values are taken: `do_sample: false` does not make the temperature 0.
    """
    if not entry.generation_config:
        return entry.sampling
    local = Path(entry.path) / GENERATION_CONFIG
    file = local if entry.path else hub_file(entry.repository, GENERATION_CONFIG, commit)
    if not file.exists():
        raise UserError(f"dgms/{model}.yaml: generation_config: {file} is not there")
    said = entry.sampling.model_dump(exclude_none=True)
    found = {name: value for name, value in read_json(file).items() if name in ModelSampling.model_fields}
    return parse(ModelSampling, found | said, f"{file.name} of {model}")


def resolve(model: str, entry: Entry) -> Model:
    """Make the model that an entry names, with the commit or digest that pins it."""
    place = locate(entry, model)
    shared = entry.model_dump(include=Model.model_fields.keys() - {"sampling"})
    own = {
        "id": model,
        "sampling": own_sampling(entry, model, place["commit"]),
        "chat_template": read_template(entry, f"dgms/{model}.yaml"),
    }
    return Model.model_validate({**shared, **place, **own})


READS = ()


def main(model: str) -> None:
    """Resolve one model of the catalogue."""
    found = resolve(model, read_entry(model))
    with new_folder(MODELS / model) as folder:
        save_model(folder, found)


if __name__ == "__main__":
    run(main)
