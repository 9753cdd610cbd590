"""What runs after which change, proved with DVC itself."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.hub import serve
from tests.support.project import BIN, ROOT, Project, cached, ran, write_model

READING = ("suitability@base", "digest_suitability@base")  # the base model reads the replies of every DGM


def test_a_second_repro_runs_nothing(project: Project) -> None:
    assert project.repro() == []


def test_git_holds_the_numbers_of_a_run_and_nothing_that_dvc_or_the_store_keeps(project: Project) -> None:
    assert list((project.root / ".dvc" / "store").rglob("*.parquet"))
    tracked = project.run("git", "ls-files").split()
    assert "metrics/recipes.json" in tracked
    assert [name for name in tracked if name.startswith((".dvc/", "data/", "models/"))] == [
        ".dvc/.gitignore",
        ".dvc/config",
        ".dvc/plots/panels.json",
    ]


def test_without_a_judge_nobody_is_asked_and_the_page_says_so(project: Project) -> None:
    stages = project.experiment("judge.model=none")
    assert {"judge", "digest_model@base", "pairwise", "preference", "agreement", "report"} <= set(stages)
    assert not [stage for stage in stages if stage.startswith(("generate", "answers", "evaluate", "train", "resolve"))]
    judged = project.json("metrics/judge/base.json")
    assert judged == {"score": None, "judge": "none", "status": "skipped", "ok": 0, "failed": 0, "unanswered": 0}
    assert project.json("data/pairwise/.summary.json")["status"] == "skipped"
    assert project.json("metrics/headlines/base.json")["judge"] is None
    assert set(project.json("metrics/preference.json")["flips"].values()) <= {None}
    page = (project.root / "data/report/index.html").read_text()
    assert page.count("nobody judged, as judge.model is none") == 1, "in the list at the end"
    assert project.repro() == []
    project.experiment("judge.model=base")
    assert project.json("metrics/judge/base.json")["status"] == "ok"


def test_a_comment_in_params_runs_only_the_check(project: Project) -> None:
    (project.root / "params.yaml").write_text((project.root / "params.yaml").read_text() + "# a comment\n")
    assert project.repro() == ["check"]


def test_a_comment_in_the_code_runs_only_the_check_and_an_edit_runs_what_it_decides(project: Project) -> None:
    project.edit(
        "stages/lib/engines/base.py",
        "class Request(NamedTuple):\n",
        "class Request(NamedTuple):  # a comment\n",
    )
    assert project.repro() == ["check"]
    project.edit("stages/lib/engines/echo.py", 'description = "echo"', 'description = "echo 2"')
    output = project.run("dvc", "repro")
    assert {"generate@rich", "generate@plain", "answers@base"} <= set(ran(output))
    assert "12 conversations are in the store, 0 to generate" in output
    assert not [stage for stage in ran(output) if stage.startswith(("prompts", "train", "mix", "similarity"))]


def test_a_time_that_changed_runs_only_what_shows_it(project: Project) -> None:
    assert project.json("metrics/costs/train/only.json") == {"seconds": 7200.0, "hardware": "H100 x2", "gpus": 2}
    totals = project.json("metrics/throughput.json")["totals"]["models"]
    assert totals["only"]["train"] == {"seconds": 7200.0, "gpu_hours": 4.0, "money": None}
    file = project.root / "data/costs/train/only.json"
    text = file.read_text().replace("7200", "3600")
    file.unlink()  # DVC's cache may have a hard link to it
    file.write_text(text)
    project.run("dvc", "commit", "--force", "train@only")
    assert set(project.repro()) == {"digest_run@only", "throughput", "digest_comparison", "report"}
    assert project.json("metrics/throughput.json")["totals"]["models"]["only"]["train"]["gpu_hours"] == 2.0


def test_a_new_temperature_of_one_dgm_runs_its_branch_only(project: Project) -> None:
    before = project.json("metrics/recipes.json")
    project.edit("dgms/rich.yaml", "0.7", "0.9")
    stages = project.repro()
    assert {"resolve@rich", "generate@rich", "validate@rich", "gate@rich", "recipes", "mix@blend"} <= set(stages)
    assert not [stage for stage in stages if stage.endswith(("@plain", "@only", "@base")) and stage not in READING]
    after = project.json("metrics/recipes.json")
    assert before["runs"]["only"] == after["runs"]["only"] and before["runs"]["blend"] != after["runs"]["blend"]


def test_a_changed_chat_template_resolves_its_own_model_only(project: Project) -> None:
    (project.root / "dgms" / "templates").mkdir()
    (project.root / "dgms" / "templates" / "own.jinja").write_text("{{ messages }}")
    file = project.root / "dgms" / "rich.yaml"
    file.write_text(file.read_text() + "chat_template: dgms/templates/own.jinja\n")
    assert "resolve@rich" in project.repro()
    assert project.json("models/rich/model.json")["chat_template"] == "{{ messages }}"
    project.edit("dgms/templates/own.jinja", "messages", "messages[0]")
    stages = project.repro()
    assert {"check", "resolve@rich", "generate@rich"} <= set(stages)
    assert not [stage for stage in stages if stage.endswith(("@plain", "@only", "@base")) and stage not in READING]


def test_a_set_of_the_hub_is_a_dgm_like_any_other_and_is_downloaded_once(project: Project) -> None:
    published = (project.root / "demo" / "prompts.parquet").read_bytes()
    (project.root / "dgms" / "set.yaml").write_text("name: S\nimport: hub:lab/set\nrevision: main\n")
    params = project.params()
    params["validate"]["off_topic_words"] = 0  # the replies of the test's prompts are about nothing
    project.write_params(params | {"dgms": [*params["dgms"], "set"]})
    with serve({"datasets/lab/set": {"data/train.parquet": published}}) as hub:
        home = str(project.root / "hf")
        output = project.run("dvc", "repro", HF_ENDPOINT=hub.address, HF_HOME=home, HF_HUB_OFFLINE="0")
    assert {"resolve@set", "generate@set", "validate@set", "gate@set"} <= set(ran(output))
    assert not [stage for stage in ran(output) if stage.startswith(("generate", "resolve")) and "@set" not in stage]
    assert project.json("data/responses/set/.summary.json")["import"] == {"rows": 12, "imported": 12, "left_out": {}}
    assert project.json("metrics/gate/set.json")["kept"] == 12
    assert project.repro() == []


def test_a_new_dgm_runs_alone_and_when_it_comes_back_only_its_verdicts_are_counted(project: Project) -> None:
    write_model(project.root, "third")
    stages = project.experiment("dgms=[rich,plain,third]")
    assert {stage for stage in stages if "@" in stage} == {
        "resolve@third", "generate@third", "validate@third", "gate@third", *READING
    }  # fmt: skip
    stages = project.experiment("dgms=[rich,plain]")
    assert [stage for stage in stages if "@" in stage] == ["digest_suitability@base"]  # the numbers of these two
    stages = project.experiment("dgms=[rich,plain,third]")
    gate = "gate@third"  # whose numbers in metrics/ were removed
    assert [stage for stage in stages if "@" in stage] == [gate, "digest_suitability@base"]


def test_mix_size_is_never_answered_with_the_result_of_another_size(project: Project) -> None:
    rows = {4: project.json("metrics/mix/only.json")["rows"]}
    for size in (6, 8):
        stages = project.experiment(f"mix.size={size}")
        assert {"recipes", "mix@blend", "mix@only", "train@only", "answers@only", "evaluate@only"} <= set(stages)
        assert not [stage for stage in stages if stage.startswith(("prompts", "generate", "validate", "auxiliary"))]
        rows[size] = project.json("metrics/mix/only.json")["rows"]
    assert rows == {4: 4, 6: 6, 8: 8}
    output = project.run("dvc", "exp", "run", "-S", "mix.size=6")
    assert {"mix@only", "train@only", "evaluate@only"} <= set(cached(output)) and "mix@only" not in ran(output)
    assert project.json("metrics/mix/only.json")["rows"] == 6
    diff = project.run("dvc", "metrics", "diff")
    assert "metrics/headlines/only.json" in diff and "rows" in diff.split()
    diff = project.run("dvc", "metrics", "diff", "--targets", "metrics/mix/only.json")
    assert "sources.plain.rows" in diff


def test_a_mix_larger_than_what_exists_takes_all_and_says_so(project: Project) -> None:
    output = project.run("dvc", "exp", "run", "-S", "mix.size=500000")
    assert "plain has 12 rows, 500000 were asked for; on_shortage: cap" in output
    mix = project.json("metrics/mix/only.json")
    assert (mix["asked"]["plain"]["rows"], mix["sources"]["plain"]["rows"]) == (500000, 12)
    assert not [stage for stage in project.experiment("mix.size=600000") if stage.startswith(("mix", "train"))]


def test_on_shortage_error_names_what_there_is(project: Project) -> None:
    project.run("dvc", "exp", "run", "-S", "mix.on_shortage=error", "-S", "mix.size=4")
    output = project.run("dvc", "exp", "run", "-S", "mix.size=500000", code=255)
    assert "asks rich for 250000 rows, but it has 12" in output


def test_a_changed_or_added_run_is_the_only_one_that_runs(project: Project) -> None:
    stages = project.experiment("mix.runs.blend.auxiliary.knowledge=2")
    assert {stage for stage in stages if stage.endswith(("@blend", "@only"))} == {
        "mix@blend", "train@blend", "digest_run@blend", "answers@blend", "evaluate@blend", "digest_model@blend"
    }  # fmt: skip
    stages = project.experiment("+mix.runs.new={base: base, dgms: {rich: 1.0}, auxiliary: {}, rows: 3}")
    assert [stage for stage in stages if "@" in stage] == ["mix@new", "train@new", "digest_run@new"]


def test_one_model_more_to_compare_runs_its_own_stages_and_the_judge_once(project: Project) -> None:
    before = project.json("metrics/digests/judgments.json")
    output = project.run("dvc", "exp", "run", "-S", "compare=[base,blend,only,rich]")
    stages = ran(output)
    assert {stage for stage in stages if "@" in stage} == {
        "answers@rich", "digest_answers@rich", "evaluate@rich", "digest_model@rich"
    }  # fmt: skip
    assert stages.count("judge") == 1 and "rich: score 7.00, n = 4, by base (4 of 4)" in output
    after = project.json("metrics/digests/judgments.json")
    assert set(after) - set(before) == {"rich"} and before.items() <= after.items()


def training_of(stages: list[str]) -> set[str]:
    """Those of the stages that train or evaluate."""
    return {stage for stage in stages if stage.startswith(("mix", "train", "evaluate", "answers", "judge"))}


def write_seeds(project: Project, seeds: list[int]) -> None:
    """Give the run `only` these seeds."""
    params = project.params()
    params["mix"]["runs"]["only"]["seeds"] = seeds
    project.write_params(params)


def test_a_seed_more_or_less_trains_that_one_alone(project: Project) -> None:
    output = project.run("dvc", "exp", "run", "-S", "+mix.runs.only.seeds=[42,43]", code=255)
    line = "metrics/seeds.json listed other seeds than params.yaml and is written again: run the same command again"
    assert f"check: {line}\n" in output and ran(output) == ["check"]
    stages = project.repro()
    assert training_of(stages) == {"train_seed@only-seed43", "evaluate_seed@only-seed43"}
    assert "digest_seed@only-seed43" in stages and "pairwise" not in stages
    models = [project.json(f"models/{model}/model.json")["commit"] for model in ("only", "only-seed43")]
    assert len({*models}) == 2
    assert project.json("metrics/train/only-seed43.json")["steps"] == 2
    assert project.json("metrics/evaluate/only-seed43.json")["n"] == {"demo_knowledge": 1}
    assert list(project.json("metrics/digests/seeds/only-seed43.json")) == ["evaluations"]
    project.commit()
    assert project.repro() == []

    write_seeds(project, [41, 43])  # the list of the others stays the same
    stages = project.repro()
    assert {"train@only", "evaluate@only", "answers@only"} <= set(stages)
    assert not [stage for stage in stages if stage.endswith(("@only-seed43", "@blend", "@base"))]

    write_seeds(project, [42])
    assert project.repro(code=255) == ["check"] and project.json("metrics/seeds.json") == {"seeds": {}}
    output = project.run("dvc", "repro")
    assert training_of(ran(output)) == set() and {"train@only", "evaluate@only"} <= set(cached(output))
    assert not list((project.root / "metrics").rglob("*seed43*"))


def test_the_seed_of_the_section_trains_the_runs_without_seeds_alone(project: Project) -> None:
    write_seeds(project, [42])
    project.write_params(project.params() | {"train": project.params()["train"] | {"seed": 5}})
    assert {stage for stage in project.repro() if stage.startswith("train")} == {"train@blend"}


def test_a_list_of_seeds_that_git_changed_is_noticed(project: Project) -> None:
    seeds = {"blend-seed9": {"run": "blend", "base": "base", "seed": 9}}
    (project.root / "metrics" / "seeds.json").write_text(json.dumps({"seeds": seeds}))
    assert project.repro(code=255) == ["check"]
    assert project.repro() == ["check"]


def test_a_replaced_prompt_file_is_noticed(project: Project) -> None:
    from tests.support.project import write_demo

    shutil.rmtree(project.root / "demo" / "tasks")
    shutil.move(project.root / "demo" / "models", project.root / "models.saved")
    shutil.rmtree(project.root / "demo")
    write_demo(project.root, 15)
    shutil.move(project.root / "models.saved", project.root / "demo" / "models")
    output = project.run("dvc", "repro")
    assert "15 prompts of 15 rows" in output
    assert "rich: 12 conversations are in the store, 3 to generate" in output


def test_a_small_file_that_params_name_is_checked_again_when_it_changes_and_nothing_else_runs(project: Project) -> None:
    project.edit("demo/tasks/demo_knowledge.yaml", "{{question}}", "{{qestion}}")
    output = project.run("dvc", "repro", code=255)
    line = "demo/tasks/demo_knowledge.yaml:7: doc_to_text: the rows have no 'qestion'; did you mean question?"
    assert f"inputs: {line}\n" in output and ran(output) == ["inputs"]
    project.run("git", "checkout", "-q", "demo")
    project.edit("demo/tasks/demo_knowledge.yaml", "{{question}}", "Q: {{question}}")
    stages = project.repro()
    assert stages[0] == "inputs" and not {"check", "prompts", "generate@rich", "train@only"} & set(stages)


def test_a_source_that_is_not_there_is_named_with_its_line_before_anything_runs(project: Project) -> None:
    output = project.run("dvc", "exp", "run", "-S", "prompts.source=demo/prompt.parquet", code=255)
    line = "prompts.source: demo/prompt.parquet is not there; did you mean demo/prompts.parquet?"
    assert f"check: params.yaml:4: {line}\n" in output and ran(output) == ["check"]


def test_a_clone_with_a_remote_runs_only_what_changed(project: Project, tmp_path: Path) -> None:
    clone = project.clone_with_remote(tmp_path)
    assert clone.repro("--pull", "--allow-missing") == []
    assert not (clone.root / "data" / "responses" / "rich").exists()
    clone.edit("params.yaml", "size: 4", "size: 5")
    stages = clone.repro("--pull", "--allow-missing")
    assert {"mix@blend", "mix@only"} <= set(stages)
    assert not [stage for stage in stages if stage.startswith(("prompts", "generate", "validate", "resolve"))]
    assert clone.json("metrics/mix/only.json")["rows"] == 5
    shutil.rmtree(clone.root)


def test_a_profile_there_and_back_is_restored_from_the_cache(project: Project) -> None:
    write_model(project.root, "other")
    params = project.params()
    (project.root / "profiles").mkdir()
    shutil.copy(project.root / "params.yaml", project.root / "profiles" / "demo.yaml")
    params |= {"profile": "second", "dgms": ["other"], "compare": ["base", "new"]}
    params["mix"]["runs"] = {"new": {"base": "base", "dgms": {"other": 1.0}, "auxiliary": {}}}
    project.write_params(params)
    shutil.move(project.root / "params.yaml", project.root / "profiles" / "second.yaml")
    project.run("git", "checkout", "params.yaml")
    project.commit()
    project.run("python", "-m", "commands.profile", "second")
    assert {"generate@other", "mix@new", "train@new"} <= set(project.repro())
    assert not (project.root / "metrics" / "gate" / "rich.json").exists()
    project.run("python", "-m", "commands.profile", "demo")
    stages = project.repro()
    costly = ("generate", "validate", "mix", "train", "answers", "evaluate", "similarity", "styling")
    assert not [stage for stage in stages if stage.startswith(costly)]
    assert project.run("git", "status", "--short", "metrics/gate/rich.json", "metrics/mix") == ""


def test_the_paper_profile_resolves_to_its_whole_graph(tmp_path: Path) -> None:
    clone = Project(tmp_path / "clone")
    Project(tmp_path).run("git", "clone", "-q", str(ROOT), str(clone.root))
    clone.run("python", "-m", "commands.profile", "paper")
    stages = clone.repro("--dry", "--force")
    params = clone.params()
    for name, ids in (("generate", params["dgms"]), ("train", params["mix"]["runs"]), ("evaluate", params["compare"])):
        assert [stage for stage in stages if stage.startswith(f"{name}@")] == [f"{name}@{key}" for key in ids]
    assert len(params["dgms"]) == 52 and {"fetch@wildchat", "recipes", "report"} <= set(stages)


def test_a_profile_switch_refuses_to_lose_an_edit(project: Project) -> None:
    (project.root / "profiles").mkdir()
    shutil.copy(project.root / "params.yaml", project.root / "profiles" / "demo.yaml")
    project.edit("params.yaml", "size: 4", "size: 5")
    output = project.run("python", "-m", "commands.profile", "demo", code=1)
    assert "commit them" in output and "size: 5" in (project.root / "params.yaml").read_text()


@pytest.mark.parametrize("victim", ["dvc", "stage"])
def test_a_kill_loses_no_finished_stage(project: Project, victim: str) -> None:
    project.edit("params.yaml", "seed: 11", "seed: 12")  # every DGM generates again
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = project.root / "data" / "responses" / "rich"
    shutil.rmtree(done)
    running = subprocess.Popen(
        ["dvc", "repro"], cwd=project.root, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not done.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    if victim == "stage":
        subprocess.run(["pkill", "-9", "-P", str(running.pid)], check=False)
    else:
        os.kill(running.pid, signal.SIGKILL)
    running.wait()
    output = project.run("dvc", "repro")
    assert "0 conversations are in the store" not in output.partition("generate@plain")[0]
    assert project.repro() == []


def test_experiments_outside_the_workspace_share_the_store(project: Project) -> None:
    output = project.run("dvc", "exp", "run", "--temp", "-S", "generate.seed=99")
    assert "rich: 0 conversations are in the store, 12 to generate" in output
    output = project.run("dvc", "exp", "run", "-S", "generate.seed=99", "-S", "generate.max_tokens=300")
    assert "rich: 12 conversations are in the store, 0 to generate" in output
