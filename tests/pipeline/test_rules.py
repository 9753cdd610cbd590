"""The rules of dvc.yaml that keep the graph exact, and the folders that its stages write."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from stages.lib.core.code import Code
from stages.lib.settings.sections import SECTIONS
from tests.support.graph import ALL_OUTS, STAGES, out_paths
from tests.support.project import ROOT, Project


@pytest.mark.parametrize("name", STAGES)
class TestEveryStage:
    def test_is_a_file_of_its_name_and_has_a_description(self, name: str) -> None:
        module = STAGES[name]["cmd"].split()[2]
        assert STAGES[name]["cmd"].startswith("python -m stages.")
        assert name.split("_")[0] == module.removeprefix("stages.")
        assert STAGES[name]["desc"]

    def test_depends_on_its_section_and_its_code_by_one_file(self, name: str) -> None:
        module = STAGES[name]["cmd"].split()[2].removeprefix("stages.")
        own = [dep for dep in STAGES[name]["deps"] if dep.startswith("data/checked/")]
        besides = {"agreement": ["data/checked/families.json"], "evaluate": ["data/checked/alpaca_eval.json"]}
        assert own == ([] if name == "check" else [f"data/checked/{module}.json", *besides.get(module, [])])

    def test_does_not_mix_cached_and_uncached_outs(self, name: str) -> None:
        uncached = {options.get("cache") is False for _, options in out_paths(STAGES[name])}
        assert len(uncached) == 1

    def test_persists_nothing_but_check_which_must_run_to_remove_leftovers(self, name: str) -> None:
        assert [path for path, options in out_paths(STAGES[name]) if "persist" in options] == (
            ["models/none"] if name == "check" else []
        )

    def test_depends_on_whole_outs_or_on_folders_of_metrics(self, name: str) -> None:
        for dep in STAGES[name]["deps"]:
            for out in ALL_OUTS - {dep}:
                inside, around = dep.startswith(out + "/"), out.startswith(dep + "/")
                assert not inside, f"{dep} is inside the out {out}"
                assert not around or dep.startswith("metrics/"), f"{dep} is around the out {out}"


class TestTheRules:
    def test_no_tracked_block_holds_a_key_that_the_run_cache_forgets(self, built: Project) -> None:
        from dvc.dependency.param import ParamsDependency
        from dvc.repo import Repo

        def walk(value: Any, path: str) -> list[str]:
            items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
            return [
                forgotten
                for key, child in items
                for forgotten in ([f"{path}.{key}"] if key in {"size", "nfiles"} else walk(child, f"{path}.{key}"))
            ]

        with Repo(str(built.root)) as repo:
            tracked = [dep for stage in repo.index.stages for dep in stage.deps if isinstance(dep, ParamsDependency)]
            assert tracked
            assert [bad for dep in tracked for bad in walk(dep.read_params(), dep.fs_path)] == []

    def test_check_writes_a_file_for_every_stage_and_every_section_decides_one(self, built: Project) -> None:
        written = {path for path, _ in out_paths(STAGES["check"])}
        files = {path.stem for path in (ROOT / "stages").glob("[!_]*.py")} - {"check"}
        besides = ("alpaca_eval", "families", "templates", "training_seeds")
        assert written == {f"data/checked/{name}.json" for name in (*files, *besides)} | {"models/none"}
        holders = {*SECTIONS} - {"runtime", "mix"}
        assert all(section in built.json(f"data/checked/{section}.json")["params"] for section in holders)
        assert built.json("data/checked/recipes.json")["params"]["mix"]["size"] == 4

    def test_the_code_of_a_stage_is_one_digest_of_its_file_and_the_modules_that_it_names(self, built: Project) -> None:
        assert re.fullmatch("[0-9a-f]{64}", built.json("data/checked/generate.json")["code"])
        modules = {module.removeprefix("stages.") for module in Code(ROOT).modules("stages.generate")}
        rooms = {
            "core": ("costs", "files", "sections", "store", "text", "types"),
            "records": ("chats", "external_sort", "hashing", "prompts", "responses", "shards"),
            "readers": (
                *("chats", "drafts", "files", "json_rows", "keys", "parquet_rows", "reasons", "rows", "values"),
            ),
            "models": (
                *("api_keys", "catalogue", "chat_template", "control_tokens", "hub", "reply_format", "sampling"),
                *("template_text", "thinking", "turn_ends", "weights"),
            ),
            "engines": (
                *("base", "budget", "echo", "factory", "openai", "openai_client", "openai_replies", "request"),
                *("supervisor", "vllm", "vllm_runtime", "worker"),
                *(f"replicas.{name}" for name in ("cluster", "dispatch", "failures", "pool", "replica")),
            ),
            "generation": (
                *("cached", "conversations", "costs", "failures", "identities", "imports", "place", "reply_formats"),
                *("same_model", "source", "store"),
            ),
        }
        assert modules == {"generate", *(f"lib.{room}.{name}" for room, names in rooms.items() for name in names)}
        assert "stages.lib.training.axolotl_plugin" in Code(ROOT).modules("stages.train")

    @pytest.mark.parametrize("stage", ["generate", "train", "evaluate"])
    def test_no_module_of_screen_or_page_is_in_the_digest_of_a_costly_stage(self, stage: str) -> None:
        modules = Code(ROOT).modules(f"stages.{stage}")
        assert not [name for name in modules if ".console." in name or ".report." in name or name.endswith(".screen")]

    def test_the_data_of_a_module_are_a_part_of_it(self) -> None:
        names = {path.name for path in Code(ROOT).files("stages.lib.report.index")}
        assert {"index.html", "index.css"} <= names
        style = {path.name for path in Code(ROOT).files("stages.lib.report.sections.style")}
        assert style == {"style.py", "style.html"} and "stages.lib.report.sections.style" in Code(ROOT).modules(
            "stages.report"
        )
        assert [path.name for path in Code(ROOT).files("stages.lib.comparison.paper")] == ["paper.py", "paper.yaml"]

    def test_git_ignores_data_and_models_at_the_root_only(self) -> None:
        lines = (ROOT / ".gitignore").read_text().splitlines()
        assert "/data/" in lines and "/models/" in lines

    def test_dvc_links_instead_of_copying_and_reports_to_no_one(self) -> None:
        config = (ROOT / ".dvc" / "config").read_text()
        assert "reflink,hardlink,copy" in config and "analytics = false" in config

    def test_folders_that_stages_depend_on_exist_in_a_fresh_clone(self) -> None:
        folders = {d for e in STAGES.values() for d in e["deps"] if d.startswith("metrics/") and "." not in d}
        assert all((ROOT / folder / ".gitkeep").exists() for folder in folders)


ROWS = ("prompts", "auxiliary/knowledge", "responses/rich", "ledger/rich", "verdicts/rich", "benchmarks", "mixes/blend",
        "manifests/blend", "answers/base", "judgments/base", "pairwise", "similarity", "suitability/base")  # fmt: skip


@pytest.mark.parametrize("out", ROWS)
def test_pandas_and_datasets_read_an_out_of_rows_as_a_folder(built: Project, out: str, tmp_path: Path) -> None:
    folder, cache = str(built.root / "data" / out), str(tmp_path / "cache")
    rows = pq.read_table(folder).num_rows
    assert len(pd.read_parquet(folder)) == rows
    if rows:
        assert len(load_dataset(folder, split="train", cache_dir=cache)) == rows
        assert len(load_dataset("parquet", data_dir=folder, split="train", cache_dir=cache)) == rows
