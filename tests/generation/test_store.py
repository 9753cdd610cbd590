"""The store: limits at look-up, corrupt segments, order, one writer at a time."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from stages.lib.console.errors import MachineError
from stages.lib.core.store import store_folder
from stages.lib.generation.store import Store, matches_limits
from tests.support.conversations import stored_row
from tests.support.project import ROOT


def turn(finish: str = "stop", completion: int = 50, prompt: int = 100) -> dict[str, Any]:
    return {"finish_reason": finish, "completion_tokens": completion, "prompt_tokens": prompt}


@pytest.mark.parametrize(
    ("stored", "max_tokens", "window", "matches"),
    [
        (turn(), 50, 400, True),
        (turn(), 80, 400, True),  # it ended by itself: a higher limit changes nothing
        (turn(), 40, 400, False),  # it is longer than the new limit
        (turn(completion=30), 40, 400, True),
        (turn(), 50, 149, False),  # it no longer fits the window
        (turn("length"), 50, 400, True),
        (turn("length"), 50, 800, True),  # the limit cut it, not the window
        (turn("length"), 80, 400, False),  # a higher limit would let it continue
        (turn("length"), 40, 400, False),
        (turn("length"), 80, 150, True),  # the window cuts it where the limit did
        (turn("context_overflow", 0, 500), 50, 450, True),
        (turn("context_overflow", 0, 500), 50, 600, False),
    ],
)
def test_new_limits_regenerate_only_what_they_could_alter(
    stored: dict[str, Any], max_tokens: int, window: int, matches: bool
) -> None:
    short = turn(completion=1)
    turns = pa.array([[short], [short, stored], [short]])
    assert matches_limits(turns, max_tokens, window).tolist() == [True, matches, True]


def test_rows_are_found_by_identity_and_a_torn_segment_is_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path, "m")
    stored = stored_row("name", "Hi?")
    store.append([stored])
    (tmp_path / "m" / "torn.parquet").write_bytes(b"PAR1 torn")
    (tmp_path / "m" / ".draft").write_bytes(b"half")
    locations = store.find({"name", "other"}, 100, 400)
    assert store.read([locations["name"]]).to_pylist() == [stored]
    assert store.find({"other"}, 100, 400) == {}
    assert "torn.parquet is skipped" in capsys.readouterr().err


def test_a_segment_with_a_changed_bit_anywhere_is_skipped(tmp_path: Path) -> None:
    store = Store(tmp_path, "m")
    store.append([stored_row("name", "Hi?")])
    [segment] = store.segments()
    content = segment.read_bytes()
    for position in range(0, len(content), 101):
        segment.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        assert store.find({"name"}, 100, 400) == {}
    segment.write_bytes(content)
    assert set(store.find({"name"}, 100, 400)) == {"name"}


def test_rows_are_read_in_the_given_order_and_of_repeated_ones_the_oldest(tmp_path: Path) -> None:
    store = Store(tmp_path, "m")
    rows = {name: stored_row(name, f"{name}?") for name in "abc"}
    store.append([rows["a"], rows["b"]])
    store.append([rows["c"], rows["b"] | {"engine": "newer"}])
    locations = store.find(set("abc"), 100, 400)
    assert store.read([locations[name] for name in "cab"]).to_pylist() == [rows["c"], rows["a"], rows["b"]]


def test_a_second_run_of_a_dgm_says_that_it_waits_and_continues_when_the_first_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from stages.lib.generation.store import Store\n"
        "with Store(Path(sys.argv[1]), 'm').exclusive(): print('mine', flush=True); time.sleep(60)"
    )

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", script, str(tmp_path)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)

    with start() as first:
        assert first.stdout and first.stdout.readline() == "mine\n"
        with start() as second:
            assert second.stderr and "m: another run is writing to" in second.stderr.readline()
            first.kill()
            assert second.stdout and second.stdout.readline() == "mine\n"
            second.kill()


def test_a_failed_conversation_is_found_only_while_there_is_no_other_or_not_at_all(tmp_path: Path) -> None:
    store = Store(tmp_path, "m")
    store.append([stored_row("a", "Hi?") | {"status": "failed", "reason": "the engine died"}, stored_row("b", "Hi?")])
    assert set(store.find(["a", "b"], 100, 400)) == {"a", "b"}
    assert set(store.find(["a", "b"], 100, 400, failed=False)) == {"b"}
    store.append([stored_row("a", "Hi?")])
    assert store.read([store.find(["a"], 100, 400)["a"]])["status"].to_pylist() == ["ok"]


@pytest.mark.parametrize(
    ("script", "line"),
    [
        ("", "`dvc` is not on the path: run `source .venv/bin/activate`"),
        ("echo 'ERROR: configuration error' >&2; exit 255", "`dvc cache dir` failed: ERROR: configuration error"),
    ],
)
def test_where_dvc_does_not_say_where_the_store_is_one_line_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, line: str
) -> None:
    monkeypatch.delenv("REWILD_STORE", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    if script:
        (tmp_path / "dvc").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "dvc").chmod(0o755)
    with pytest.raises(MachineError) as error:
        store_folder()
    assert str(error.value) == f"{line}; `make doctor` shows what is here"
