"""Chats with a system message in a mix."""

from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from stages.lib.core.files import sha256_folder
from stages.lib.models.catalogue import save_model
from tests.support.families import NO_SYSTEM_ROLE
from tests.support.mixes import BASE, MANY, make, manifest, names, response, write_dgm, write_set


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("models/base").mkdir(parents=True)
    save_model(Path("models/base"), BASE)


def system_row(name: str, system: str, *turns: tuple[str, str]) -> dict[str, Any]:
    """A response to a prompt with this system message."""
    return response(name, *turns) | {"system": system}


def test_the_system_message_of_a_prompt_begins_its_chat() -> None:
    write_dgm("a", [
        system_row("x", "Be brief.", ("Hi?", "Hello."), ("So?", "So.")),
        system_row("y", "", ("What?", "This.")),
        system_row("z", "Be kind.", ("Who?", "I.")),
    ])  # fmt: skip
    chats = {row["conversation_hash"]: [(m["role"], m["content"]) for m in row["messages"]] for row in make({"a": 3})}
    assert chats == {
        "x": [("system", "Be brief."), ("user", "Hi?"), ("assistant", "Hello."), ("user", "So?"), ("assistant", "So.")],
        "y": [("user", "What?"), ("assistant", "This.")],
        "z": [("system", "Be kind."), ("user", "Who?"), ("assistant", "I.")],
    }
    assert manifest()["turns"] == {"1": {"rows": 2, "tokens": ANY}, "2": {"rows": 1, "tokens": ANY}}


def test_a_base_without_a_system_role_takes_no_chat_with_a_system_message_and_counts_them() -> None:
    save_model(Path("models/base"), BASE.model_copy(update={"chat_template": NO_SYSTEM_ROLE}))
    write_dgm("a", [system_row("x", "Be brief."), system_row("y", ""), *MANY[:3]])
    write_dgm("b", MANY[:2])
    write_set("s", ["1"])
    write_set("t", ["2"], system="Be kind.")
    mixed = make({"a": 9, "b": 2, "s": 1, "t": 1}, on_shortage="cap")
    assert names(mixed) == {"y", *(row["conversation_hash"] for row in MANY[:3])}
    assert {row["messages"][0]["role"] for row in mixed} == {"user"}
    assert manifest()["left_out"] == {"a": {"no_system_role": 1}, "t": {"no_system_role": 1}}


def test_replies_after_a_system_message_are_truncated_to_the_reference() -> None:
    write_dgm("a", [system_row("x", "Be brief.", ("Hi?", "one two three four five six"))])
    write_dgm("b", [system_row("x", "Be brief.", ("Hi?", "one"))])
    digests = {name: sha256_folder(Path("data") / name / "b") for name in ("responses", "verdicts")}
    [row] = make({"a": 1}, reference={"dgm": "b", **digests})
    assert [m["role"] for m in row["messages"]] == ["system", "user", "assistant"]
    assert row["messages"][0]["content"] == "Be brief."
    assert len(row["messages"][2]["content"]) < len("one two three four five six")


def test_a_system_message_that_many_rows_share_makes_no_duplicates() -> None:
    system = "You are a helpful assistant who thinks step by step and justifies every answer. " * 3
    write_dgm("a", [system_row(name, system, (f"What is {name}?", f"It is {name}.")) for name in ("this", "that")])
    write_dgm("b", [system_row(name, f"{name} {system}", ("What is it?", "This.")) for name in ("one", "two")])
    rows = make({"a": 2, "b": 2}, duplicates={"then": "drop", "similarity": 0.8}, on_shortage="cap")
    assert (len(names(rows)), len(names(rows, "b"))) == (2, 1)
    assert manifest()["duplicates"] == {"b": 1}
