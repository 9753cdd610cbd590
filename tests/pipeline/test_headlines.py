"""The headlines: `dvc metrics show` fits a screen, and its diff and the plots show the effect of a change."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages.lib.core.files import write_json
from stages.lib.report.headlines import OWN_COLUMNS, build_headlines, build_plot_tables, format_csv, name_columns
from stages.lib.style.markup import FEATURES
from tests.support.graph import ALL_OUTS, STAGES
from tests.support.project import ROOT, Project

SCREEN = 160  # characters
WIDTHS = {"demo": SCREEN, "paper": 257, "small": 167}
PROFILES = sorted((ROOT / "profiles").glob("*.yaml"))
PLOTS: list[Any] = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["plots"]
GATE = {"conversations": 9, "kept": 8, "found": {"refusal": 1}}
RUN = {"mix": {"rows": 300, "tokens": 41234, "sources": {}}, "train": {"last_loss": 0.123456, "steps": 30}}
SIMILARITY = {
    "dgms": {name: {"rouge1": {"mean": 0.61234, "n": 5}, "meteor": {"mean": 0.5, "n": 5}} for name in ("a", "b")}
}


def metrics_of_compared(**scores: float | None) -> dict[str, Any]:
    """Return the metrics of a compared model with these benchmark scores."""
    return {"evaluate": scores, "judge": {"score": 7.12345, "turn_1": 7.5, "status": "ok"}}


def style_metrics(*models: str) -> dict[str, Any]:
    """Return the summaries of the style of models, which all write the same."""
    return {name: {**dict.fromkeys(FEATURES, 0.5), "markup": 3.25, "num_answers": 4} for name in models}


STYLING = {"answers": style_metrics("base", "a", "tuned"), "responses": style_metrics("a", "b")}


class TestTheNumbersOfAModel:
    def test_come_from_every_stage_that_measured_it(self) -> None:
        compared = {
            "base": metrics_of_compared(average=0.5),
            "a": metrics_of_compared(average=0.75),
            "tuned": metrics_of_compared(average=0.98765),
        }
        assert build_headlines({"a": GATE, "b": GATE}, {"tuned": RUN}, compared, SIMILARITY, STYLING) == {
            "a": {"kept": 8, "rouge1": 0.6123, "average": 0.75, "judge": 7.123, "markup": 3.25},
            "b": {"kept": 8, "rouge1": 0.6123},
            "tuned": {
                "rows": 300, "tokens": 41234, "loss": 0.1235, "average": 0.9877, "judge": 7.123, "markup": 3.25
            },
            "base": {"average": 0.5, "judge": 7.123, "markup": 3.25},
        }  # fmt: skip

    def test_are_null_where_a_benchmark_failed(self) -> None:
        headlines = build_headlines({}, {}, {"base": metrics_of_compared(average=None, demo_algebra=0.25)}, {}, STYLING)
        assert headlines["base"] == {"average": None, "algebra": 0.25, "judge": 7.123, "markup": 3.25}

    def test_have_no_similarity_when_there_is_only_one_dgm(self) -> None:
        assert build_headlines({"a": GATE}, {}, {}, {}, {"answers": {}}) == {"a": {"kept": 8}}


class TestAColumn:
    def test_is_named_without_the_prefix_of_its_task(self) -> None:
        names = ["average", "leaderboard_math_hard", "demo_algebra", "MTBench", "alpaca_eval"]
        assert list(name_columns(names).values()) == ["average", "math_hard", "algebra", "MTBench", "alpaca_eval"]

    def test_keeps_its_full_name_when_the_short_one_is_taken(self) -> None:
        assert name_columns(["ifeval", "leaderboard_ifeval"]) == {
            "ifeval": "ifeval", "leaderboard_ifeval": "leaderboard_ifeval"
        }  # fmt: skip

    @pytest.mark.parametrize("name", OWN_COLUMNS)
    def test_of_a_benchmark_never_replaces_another_number(self, name: str) -> None:
        assert name_columns([name, f"demo_{name}"]) == {name: f"evaluate.{name}", f"demo_{name}": f"demo_{name}"}


class TestThePlots:
    def test_have_a_row_for_each_model_and_measure_in_the_order_of_the_profile(self) -> None:
        compared = {
            "tuned": metrics_of_compared(average=0.5, quiz=None),
            "base": metrics_of_compared(average=0.25, quiz=1.0),
        }
        numbers = build_headlines({"b": GATE, "a": GATE}, {}, compared, SIMILARITY, STYLING)
        tables = build_plot_tables(numbers, ["b", "a"], compared, SIMILARITY, STYLING)
        assert format_csv(tables["scores"]).splitlines() == [
            "model,measure,value",
            "tuned,average,0.5",
            "base,average,0.25",
            "base,quiz,1.0",
            "tuned,judge,7.123",
            "base,judge,7.123",
        ]
        assert format_csv(tables["similarity"]).splitlines()[1:] == [
            "b,rouge1,0.6123",
            "a,rouge1,0.6123",
            "b,meteor,0.5",
            "a,meteor,0.5",
        ]
        assert format_csv(tables["styling"]).splitlines()[1:6] == [
            "tuned,markup,3.25",
            "base,markup,3.25",
            "b (responses),markup,3.25",
            "a (responses),markup,3.25",
            "tuned,strong,0.5",
        ]

    def test_without_models_are_tables_without_rows(self) -> None:
        tables = build_plot_tables({}, [], [], {}, {"answers": {}, "responses": {}})
        assert {name: format_csv(rows) for name, rows in tables.items()} == dict.fromkeys(
            ("scores", "similarity", "styling"), "model,measure,value\n"
        )

    @pytest.mark.parametrize("plot", PLOTS, ids=str)
    def test_are_outs_drawn_by_a_template_that_exists(self, plot: Any) -> None:
        name, options = next(iter(plot.items())) if isinstance(plot, dict) else (plot, {})
        path = next(iter(options["y"])) if isinstance(options.get("y"), dict) else name
        assert [out for out in ALL_OUTS if out == path or out.startswith(f"{path}/") or path.startswith(f"{out}/")]
        assert not options.get("template") or (ROOT / ".dvc" / "plots" / f"{options['template']}.json").exists()


class TestTheTable:
    """`dvc metrics show`, by DVC itself."""

    def test_shows_only_the_headlines(self) -> None:
        listed = {path for entry in STAGES.values() for metric in entry.get("metrics", []) for path in metric}
        assert listed == {"metrics/headlines", "metrics/comparisons.json"}

    def test_of_the_demo_as_committed_fits_a_screen(self, tmp_path: Path) -> None:
        clone = Project(tmp_path / "clone")
        Project(tmp_path).run("git", "clone", "-q", str(ROOT), str(clone.root))
        table = clone.run("dvc", "metrics", "show")
        assert max_width(table) <= SCREEN
        assert table.count("metrics/headlines/") == len({*clone.params()["compare"], *clone.params()["dgms"]})

    @pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
    def test_of_a_profile_has_its_benchmarks_and_few_other_columns(self, profile: Path, tmp_path: Path) -> None:
        params = YAML(typ="safe").load(profile.read_text())
        evaluate, size = params["evaluate"], params["mix"]["size"]
        scores = dict.fromkeys(["average", *evaluate["averages"], *evaluate["tasks"], *evaluate["evalchemy"]], 12.345)
        numbers = build_headlines(
            {dgm: GATE | {"kept": params["prompts"]["max_prompts"]} for dgm in params["dgms"]},
            {run: RUN | {"mix": {"rows": size, "tokens": 1000 * size}} for run in params["mix"]["runs"]},
            {model: metrics_of_compared(**scores) for model in params["compare"]},
            {"dgms": {dgm: SIMILARITY["dgms"]["a"] for dgm in params["dgms"]}},
            {"answers": style_metrics(*params["compare"])},
        )
        for name, headline in numbers.items():
            write_json(tmp_path / "metrics" / "headlines" / f"{name}.json", headline)
            assert len(headline) <= len(scores) + len(OWN_COLUMNS)
        write_json(tmp_path / "metrics" / "comparisons.json", {"agreement": 0.9123})
        (tmp_path / "dvc.yaml").write_text("metrics: [metrics/headlines, metrics/comparisons.json]\n")
        project = Project(tmp_path)
        project.run("dvc", "init", "-q", "--no-scm")
        assert max_width(project.run("dvc", "metrics", "show")) <= WIDTHS[profile.stem]


def max_width(table: str) -> int:
    """Return the length of the longest line."""
    return max(map(len, table.splitlines()))


def test_a_change_shows_in_the_metrics_and_in_the_plots_of_two_commits(project: Project, tmp_path: Path) -> None:
    before = project.json("metrics/headlines/only.json")
    assert max_width(project.run("dvc", "metrics", "show")) <= SCREEN
    project.edit("params.yaml", "size: 4", "size: 6")
    project.repro()
    project.commit()
    difference = project.run("dvc", "metrics", "diff", "HEAD~1", "HEAD", "--json")
    changed = json.loads(difference)["metrics/headlines/only.json"]
    assert (changed["rows"]["old"], changed["rows"]["new"]) == (before["rows"], 6)
    assert {"rows", "tokens", "average", "knowledge"} <= set(changed) and "size" not in changed
    shown = project.run("dvc", "plots", "diff", "HEAD~1", "HEAD", "-o", str(tmp_path / "plots"))
    assert "failed" not in shown
    page = (tmp_path / "plots" / "index.html").read_text()
    assert page.count("vegaEmbed(") == 2 + 3, "one of each loss curve, scores, style and similarity"
    for point in (("blend", "average"), ("blend", "markup"), ("rich (responses)", "chars"), ("rich", "rougeL")):
        assert {row["rev"] for row in read_plotted_rows(page) if (row.get("model"), row.get("measure")) == point} == {
            "HEAD~1", "HEAD"
        }  # fmt: skip
    assert list((tmp_path / "plots" / "static").glob("HEAD_data_report_charts_*.svg"))


def test_a_clone_without_data_plots_the_metrics_in_git(built: Project, tmp_path: Path) -> None:
    clone = Project(tmp_path / "clone")
    Project(tmp_path).run("git", "clone", "-q", str(built.root), str(clone.root))
    clone.run("dvc", "plots", "show", "scores", "style", "similarity", "-o", "plots")
    assert (clone.root / "plots" / "index.html").read_text().count("vegaEmbed(") == 3
    assert "metrics/headlines/only.json" in clone.run("dvc", "metrics", "show")


def read_plotted_rows(page: str) -> list[dict[str, Any]]:
    """Return the rows that a page of DVC plots."""
    specs = [json.loads(spec) for spec in re.findall(r"var spec = (.*);", page)]
    return [row for spec in specs if spec for row in spec["data"]["values"]]


def test_dvc_accepts_tables_without_rows(project: Project, tmp_path: Path) -> None:
    for name in ("scores", "similarity", "styling"):
        (project.root / "metrics" / f"{name}.csv").write_text("model,measure,value\n")
    shown = project.run("dvc", "plots", "show", "-o", str(tmp_path / "plots"))
    assert "failed" not in shown and "ERROR" not in shown
    assert [row for row in read_plotted_rows((tmp_path / "plots" / "index.html").read_text()) if "measure" in row] == []


def test_the_tables_hold_the_scores_of_the_compared_models(built: Project) -> None:
    with (built.root / "metrics" / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    plotted = {row["model"]: float(row["value"]) for row in rows if row["measure"] == "knowledge"}
    assert plotted == {
        name: built.json(f"metrics/evaluate/{name}.json")["scores"]["demo_knowledge"] for name in plotted
    }
    assert list(plotted) == built.params()["compare"]
