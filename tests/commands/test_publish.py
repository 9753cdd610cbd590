"""`make publish DGM=…`: a dataset that gives the rows back, and says what it is."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from commands.publish.command import main
from stages.lib.console.errors import UserError
from stages.lib.core.files import read_json, sha256_file, sha256_folder, write_json
from stages.lib.records.shards import read_rows, write_table
from tests.support.project import Project

OUT = Path("publication/chats")
RICH = Path("data/responses/rich")


def publish(*words: str) -> Path:
    """Publish the set owner/chats; its folder."""
    main(["--repo", "owner/chats", *words])
    return OUT


def change_verdicts(dgm: str, **columns: list[Any]) -> None:
    """Give the first verdicts on a DGM's responses other values, and write the digest that belongs to them."""
    folder = Path("data/verdicts") / dgm
    table = pa.concat_tables([pq.read_table(file) for file in sorted(folder.glob("*.parquet"))])
    for name, values in columns.items():
        column = values + table[name].to_pylist()[len(values) :]
        table = table.set_column(table.column_names.index(name), table.field(name), [column])
    for file in folder.glob("*.parquet"):
        file.unlink()
    write_table(folder, table)
    digests = Path(f"metrics/digests/dgms/{dgm}.json")
    write_json(digests, read_json(digests) | {"verdicts": sha256_folder(folder)})


