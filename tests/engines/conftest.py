"""A server for the tests of the engine `openai`."""

from collections.abc import Iterator

import pytest

from tests.support.server import FakeServer


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server that answers everything at once."""
    fake = FakeServer().start()
    yield fake
    fake.stop()
