"""`make lock` prints what pip-audit knows of the pins, or one line; it never fails because of it."""

import json
import os
import sys
from pathlib import Path

import pytest

from requirements.audit import LEFT_OUT, audit

FOUND = [{"id": "CVE-2", "fix_versions": ["1.1"]}, {"id": "CVE-1", "fix_versions": []}]
ENTRIES = [
    {"name": "a", "version": "1.0", "vulns": FOUND},
    {"name": "b", "version": "2.0", "vulns": []},
    {"name": "c", "skip_reason": "not on the index"},
]


SKIPPED = f"echo '{json.dumps({'dependencies': ENTRIES[2:]})}'"


def put_uv(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a uv that runs a script beside the interpreter."""
    (folder / "uv").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "uv").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))


def run(*locks: str) -> list[str]:
    return list(audit([Path(f"requirements/{lock}.txt") for lock in locks]))


def test_each_vulnerability_is_one_line_with_the_locks_that_pin_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "answer").write_text(json.dumps({"dependencies": ENTRIES, "fixes": []}))
    put_uv(tmp_path, monkeypatch, f"cat {tmp_path}/answer; echo 'Found 2 known vulnerabilities' >&2; exit 1")
    assert run("main-cpu", "train-cpu") == [
        "a 1.0: CVE-1, mended in no version yet (main-cpu, train-cpu)",
        "a 1.0: CVE-2, mended in 1.1 (main-cpu, train-cpu)",
        "pip-audit: 2 known vulnerabilities in 2 pins; 1 pins it does not know",
    ]


@pytest.mark.parametrize(
    "script", ["echo 'https://user:pw@index: no route' >&2; exit 2", "echo '{\"depen'", "echo []", SKIPPED]
)
def test_without_an_answer_one_line_says_so_and_no_address_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    put_uv(tmp_path, monkeypatch, script)
    assert run("main-cpu", "train-cpu") == [LEFT_OUT]
    os.remove(tmp_path / "uv")
    assert run("main-cpu") == [LEFT_OUT]
