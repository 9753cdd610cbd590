"""The keys of servers: from the environment, and from nowhere else."""

import os
from urllib.parse import urlsplit

KEYS = ("REWILD_API_KEY", "OPENAI_API_KEY")
NO_KEY = "EMPTY"


def key_for(address: str) -> str:
    """The key from the environment; OpenAI's own goes to no other address than OpenAI's."""
    names = KEYS if urlsplit(address).hostname == "api.openai.com" else KEYS[:1]
    return next(filter(None, map(os.environ.get, names)), NO_KEY)
