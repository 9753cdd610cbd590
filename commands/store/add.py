"""Fill the store from responses that exist: those of data/, or those that the remote of a repository keeps."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import pyarrow as pa
import pyarrow.compute as pc
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc.scm import SCMError

from commands.doctor.objects.hashes import digest
from commands.store.rows import read_all, row_keys
from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line, progress
from stages.lib.core.files import read_json
from stages.lib.core.sections import parse
from stages.lib.generation.costs import COST, attribute_no_cost
from stages.lib.generation.same_model import describe_source, record_sources
from stages.lib.generation.store import SEGMENT, Store
from stages.lib.models.catalogue import Model
from stages.lib.records.responses import RESPONSE, TokenKind, count_tokens
from stages.lib.records.shards import read_table

RESPONSES, LEDGERS, MODELS = Path("data/responses"), Path("data/ledger"), Path("models")
LACKS = "neither the cache nor the remote of its repository has it"


def list_dgms(root: Path = Path()) -> list[str]:
    """Return the DGMs that have responses below a folder, by name."""
    return sorted(path.name for path in (root / RESPONSES).glob("[!.]*") if path.is_dir())


def add(store: Store, root: Path = Path()) -> None:
    """Put the conversations of data/responses/<dgm> below a folder that a store lacks into it, and note their model."""
    rows = read_table(root / RESPONSES / store.dgm, RESPONSE.names)
    ledger = root / LEDGERS / store.dgm
    costs = read_table(ledger) if ledger.exists() else zero_ledger(rows)
    if not costs["identity"].equals(rows["identity"]):
        raise UserError(
            f"{LEDGERS / store.dgm} and {RESPONSES / store.dgm} come from different runs: "
            f"`dvc pull generate@{store.dgm}`"
        )
    for name, _ in COST:
        rows = rows.append_column(name, costs[name])
    known = row_keys(read_all(store)[0]).combine_chunks()
    new = rows.filter(pc.invert(pc.is_in(row_keys(rows), value_set=known)))
    with store.exclusive():
        if new.num_rows:
            store.write(new.cast(SEGMENT))
        record_sources(store.folder, [describe_source(model) for model in read_model(root, store.dgm)])
    log_line(f"{store.dgm}: {new.num_rows} conversations added, {rows.num_rows - new.num_rows} were there")


def read_model(root: Path, dgm: str) -> Iterator[Model]:
    """Yield the model that models/<dgm>/model.json below a folder describes, if it is there."""
    path = root / MODELS / dgm / "model.json"
    if path.exists():
        yield parse(Model, read_json(path), str(path))


def zero_ledger(rows: pa.Table) -> pa.Table:
    """Build the ledger of conversations whose tokens are known, and no other cost."""
    turns = rows["turns"].to_pylist()
    costs = [{name: count_tokens(chat, name) for name in get_args(TokenKind)} | {"cached_tokens": 0} for chat in turns]
    ledger = pa.Table.from_pylist(attribute_no_cost(costs), schema=pa.schema(COST))
    return ledger.append_column("identity", rows["identity"])


@contextmanager
def downloaded(repository: str, dgms: Sequence[str]) -> Iterator[Path]:
    """Yield a folder with the responses, ledgers and models of DGMs, or of all, from a repository's cache or remote.

    `repository` is a path or address of a git repository, with @<commit, branch or tag> after it for another than its
    newest state. Raises UserError for what is not there, and for a file whose md5 is not what its dvc.lock says.
    """
    address, _, revision = repository.partition("@") if "@" in repository.rpartition("/")[2] else (repository, "", "")
    try:
        files = DVCFileSystem(url=address, rev=revision or None)
        names = dgms or sorted(Path(path).name for path in files.ls(f"/{RESPONSES}", detail=False))
        with TemporaryDirectory() as folder:
            for name in names:
                for parent in (RESPONSES, LEDGERS, MODELS):
                    download(files, (parent / name).as_posix(), Path(folder), required=parent == RESPONSES)
            yield Path(folder)
    except (DvcException, SCMError) as error:
        raise UserError(f"{repository}: {' '.join(str(error).split())}") from None
    except FileNotFoundError as error:
        raise UserError(f"{repository} has no {str(error.filename or error).lstrip('/')}: {LACKS}") from None


def download(files: DVCFileSystem, out: str, folder: Path, *, required: bool) -> None:
    """Copy an out to a folder and compare each file with the md5 that DVC knows; raise UserError for another."""
    if not required and not files.exists(f"/{out}"):
        return
    infos = [info for info in files.find(f"/{out}", detail=True).values() if info.get("type") == "file"]
    for info in progress(infos, desc=out, unit="files"):
        target = folder / info["name"].lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        files.get_file(info["name"], str(target))
        if digest(target, "md5") != info.get("dvc_info", {}).get("md5"):
            raise UserError(f"{info['name'].lstrip('/')} is corrupt in the remote: `make doctor ALL=yes` there")
