"""An engine without weights, for tests: it repeats the last message."""

import hashlib

from stages.lib.engines.base import Reply, Request, Usage, fit_to_window, overflow_reply
from stages.lib.engines.request import RequestConfig
from stages.lib.records.chats import Message
from stages.lib.settings.runtime import Runtime


class EchoEngine:
    """Says the last message back, after a word that depends on the seed: instant, exact, no weights."""

    description = "echo"

    def __init__(self, config: RequestConfig, _runtime: Runtime | None = None) -> None:
        self.config = config
        self._ended: list[tuple[str, Reply]] = []

    def encode(self, messages: list[Message]) -> list[int]:
        """One token per UTF-8 byte of the chat."""
        text = "".join(f"<{message['role']}>{message['content']}" for message in messages)
        return list(text.encode("utf-8", "surrogatepass"))

    def submit(self, key: str, request: Request) -> None:
        """Reply at once, at most max_tokens bytes."""
        fitted = fit_to_window(self, request.messages, self.config)
        if fitted.room < 1:
            self._ended.append((key, overflow_reply(fitted)))
            return
        word = hashlib.blake2b(f"{request.seed} {self.config.sampling}".encode(), digest_size=4).hexdigest()
        reply = f"**{word}** {request.messages[-1]['content']}".encode("utf-8", "surrogatepass")
        reason = "stop" if len(reply) < fitted.room else "length"
        text = reply[: fitted.room].decode("utf-8", "ignore")
        said = Reply(text, reason, len(fitted.ids), min(len(reply) + 1, fitted.room), 0, fitted.trimmed_turns)
        self._ended.append((key, said))

    def step(self) -> list[tuple[str, Reply]]:
        """Everything that was submitted since the last step."""
        ended, self._ended = self._ended, []
        return ended

    def usage(self) -> Usage:
        """Nothing."""
        return Usage()

    def close(self) -> None:
        """Nothing to end."""
