"""The command that tends the store."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from commands.store import main
from stages.generate import write_responses
from stages.lib.console.errors import UserError
from stages.lib.generation.failures import Failures
from stages.lib.generation.store import SEGMENT, Store
from tests.support.conversations import GivenRows, stored_row


def row(name: str, **changes: Any) -> dict[str, Any]:
    return stored_row(name, f"{name}?") | changes


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REWILD_STORE", str(tmp_path / "store"))
    return Store(tmp_path / "store", "m")


def responses(*names: str) -> None:
    write_responses(GivenRows([row(name, seconds=0.5) for name in names]), [])


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    main(list(words))
    return capsys.readouterr().err.strip()


def test_list_says_what_is_there(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "list").endswith("holds no DGM")
    store.append([row("a"), row("b")])
    store.append([row("b")])
    assert "m: 2 conversations (1 repeated) by echo, 2 segments (0 corrupt), 0.0 MB" in said(capsys, "list")


def test_verify_names_a_torn_segment_and_fails_and_prune_removes_it(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    store.append([row("a")])
    store.append([row("b")])
    torn = store.segments()[0]
    torn.write_bytes(torn.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"corrupt segments \(hash or schema mismatch\): 1"):
        main(["verify"])
    assert f"{torn} is skipped" in capsys.readouterr().err
    assert "m: 1 conversations kept; removed: 0, and 1 corrupt segments" in said(capsys, "prune")
    assert said(capsys, "verify") == "m: 1 of 1 segments are intact"


def test_a_store_is_refilled_from_pulled_responses_with_what_they_cost(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    responses("a", "b")
    store.append([row("a")])
    assert said(capsys, "add") == "m: 1 conversations added, 1 were there"
    found = store.find({"a", "b"}, 100, 400)
    assert store.read([found["b"]]).to_pylist() == [row("b", seconds=0.5)]
    shutil.rmtree("data/ledger")
    shutil.rmtree("store")
    assert said(capsys, "add", "m") == "m: 2 conversations added, 0 were there"


def test_responses_and_a_ledger_of_another_run_are_not_joined(store: Store) -> None:
    responses("a", "b")
    shutil.move("data/ledger", "old")
    responses("a", "c")
    shutil.rmtree("data/ledger")
    shutil.move("old", "data/ledger")
    with pytest.raises(UserError, match="come from different runs"):
        main(["add"])


def test_prune_keeps_one_of_equal_rows_and_forgets_the_unused_when_told(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    store.append([row("a"), row("b")])
    store.append([row("b"), row("c"), row("a", completion_tokens=99)])
    assert "4 conversations kept; removed: 1" in said(capsys, "prune")
    assert len(store.segments()) == 1
    responses("b")
    assert "1 conversations kept; removed: 3" in said(capsys, "prune", "--unused")
    assert list(store.find(set("abc"), 100, 400)) == ["b"]


def test_a_failed_conversation_is_found_only_while_there_is_no_other_and_is_forgotten_to_be_asked_again(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    store.append([row("a", status="failed", reason="the engine died"), row("b")])
    assert set(store.find(["a", "b"], 100, 400)) == {"a", "b"}
    store.append([row("a")])
    assert store.read([store.find(["a"], 100, 400)["a"]])["status"].to_pylist() == ["ok"]
    store.append([row("c", status="failed")])
    said(capsys, "prune", "--failed", "m")
    assert set(store.find(["a", "b", "c"], 100, 400)) == {"a", "b"}


def test_too_many_failed_conversations_stop_the_stage_with_their_reason_and_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    failed = Failures("m", 10)
    rows = [row("a"), row("b", status="failed", reason="the engine died"), row("c")]
    failed.count(pa.Table.from_pylist(rows, schema=SEGMENT))
    failed.check(0.1)
    assert "m: 1 of 10 conversations failed (10.0%, allowed 10.0%), 1 of them because the engine died, as h" in (
        capsys.readouterr().err
    )
    with pytest.raises(UserError, match=r"`make retry DGM=m` generates them again; the others are kept in the store"):
        failed.check(0.09)


def test_an_unknown_dgm_is_one_plain_line(store: Store) -> None:
    with pytest.raises(UserError, match="has no 'nosuch'"):
        main(["verify", "nosuch"])
