"""The templates of two families of base models."""

import pytest

from stages.lib.models.chat_template import Template
from tests.support.bases import llama_base, qwen_base
from tests.support.conversations import MODEL


@pytest.fixture(scope="module", params=[llama_base, qwen_base])
def template(request: pytest.FixtureRequest) -> Template:
    return Template(request.param(), MODEL)
