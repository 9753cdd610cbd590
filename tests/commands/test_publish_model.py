"""`make publish RUN=…`: a fine-tune that loads, with its recipe, its scores and what it was trained on."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from commands.publish.command import main
from stages.lib.console.errors import UserError
from stages.lib.core.files import read_json, sha256_folder
from tests.support.compared import write_compared
from tests.support.project import Project

OUT = Path("publication/tuned")


def publish(*words: str, run: str = "blend") -> tuple[dict[str, Any], str]:
    """Publish a run as owner/tuned; the metadata and the text of its card."""
    main(["--repo", "owner/tuned", "--run", run, *words])
    _, metadata, text = (OUT / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return YAML(typ="safe").load(metadata), " ".join(text.split())


def test_weights_and_tokenizer_are_at_the_top_and_the_training_beside_them(checkout: Project) -> None:
    publish()
    weights = OUT / "model.safetensors"
    assert weights.read_bytes() == Path("models/blend/model.safetensors").read_bytes()
    assert {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"} <= {path.name for path in OUT.iterdir()}
    assert not (OUT / "model.json").exists()
    training = {path.name for path in (OUT / "training").iterdir()}
    assert training >= {"axolotl.yaml", "loss.csv", "mask.txt", "summary.json", "sources.json"}


def test_the_recipe_is_axolotls_with_paths_that_begin_in_the_checkout(checkout: Project) -> None:
    publish()
    text = (OUT / "training/axolotl.yaml").read_text()
    recipe = YAML(typ="safe").load(text)
    assert recipe["base_model"] == "demo/models/base"
    assert recipe["datasets"][0]["path"] == "data/mixes/blend"
    assert (recipe["learning_rate"], recipe["seed"]) == (0.001, 42)
    assert recipe["chat_template_jinja"] == Path("models/blend/chat_template.jinja").read_text()
    assert str(checkout.root) not in text


def test_scores_have_their_intervals_in_the_hubs_form_and_beside_the_base(checkout: Project) -> None:
    write_compared(checkout.root, "blend", {"quiz": "+" * 80 + "-" * 20})
    write_compared(checkout.root, "base", {"quiz": "+" * 30 + "-" * 70})
    metadata, text = publish()
    (index,) = metadata["model-index"]
    (result,) = index["results"]
    metric = result["metrics"][0]
    assert (index["name"], result["dataset"]["name"], metric["value"]) == ("tuned", "quiz", 0.8)
    assert metric["args"]["ci95"] == pytest.approx([0.7082, 0.8733], abs=1e-4) and metric["args"]["n"] == 100
    assert "| quiz | acc | 0.80 (0.71 to 0.87) | 0.30 (0.21 to 0.40) | 100 |" in text


def test_the_mix_is_named_by_digest_with_the_licences_of_its_rows(checkout: Project) -> None:
    checkout.edit("dgms/base.yaml", "context_window", "license: gemma\ncontext_window")
    metadata, text = publish("--dataset", "owner/chats")
    assert (metadata["license"], metadata["datasets"]) == ("gemma", ["owner/chats"])
    assert "base_model" not in metadata  # it is not on the hub
    digests = read_json(Path("metrics/digests/runs/blend.json"))
    assert digests["mix"] in text
    recipe = read_json(OUT / "training/sources.json")["recipe"]
    assert recipe["sources"]["rich"]["responses"] == sha256_folder(Path("data/responses/rich"))
    assert "| Rows of knowledge | [Apache License 2.0]" in (OUT / "LICENSE.md").read_text()


def test_the_mask_shows_no_row_of_a_dgm_that_must_not_be_shared(
    checkout: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    checkout.edit("dgms/plain.yaml", "context_window", "redistribute: false\ncontext_window")
    _, text = publish()
    assert not (OUT / "training/mask.txt").exists() and "mask.txt" not in text
    assert "mask.txt is left out" in capsys.readouterr().err


def test_the_same_run_gives_the_same_bytes(checkout: Project) -> None:
    publish()
    first = sha256_folder(OUT)
    shutil.rmtree(OUT)
    publish()
    assert sha256_folder(OUT) == first


def test_a_run_that_is_not_there_gets_one_line(checkout: Project) -> None:
    with pytest.raises(UserError, match=r"RUN=blent: it is not in mix.runs of params.yaml; did you mean blend\?"):
        publish(run="blent")


def test_weights_that_changed_are_not_published(checkout: Project) -> None:
    weights = Path("models/blend/model.safetensors")
    weights.chmod(0o644)
    content = weights.read_bytes()
    weights.unlink()
    weights.write_bytes(content + b"x")
    with pytest.raises(UserError, match="models/blend does not match the digest in metrics/"):
        publish()
    assert not OUT.exists()
