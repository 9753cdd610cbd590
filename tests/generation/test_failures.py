"""Conversations that an engine could not answer."""

import pyarrow as pa
import pytest

from stages.lib.console.errors import UserError
from stages.lib.generation.failures import Failures
from stages.lib.generation.store import SEGMENT
from tests.support.conversations import stored_row


def test_too_many_failed_conversations_are_an_error_with_their_reason_and_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    failures = Failures("m", 10)
    rows = [stored_row(name, "Hi?") for name in "abc"]
    rows[1] |= {"status": "failed", "reason": "the engine died"}
    failures.count(pa.Table.from_pylist(rows, schema=SEGMENT))
    failures.check(0.1)
    assert "m: 1 of 10 conversations failed (10.0%, allowed 10.0%), 1 of them because the engine died, as h" in (
        capsys.readouterr().err
    )
    with pytest.raises(UserError, match=r"`make retry DGM=m` generates them again; the others are kept in the store"):
        failures.check(0.09)
