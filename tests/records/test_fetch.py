"""The fetch stage."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages import fetch
from stages.lib.console.errors import UserError
from stages.lib.settings.sections import Hub


def test_the_columns_of_a_dataset_are_fetched_and_a_missing_one_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    Path("owner/set").mkdir(parents=True)
    pq.write_table(pa.table({"a": [1, 2], "b": ["x", "y"]}), "owner/set/train.parquet")
    hub = Hub(repository="owner/set", revision="main", columns=["b"])
    assert fetch.download(hub, fetch.resolve_commit(hub)).to_pydict() == {"b": ["x", "y"]}
    with pytest.raises(UserError, match=r"has no column 'c'; it has: a, b"):
        fetch.download(hub.model_copy(update={"columns": ["c"]}), "main")