def card() -> tuple[dict[str, Any], str]:
    """The metadata and the text of the card."""
    _, metadata, text = (OUT / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return YAML(typ="safe").load(metadata), " ".join(text.split())


def test_load_dataset_gives_the_rows_back_with_their_verdicts(checkout: Project) -> None:
    import datasets

    publish("--dgm", "rich plain")
    change = {"download_mode": "force_redownload"}
    for dgm in ("rich", "plain"):
        rows = datasets.load_dataset(str(OUT.absolute()), dgm, split="train", cache_dir="cache", **change).to_list()
        responses = list(read_rows(Path("data/responses") / dgm))
        verdicts = list(read_rows(Path("data/verdicts") / dgm))
        assert len(rows) == len(responses) == 12
        for row, response, verdict in zip(rows, responses, verdicts, strict=True):
            assert {name: row[name] for name in response} == response
            assert {name: row[name] for name in ("keep", "reasons", "language", "toxic")}.items() <= verdict.items()
    default = datasets.load_dataset(str(OUT.absolute()), split="train", cache_dir="cache", **change)
    assert set(default["dgm"]) == {"rich"}


def test_messages_are_what_training_reads(checkout: Project) -> None:
    publish("--dgm", "rich")
    row = pq.read_table(OUT / "data/rich").slice(0, 1).to_pylist()[0]
    texts = [text for turn in row["turns"] for text in (turn["user"], turn["assistant"])]
    assert [message["content"] for message in row["messages"]] == texts
    assert [message["role"] for message in row["messages"]] == ["user", "assistant"] * len(row["turns"])


def test_a_published_set_that_another_checkout_imports_gives_the_same_responses(
    checkout: Project, tmp_path: Path
) -> None:
    folder = publish("--dgm", "rich plain")
    shutil.copytree(folder, tmp_path / "other" / "published")
    other = Project(tmp_path / "other")
    shutil.copytree(checkout.root, other.root, symlinks=True, dirs_exist_ok=True)
    (other.root / "dgms/again.yaml").write_text("name: again\nimport: published\nfiles: data/rich/*.parquet\n")
    other.run("python", "-m", "commands.pin", "again")
    other.write_params(other.params() | {"dgms": ["rich", "plain", "again"]})
    other.repro("generate@again")

    def said(project: Project, dgm: str) -> list[Any]:
        return [
            (row["conversation_hash"], row["status"], [(t["user"], t["assistant"], t["finish_reason"]) for t in turns])
            for row in read_rows(project.root / "data/responses" / dgm)
            for turns in [row["turns"]]
        ]

    assert said(other, "again") == said(checkout, "rich")


def test_only_what_validation_keeps_without_toxic_prompts(
    checkout: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    change_verdicts("rich", keep=[False, True, False], reasons=[["loop"]], toxic=[True, True])
    publish("--dgm", "rich", "--kept", "yes", "--toxic", "no")
    rows = pq.read_table(OUT / "data/rich")
    assert rows.num_rows == 9 and all(rows["keep"].to_pylist()) and not any(rows["toxic"].to_pylist())
    counts = read_json(OUT / "statistics.json")
    assert counts["configs"]["rich"]["left_out"] == {"not_kept": 2, "toxic_prompt": 1}
    assert (counts["total"]["rows"], counts["total"]["kept"]) == (9, 9)
    text = card()[1]
    assert "2 conversations that validation drops" in text
    assert "1 conversation whose prompt its source marks as toxic" in text


def test_without_options_every_row_is_there_and_toxic_ones_are_counted(checkout: Project) -> None:
    change_verdicts("rich", keep=[False], reasons=[["loop"]], toxic=[True, True])
    publish("--dgm", "rich")
    total = read_json(OUT / "statistics.json")["total"]
    assert (total["rows"], total["kept"], total["toxic"], total["reasons"]) == (12, 11, 2, {"loop": 1})
    assert "2 of 12 rows (16.7 %) have a prompt that its source marks as toxic" in card()[1]


def test_the_card_tells_the_hub_where_the_configs_are_and_which_licences_hold(checkout: Project) -> None:
    checkout.edit("dgms/rich.yaml", "context_window", "license: llama3.1\ncontext_window")
    checkout.edit("dgms/plain.yaml", "context_window", "license: Acme terms, https://example.org/t\ncontext_window")
    publish()
    metadata, text = card()
    assert [(config["config_name"], config.get("default")) for config in metadata["configs"]] == [
        ("rich", True),
        ("plain", None),
    ]
    assert (metadata["license"], metadata["license_link"]) == ("other", "LICENSE.md")
    assert (metadata["language"], metadata["size_categories"]) == (["en"], ["n<1K"])
    assert "extra_gated_prompt" not in metadata
    assert "[Llama 3.1 Community License](https://www.llama.com/llama3_1/license/)" in text
    assert "[Acme terms](https://example.org/t)" in (OUT / "LICENSE.md").read_text()
    assert "replies may improve other models only under" in text


def test_a_gate_is_in_the_card_only_when_it_is_asked_for(checkout: Project) -> None:
    publish("--gated", "yes")
    assert "not to try to find out who wrote a prompt" in card()[0]["extra_gated_prompt"]


def test_the_provenance_names_the_commit_the_models_and_every_hash(checkout: Project) -> None:
    publish("--dgm", "rich")
    origin = read_json(OUT / "provenance.json")
    assert origin["commit"] == checkout.run("git", "rev-parse", "HEAD").strip()
    assert origin["dgms"]["rich"]["commit"] == read_json(Path("models/rich/model.json"))["commit"]
    assert origin["dgms"]["rich"]["engines"] == {"echo": 12}
    assert origin["files"]["README.md"] == sha256_file(OUT / "README.md")
    assert {"data/prompts", "data/responses/rich", "models/rich", "demo/prompts.parquet"} <= origin["md5"].keys()
    assert "data/responses/plain" not in origin["md5"]
    assert origin["params"]["prompts"]["source"] == "demo/prompts.parquet" and "runtime" not in origin["params"]


def test_the_same_rows_give_the_same_bytes(checkout: Project) -> None:
    first = sha256_folder(publish())
    shutil.rmtree(OUT)
    assert sha256_folder(publish()) == first


def test_a_second_run_finds_the_folder_complete_and_another_choice_writes_it_again(
    checkout: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    publish()
    capsys.readouterr()
    publish()
    assert "is there already" in capsys.readouterr().err
    publish("--dgm", "plain")
    assert not (OUT / "data/rich").exists()


def test_what_somebody_wrote_into_the_card_is_never_lost(checkout: Project) -> None:
    publish()
    edited = OUT / "README.md"
    edited.write_text(edited.read_text() + "By hand.\n")
    with pytest.raises(UserError, match=r"README.md was changed or added by hand .* give it as NOTES, or remove"):
        publish("--dgm", "rich")
    assert edited.read_text().endswith("By hand.\n")
    Path("notes.md").write_text("Ask **Ann** about it.\n")
    shutil.rmtree(OUT)
    publish("--notes", "notes.md")
    assert "Ask **Ann** about it." in card()[1]


def test_a_dgm_whose_licence_forbids_sharing_is_refused_and_can_be_left_out(
    checkout: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    checkout.edit("dgms/plain.yaml", "context_window", "redistribute: false\ncontext_window")
    with pytest.raises(UserError, match=r"^dgms/plain.yaml: redistribute: false forbids to share .* RESTRICTED=no"):
        publish()
    assert not OUT.exists()
    publish("--restricted", "no")
    assert [path.name for path in sorted((OUT / "data").iterdir())] == ["rich"]
    assert "left out, because redistribute is false in their catalogue files: plain" in capsys.readouterr().err
    with pytest.raises(UserError, match="no DGM is left"):
        publish("--dgm", "plain", "--restricted", "no")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--dgm", "ritch"], r"DGM=ritch: it is not in dgms of params.yaml; did you mean rich\?"),
        (["--kept", "Yes"], "KEPT=Yes: write KEPT=yes or KEPT=no"),
        (["--toxic", "false"], "TOXIC=false: write TOXIC=yes or TOXIC=no"),
        (["--repo", "chats"], "REPO=chats: should be <owner>/<name> as on the hub"),
        (["--repo", ""], "REPO=: should be <owner>/<name> as on the hub"),
        (["--dgm", "rich", "--run", "only"], "give one of the two"),
        (["--out", "data/x"], "data/x is in a folder of the pipeline: name another folder for OUT"),
        (["--out", "demo"], "demo is in a folder of the pipeline"),
        (["--notes", "none.md"], "NOTES=none.md cannot be read"),
        (["--project", "https://me:key@host/x"], "without a user, password or key in it"),
    ],
)
def test_a_word_that_cannot_be_gets_one_line(checkout: Project, words: list[str], line: str) -> None:
    with pytest.raises(UserError, match=line):
        main(["--repo", "owner/chats", *words])
    assert not Path("publication").exists()


def test_rows_that_are_not_those_of_the_metrics_are_not_published(checkout: Project) -> None:
    change_verdicts("rich", keep=[False])
    (Path("metrics/digests/dgms") / "rich.json").write_text(
        checkout.run("git", "show", "HEAD:metrics/digests/dgms/rich.json")
    )
    with pytest.raises(UserError, match=r"data/verdicts/rich does not match the digest in metrics/"):
        publish()
    assert not OUT.exists()


def test_verdicts_on_other_rows_are_not_joined(checkout: Project) -> None:
    change_verdicts("rich", identity=["another"])
    with pytest.raises(UserError, match=r"data/verdicts/rich is not on the rows of data/responses/rich"):
        publish()
    assert not OUT.exists()


def test_when_no_row_is_left_nothing_is_written(checkout: Project) -> None:
    change_verdicts("rich", keep=[False] * 12)
    with pytest.raises(UserError, match="rich: no row is left to publish"):
        publish("--kept", "yes")
    assert not OUT.exists()


def test_texts_of_the_data_add_no_markup_to_the_card(checkout: Project) -> None:
    change_verdicts("rich", language=["Eng|lish\n# <b>Hi</b>"])
    publish("--dgm", "rich")
    text = (OUT / "README.md").read_text()
    assert "| Eng\\|lish \\# \\<b\\>Hi\\</b\\> | 1 |" in text


def test_no_path_of_this_machine_is_in_a_file(checkout: Project, tmp_path: Path) -> None:
    source = tmp_path / "elsewhere" / "prompts.parquet"
    source.parent.mkdir()
    shutil.copy("demo/prompts.parquet", source)
    params = checkout.params()
    params["prompts"]["source"] = str(source)
    checkout.write_params(params)
    publish()
    written = [file.read_bytes() for file in OUT.rglob("*") if file.is_file()]
    assert not any(str(tmp_path).encode() in content for content in written)
    assert read_json(OUT / "provenance.json")["params"]["prompts"]["source"] == "prompts.parquet"
