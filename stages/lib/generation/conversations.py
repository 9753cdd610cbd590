"""Conversations as conversations on one engine that is kept full: turn k+1 enters as soon as turn k has ended."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from stages.lib.engines.base import Engine, Reply, Request
from stages.lib.engines.request import RequestConfig
from stages.lib.records.chats import Message, build_chat, drop_oldest_turns
from stages.lib.records.hashing import chat_sha, keyed_hash
from stages.lib.records.responses import UNANSWERED, Turn

THINKING = re.compile(r"\A\s*(?:<think(?:ing)?>)?.*?</think(?:ing)?>\s*|\A\s*<think(?:ing)?>.*\Z", re.S)


@dataclass(slots=True)
class Conversation:
    """One conversation on its way: its user turns and the replies so far."""

    key: str
    user_messages: list[str]
    reference_replies: list[str] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    status: str = "ok"
    reason: str = ""
    cached_tokens: int = 0

    @property
    def is_finished(self) -> bool:
        """Whether no turn is left to ask."""
        return self.status != "ok" or len(self.turns) == len(self.user_messages)

    def messages(self, config: RequestConfig) -> list[Message]:
        """The chat up to the next user turn, with the model's own replies or the reference ones as history."""
        replies = [turn["assistant"] for turn in self.turns] if config.history == "own" else self.reference_replies
        return build_chat(self.user_messages[: len(self.turns) + 1], replies, config.system_prompt)

    def next_request(self, config: RequestConfig) -> Request:
        """What is asked of an engine next."""
        return Request(self.messages(config), keyed_hash(config.seed, self.key, str(len(self.turns))) >> 32)

    def add_reply(self, reply: Reply, config: RequestConfig) -> None:
        """Add the reply to the turn that was asked; one that is no answer ends the conversation."""
        asked = drop_oldest_turns(self.messages(config), reply.trimmed_turns)
        said = THINKING.sub("", reply.text, count=1) if config.thinking == "strip" else reply.text
        turn = Turn(
            user=self.user_messages[len(self.turns)],
            assistant=said,
            raw=reply.text if said != reply.text else "",
            finish_reason=reply.finish_reason,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            trimmed_turns=reply.trimmed_turns,
            prompt_sha=chat_sha(asked),
        )
        self.turns.append(turn)
        self.cached_tokens += reply.cached_tokens
        if reply.finish_reason in UNANSWERED:
            self.status, self.reason = reply.finish_reason, reply.reason


def run_conversations(
    engine: Engine, conversations: Iterable[Conversation], config: RequestConfig, max_concurrent: int
) -> Iterator[Conversation]:
    """Run every conversation to its end and yield each as it ends; those begun are finished before others begin.

    A prompt that leaves no room for a reply in the window ends its conversation as `context_overflow`; one that the
    engine cannot answer, as `failed`.
    """
    waiting, running = iter(conversations), dict[str, Conversation]()
    while True:
        while len(running) < max_concurrent and (conversation := next(waiting, None)) is not None:
            running[conversation.key] = conversation
            engine.submit(conversation.key, conversation.next_request(config))
        if not running:
            return
        ended = []
        for name, reply in engine.step():
            conversation = running[name]
            conversation.add_reply(reply, config)
            if conversation.is_finished:
                ended.append(running.pop(name))
            else:
                engine.submit(name, conversation.next_request(config))
        yield from ended  # last: the engine works on while they are written
