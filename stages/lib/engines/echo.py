"""An engine without weights, for tests: it repeats the last message."""

import hashlib

from stages.lib.engines.base import Reply, Request, Usage, fit_to_window, overflow_reply
from stages.lib.engines.request import RequestConfig
from stages.lib.records.chats import Message
from stages.lib.settings.runtime import Runtime


class EchoEngine:
    """Repeats the last message after a word that depends on the seed: instant, exact, no weights."""

    description = "echo"
    num_replicas = 1

    def __init__(self, config: RequestConfig, _runtime: Runtime | None = None) -> None:
        self.config = config
        self._ended: list[tuple[str, Reply]] = []

    def encode(self, messages: list[Message]) -> list[int]:
        """Return one token per UTF-8 byte of the chat."""
        text = "".join(f"<{message['role']}>{message['content']}" for message in messages)
        return list(text.encode("utf-8", "surrogatepass"))

    def submit(self, key: str, request: Request) -> None:
        """Reply at once, with at most max_tokens bytes."""
        prompt = fit_to_window(self, request.messages, self.config)
        if prompt.room < 1:
            self._ended.append((key, overflow_reply(prompt)))
            return
        word = hashlib.blake2b(f"{request.seed} {self.config.sampling}".encode(), digest_size=4).hexdigest()
        content = f"**{word}** {request.messages[-1]['content']}".encode("utf-8", "surrogatepass")
        reply = Reply(
            text=content[: prompt.room].decode("utf-8", "ignore"),
            finish_reason="stop" if len(content) < prompt.room else "length",
            prompt_tokens=len(prompt.ids),
            completion_tokens=min(len(content) + 1, prompt.room),
            trimmed_turns=prompt.trimmed_turns,
        )
        self._ended.append((key, reply))

    def step(self) -> list[tuple[str, Reply]]:
        """Return all replies since the last step."""
        ended, self._ended = self._ended, []
        return ended

    def usage(self) -> Usage:
        """Return nothing: an echo uses no hardware."""
        return Usage()

    def close(self) -> None:
        """Do nothing: an echo holds nothing."""
