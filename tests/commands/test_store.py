"""The command `store`: list, verify, add and prune."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from commands.store.command import main
from stages.generate import write_responses
from stages.lib.console.errors import UserError
from stages.lib.generation.store import Store
from tests.support.conversations import GivenRows, stored_row


def row(name: str, **changes: Any) -> dict[str, Any]:
    """A row of the store, with changes."""
    return stored_row(name, f"{name}?") | changes


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REWILD_STORE", str(tmp_path / "store"))
    return Store(tmp_path / "store", "m")


def write(*names: str) -> None:
    """Write data/responses/m and data/ledger/m."""
    write_responses(GivenRows([row(name, seconds=0.5) for name in names]), [])


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run the command; what it prints."""
    main(list(words))
    return capsys.readouterr().err.strip()


def test_list_counts_conversations_and_segments(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "list").endswith("holds no DGM")
    store.append([row("a"), row("b")])
    store.append([row("b")])
    assert "m: 2 conversations (1 repeated) by echo, 2 segments (0 corrupt), 0.0 MB" in run(capsys, "list")


def test_verify_fails_on_a_torn_segment_and_prune_removes_it(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    store.append([row("a")])
    store.append([row("b")])
    torn = store.segments()[0]
    torn.write_bytes(torn.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"corrupt segments \(hash or schema mismatch\): 1"):
        main(["verify"])
    assert f"{torn} is skipped" in capsys.readouterr().err
    assert "m: 1 conversations kept; removed: 0, and 1 corrupt segments" in run(capsys, "prune")
    assert run(capsys, "verify") == "m: 1 of 1 segments are intact"


def test_add_refills_a_store_from_pulled_responses_and_their_costs(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    write("a", "b")
    store.append([row("a")])
    assert run(capsys, "add") == "m: 1 conversations added, 1 were there"
    locations = store.find({"a", "b"}, 100, 400)
    assert store.read([locations["b"]]).to_pylist() == [row("b", seconds=0.5)]
    shutil.rmtree("data/ledger")
    shutil.rmtree("store")
    assert run(capsys, "add", "m") == "m: 2 conversations added, 0 were there"


def test_add_refuses_responses_with_the_ledger_of_another_run(store: Store) -> None:
    write("a", "b")
    shutil.move("data/ledger", "old")
    write("a", "c")
    shutil.rmtree("data/ledger")
    shutil.move("old", "data/ledger")
    with pytest.raises(UserError, match="come from different runs"):
        main(["add"])


def test_prune_keeps_one_of_repeated_rows_and_with_unused_only_those_in_use(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    store.append([row("a"), row("b")])
    store.append([row("b"), row("c"), row("a", completion_tokens=99)])
    assert "4 conversations kept; removed: 1" in run(capsys, "prune")
    assert len(store.segments()) == 1
    write("b")
    assert "1 conversations kept; removed: 3" in run(capsys, "prune", "--unused")
    assert list(store.find(set("abc"), 100, 400)) == ["b"]


def test_prune_with_failed_removes_failed_conversations(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    store.append([row("a", status="failed", reason="the engine died"), row("b")])
    assert set(store.find(["a", "b"], 100, 400)) == {"a", "b"}
    store.append([row("a")])
    assert store.read([store.find(["a"], 100, 400)["a"]])["status"].to_pylist() == ["ok"]
    store.append([row("c", status="failed")])
    run(capsys, "prune", "--failed", "m")
    assert set(store.find(["a", "b", "c"], 100, 400)) == {"a", "b"}


def test_an_unknown_dgm_is_one_plain_line(store: Store) -> None:
    with pytest.raises(UserError, match="has no 'nosuch'"):
        main(["verify", "nosuch"])


def test_unfinished_evaluations_are_no_dgm_and_go_with_what_is_unused(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = store.folder.parent / ".evaluations"
    tasks.mkdir(parents=True)
    assert run(capsys, "list").endswith("holds no DGM")
    run(capsys, "prune")
    assert tasks.exists()
    assert run(capsys, "prune", "--unused").endswith("tasks of evaluations that were interrupted are removed")
    assert not tasks.exists()
