"""A catalogue entry becomes a model: entries that are refused, and the fields of model.json."""

import json
from pathlib import Path
from typing import Any

import pytest

from stages.lib.console.errors import UserError
from stages.lib.core.sections import parse
from stages.lib.models.catalogue import Entry, Model, load_model
from stages.lib.models.sampling import Sampling
from stages.resolve import main, resolve
from tests.support.hub import COMMIT, serve
from tests.support.project import write_model

SERVER = {"address": "http://127.0.0.1:8000/v1/", "model": "served"}


def entry(**keys: Any) -> Entry:
    return parse(Entry, {"name": "N", "context_window": 100, **keys}, "dgms/x.yaml")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_model(tmp_path, "rich")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_local_model_keeps_what_its_entry_says(checkout: Path) -> None:
    (checkout / "dgms" / "templates").mkdir()
    (checkout / "dgms" / "templates" / "plain.jinja").write_text("{{ messages }}\n")
    file = checkout / "dgms" / "rich.yaml"
    file.write_text(file.read_text() + 'stop: ["User:"]\nthinking: strip\nchat_template: dgms/templates/plain.jinja\n')
    main("rich")
    model = load_model("rich")
    assert (model.stop, model.thinking, model.chat_template) == (["User:"], "strip", "{{ messages }}\n")
    assert json.loads((checkout / "models" / "rich" / "model.json").read_text())["chat_template"] == "{{ messages }}\n"


def test_tags_of_thoughts_are_in_model_json_only_where_the_entry_has_them(checkout: Path) -> None:
    main("rich")
    assert "thinking_tags" not in (checkout / "models" / "rich" / "model.json").read_text()
    file = checkout / "dgms" / "rich.yaml"
    file.write_text(file.read_text() + 'thinking_tags: {"<muse>": "</muse>", "": "</think>"}\n')
    main("rich")
    assert load_model("rich").thinking_tags == {"<muse>": "</muse>", "": "</think>"}


def test_a_missing_chat_template_is_named(checkout: Path) -> None:
    file = checkout / "dgms" / "rich.yaml"
    file.write_text(file.read_text() + "chat_template: dgms/templates/no.jinja\n")
    with pytest.raises(UserError, match=r"dgms/rich.yaml: chat_template: dgms/templates/no.jinja cannot be read"):
        main("rich")


def test_a_server_is_resolved_to_its_address_without_a_verified_commit() -> None:
    model = resolve("x", entry(server=SERVER))
    assert (model.kind, model.location, model.served_name) == ("server", "http://127.0.0.1:8000/v1", "served")
    assert model.commit == "unverified"
    assert resolve("x", entry(server=SERVER, revision="build 7")).commit == "build 7"


