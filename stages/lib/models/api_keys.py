"""The keys of servers, which come from the environment only."""

import os
from urllib.parse import urlsplit

KEYS = ("REWILD_API_KEY", "OPENAI_API_KEY")
NO_KEY = "EMPTY"


def key_for(address: str) -> str:
    """Return the key for an address, NO_KEY if there is none; OpenAI's key is sent to OpenAI's address only."""
    names = KEYS if urlsplit(address).hostname == "api.openai.com" else KEYS[:1]
    return next(filter(None, map(os.environ.get, names)), NO_KEY)
