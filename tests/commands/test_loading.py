"""Every out loads with one line in pandas, polars, duckdb and datasets, to the rows that were written."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import nbformat
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import disable_progress_bars, load_dataset
from nbclient import NotebookClient

from commands.columns import ROWS
from tests.support.outs import link_outs, place_of
from tests.support.project import ROOT, Project

NOTEBOOK = ROOT / "docs" / "data.ipynb"
PYTHON = re.compile(r"^```python\n(.+?)^```", re.MULTILINE | re.DOTALL)


PLACES = [place_of(place) for rows in ROWS for place in rows.place.split(", ")]
WORDS = [f"data/preference/words_by_{kind}" for kind in ("model", "winner", "winner_of_all")]


def with_pandas(path: str, schema: pa.Schema) -> list[Any]:
    rows: list[Any] = pa.Table.from_pandas(pd.read_parquet(path), schema, preserve_index=False).to_pylist()
    return rows


def with_polars(path: str, schema: pa.Schema) -> list[Any]:
    return pl.read_parquet(path if path.endswith(".parquet") else f"{path}/*.parquet").to_dicts()


def with_duckdb(path: str, schema: pa.Schema) -> list[Any]:
    found = duckdb.sql(f"from '{path if path.endswith('.parquet') else f'{path}/*.parquet'}'")
    assert found is not None
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def with_datasets(path: str, schema: pa.Schema) -> list[Any]:
    source = {"data_files": path} if path.endswith(".parquet") else {"data_dir": path}
    return list(load_dataset("parquet", **source, split="train"))


@pytest.fixture(scope="module")
def outs(built: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the outs of the small project. Not to be changed."""
    folder = tmp_path_factory.mktemp("outs")
    link_outs(folder, built)
    return folder


@pytest.fixture(autouse=True)
def in_outs(outs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in the folder with the outs, with a cache of datasets of its own."""
    monkeypatch.chdir(outs)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    disable_progress_bars()


@pytest.mark.parametrize("load", [with_pandas, with_polars, with_duckdb, with_datasets])
def test_every_out_loads_to_the_rows_that_were_written(load: Callable[[str, pa.Schema], list[Any]]) -> None:
    for place in [*PLACES, *WORDS]:
        table = pq.read_table(place)
        assert load(place, table.schema) == table.to_pylist(), place


def test_the_lines_of_the_page_run() -> None:
    blocks = PYTHON.findall((ROOT / "docs" / "data.md").read_text())
    assert len(blocks) == 1
    text = blocks[0]
    for demo, own in {"demo-rich": "rich", "rewild": "blend"}.items():
        text = text.replace(demo, own)
    exec(compile(text, "docs/data.md", "exec"), {})


def test_the_notebook_runs_and_draws_a_plot() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert "image/png" in outputs[-1]["data"]
    assert [output for output in outputs if output.output_type == "stream" and output.name == "stderr"] == []
    tables = [output["data"]["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert len(tables) == 5


def test_the_notebook_is_kept_without_outputs_and_paths() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell for cell in code if cell.outputs or cell.execution_count] == []
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert not re.search(r"[\"' ]/\w+/", NOTEBOOK.read_text())
