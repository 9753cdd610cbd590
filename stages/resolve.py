"""A catalogue file -> the exact model: the commit of its repository, or the hash of its local weights.

In:  dgms/<id>.yaml
Out: models/<id>/model.json
"""

from pathlib import Path

from stages.lib.hub import commit_of
from stages.lib.model import MODELS, Entry, Model, read_entry, save_model, weights_digest
from stages.lib.params import UserError
from stages.lib.shards import new_folder, sha256_file
from stages.lib.shell import run


def local_digest(entry: Entry, model: str) -> str:
    """Hash the local weights or import file, and hold it against the entry's revision, its pin."""
    path = Path(entry.path or entry.import_)
    if not path.exists():
        raise UserError(f"dgms/{model}.yaml: {path} is not there")
    digest = weights_digest(path) if entry.path else sha256_file(path)
    if entry.revision != digest:
        raise UserError(f"dgms/{model}.yaml: revision is {entry.revision or 'missing'}, but {path} has {digest}")
    return digest


def resolve(model: str, entry: Entry) -> Model:
    """Make the model that an entry names, with the commit or digest that pins it."""
    if entry.repository:
        kind, location, commit = "hub", entry.repository, commit_of(entry.repository, entry.revision or "main", "model")
    elif entry.path:
        kind, location, commit = "local", entry.path, local_digest(entry, model)
    elif entry.import_ == "reference":
        kind, location, commit = "import", "reference", "reference"
    else:
        kind, location, commit = "import", entry.import_, local_digest(entry, model)
    shared = entry.model_dump(include=Model.model_fields.keys() - {"sampling"})
    return Model.model_validate({
        **shared,
        "id": model,
        "kind": kind,
        "location": location,
        "commit": commit,
        "sampling": entry.sampling,
    })


def main(model: str) -> None:
    """Resolve one model of the catalogue."""
    found = resolve(model, read_entry(model))
    with new_folder(MODELS / model) as folder:
        save_model(folder, found)


if __name__ == "__main__":
    run(main)