@pytest.mark.parametrize("server", [{**SERVER, "address": "http://me:hunter2@h/v1"}, "http://me:hunter2@h/v1"])
def test_a_password_in_an_address_is_refused_and_not_repeated(server: Any) -> None:
    with pytest.raises(UserError, match=r"x.yaml.server: a user, password or key has no place") as error:
        entry(server=server)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"server": "http://h/v1"}, r"server: write \{address: http://…/v1, model: <name>\}"),
        ({"server": {**SERVER, "address": "h:80"}}, "begins with http:// or https://"),
        ({"server": SERVER, "context_window": 0}, "context_window is missing"),
        ({"server": SERVER, "path": "p"}, "exactly one of repository, path, import and server"),
        ({"server": SERVER, "generation_config": True}, "generation_config is a file of a repository or path"),
        ({"path": "p", "columns": {"response": "r"}}, "columns, where and files are for"),
        ({"import": "reference", "where": {"dgm": "x"}}, "columns, where and files are for"),
        ({"import": "x.parquet", "columns": {"reply": "r"}}, "columns.reply"),
        ({"import": "data/hub/set"}, "nothing would wait for it: for a hub set give `hub:<owner>/<name>`"),
        ({"path": "p", "stop": [""]}, "a stop string cannot be empty"),
        ({"path": "p", "thinking": "hide"}, "thinking: should be keep or strip, got the text 'hide'"),
        ({"path": "p", "thinking_tags": {"<muse>": " "}}, "write {<what begins thoughts>: <what ends them>}"),
        ({"path": "p", "chat_template": "/tmp/x.jinja"}, "give a .jinja file under dgms/"),
        ({"path": "p", "chat_template": "dgms/../x.jinja"}, "give a .jinja file under dgms/"),
        ({"path": "p", "sampling": {"top_k": -1}}, "sampling.top_k: should be 0 or more, got -1"),
        ({"path": "p", "sampling": {"min_p": 1.5}}, "sampling.min_p: should be 1 or less, got 1.5"),
        ({"path": "p", "sampling": {"repetition_penalty": 0.0}}, "repetition_penalty: should be more than 0, got 0.0"),
    ],
)
def test_a_wrong_entry_is_refused_in_one_line(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        entry(**keys)


def test_generation_config_fills_only_what_the_entry_leaves_out_and_only_when_asked(checkout: Path) -> None:
    weights = checkout / "demo" / "models" / "rich"
    own = {"temperature": 0.6, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.05, "eos_token_id": 3, "min_p": None}
    (weights / "generation_config.json").write_text(json.dumps(own))
    keys: dict[str, Any] = {"path": "demo/models/rich", "sampling": {"temperature": 0.2}}
    with pytest.raises(UserError, match=r"`make pin ID=rich` writes it") as error:
        resolve("rich", entry(**keys))
    keys["revision"] = str(error.value).split(" has ")[1].split(";")[0]
    assert resolve("rich", entry(**keys)).sampling.model_dump(exclude_none=True) == {"temperature": 0.2}
    completed = resolve("rich", entry(**keys, generation_config=True)).sampling.model_dump(exclude_none=True)
    assert completed == {"temperature": 0.2, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.05}


def test_a_missing_or_invalid_generation_config_is_named(checkout: Path) -> None:
    with serve({"models/a/none": {}, "models/a/odd": {"generation_config.json": b'{"top_k": "many"}'}}) as hub:
        for name in ("none", "odd"):
            text = f"name: N\nrepository: a/{name}\nrevision: {COMMIT}\ncontext_window: 9\ngeneration_config: true\n"
            (checkout / "dgms" / f"{name}.yaml").write_text(text)
        assert "a/none at 0123456" in hub.run(checkout, "stages.resolve", "none", code=1)
        output = hub.run(checkout, "stages.resolve", "odd", code=1)
        assert "generation_config.json of odd.top_k: should be a whole number" in output


def test_a_hub_models_generation_config_is_read_at_its_commit(checkout: Path) -> None:
    with serve({"models/a/b": {"generation_config.json": b'{"temperature": 1, "top_k": 64}'}}) as hub:
        (checkout / "dgms" / "hub.yaml").write_text(
            "name: N\nrepository: a/b\nrevision: main\ncontext_window: 9\ngeneration_config: true\n"
        )
        hub.run(checkout, "stages.resolve", "hub")
        assert any(f"/a/b/resolve/{COMMIT}/generation_config.json" in path for path in hub.requests)
    model = json.loads((checkout / "models" / "hub" / "model.json").read_text())
    assert model["commit"] == COMMIT
    assert (model["sampling"]["temperature"], model["sampling"]["top_k"]) == (1.0, 64)


def test_sampling_parameters_that_are_off_are_not_serialised_so_identities_do_not_change() -> None:
    assert Sampling(temperature=0.7).model_dump() == {"temperature": 0.7, "top_p": 1.0}
    assert Sampling(top_k=20, min_p=0.1).model_dump() == {"temperature": 1.0, "top_p": 1.0, "top_k": 20, "min_p": 0.1}


def test_fields_of_a_model_have_defaults_so_that_older_files_load() -> None:
    model = Model(id="m", name="M", location="x", kind="local", commit="c", parameters_billions=1.0, context_window=4)
    assert (model.stop, model.thinking, model.chat_template, model.served_name) == ([], "keep", "", "")
