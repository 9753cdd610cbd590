"""Conversations run turn by turn on one engine that is kept full: turn k+1 is submitted as soon as turn k has ended."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import ceil
from typing import Any

from stages.lib.console.interrupts import check_signals
from stages.lib.engines.base import Engine, Reply, Request
from stages.lib.engines.request import RequestConfig
from stages.lib.models.thinking import strip_thoughts
from stages.lib.records.chats import Message, build_chat, drop_oldest_turns, join_systems
from stages.lib.records.hashing import chat_sha, keyed_hash
from stages.lib.records.prompts import system_of
from stages.lib.records.responses import UNANSWERED, Turn
from stages.lib.settings.sections import History

SPARE = 1.1  # times as many conversations as all replicas of a pool take


@dataclass(slots=True)
class Conversation:
    """A prompt and the turns that have been answered so far."""

    key: str  # conversation_hash; decides the seeds with the config, and names the conversation's requests
    user_messages: list[str]
    reference_replies: list[str] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    status: str = "ok"
    reason: str = ""
    cached_tokens: int = 0
    hardware: str = ""  # of the replica that gave the last reply; empty: the engine's
    identity: str = ""  # in the store; empty where none is kept
    system: str = ""  # the prompt's system message

    @classmethod
    def from_prompt(cls, prompt: Mapping[str, Any], identity: str, history: History) -> "Conversation":
        """Begin the conversation of a prompt (a row of PROMPT), with the reference replies only if they are used."""
        turns = prompt["turns"]
        references = [turn["reference"] for turn in turns] if history == "reference" else []
        users = [turn["user"] for turn in turns]
        return cls(prompt["conversation_hash"], users, references, identity=identity, system=system_of(prompt))

    @property
    def is_finished(self) -> bool:
        """Whether no turn is left to ask."""
        return self.status != "ok" or len(self.turns) == len(self.user_messages)

    @property
    def expected_work(self) -> tuple[int, int]:
        """How long it may run: its turns, then the characters of what is asked."""
        return len(self.user_messages), sum(map(len, [self.system, *self.user_messages]))

    def messages(self, config: RequestConfig) -> list[Message]:
        """Return the chat up to the next user message, with the own or the reference replies as history.

        A system message is the catalogue's text, then the prompt's.
        """
        own_replies = [turn["assistant"] for turn in self.turns]
        replies = own_replies if config.history == "own" else self.reference_replies
        system = join_systems(config.system_prompt, self.system)
        return build_chat(self.user_messages[: len(self.turns) + 1], replies, system)

    def next_request(self, config: RequestConfig) -> Request:
        """Return the request for the next turn; its seed depends on the config, the conversation and the turn."""
        seed = keyed_hash(config.seed, self.key, str(len(self.turns))) >> 32
        return Request(self.messages(config), seed)

    def add_reply(self, reply: Reply, config: RequestConfig) -> None:
        """Add the reply to the requested turn; one of UNANSWERED ends the conversation."""
        sent = drop_oldest_turns(self.messages(config), reply.trimmed_turns)
        user = self.user_messages[len(self.turns)]
        assistant, raw = split_reply(reply.text, config, user, reply.opened)
        turn = Turn(
            user=user,
            assistant=assistant,
            raw=raw,
            finish_reason=reply.finish_reason,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            trimmed_turns=reply.trimmed_turns,
            prompt_sha=chat_sha(sent),
        )
        self.turns.append(turn)
        self.cached_tokens += reply.cached_tokens
        self.hardware = reply.hardware
        if reply.finish_reason in UNANSWERED:
            self.status, self.reason = reply.finish_reason, reply.reason


def split_reply(text: str, config: RequestConfig, asked: str, opened: str = "") -> tuple[str, str]:
    """Return a reply as it is kept, and the whole text where that is another: where thoughts were stripped.

    `asked` is the user's message, `opened` the tag of thoughts that the prompt ended with.
    """
    if config.thinking == "keep":
        return text, ""
    kept = strip_thoughts(text, opened, dict(config.thinking_tags), asked)
    return kept, text if kept != text else ""


def longest_first(conversations: Iterable[Conversation], lookahead: int) -> Iterator[Conversation]:
    """Yield each time the conversation with the most expected work among the next `lookahead`; equal ones in order.

    So short ones are held back until the end, where a long one that begins late would run almost alone. In a longer
    stream most conversations pass in their order.
    """
    pending: list[tuple[int, int, int, Conversation]] = []  # a heap; the unique position decides before it is compared
    for position, conversation in enumerate(conversations):
        num_turns, num_chars = conversation.expected_work
        heappush(pending, (-num_turns, -num_chars, position, conversation))
        if len(pending) > lookahead:
            yield heappop(pending)[-1]
    while pending:
        yield heappop(pending)[-1]


def room(engine: Engine, max_concurrent: int) -> int:
    """Return how many conversations an engine takes at once; of a pool, a few more, so that no replica waits."""
    replicas = engine.num_replicas
    return max_concurrent if replicas == 1 else ceil(max(replicas, 1) * max_concurrent * SPARE)


def run_conversations(
    engine: Engine, conversations: Iterable[Conversation], config: RequestConfig, max_concurrent: int
) -> Iterator[Conversation]:
    """Run every conversation to its end and yield each as it ends; those begun are finished before others begin.

    A prompt that leaves no room for a reply in the window ends its conversation as `context_overflow`; one with a
    system message that the model has no role for, as `no_system_role`; one that the engine cannot answer, as `failed`.
    A signal that is held ends it when all that have ended are yielded.
    """
    waiting, running = iter(conversations), dict[str, Conversation]()
    while True:
        check_signals()
        while len(running) < room(engine, max_concurrent) and (conversation := next(waiting, None)) is not None:
            running[conversation.key] = conversation
            engine.submit(conversation.key, conversation.next_request(config))
        if not running:
            return
        ended = []
        for key, reply in engine.step():
            conversation = running[key]
            conversation.add_reply(reply, config)
            if conversation.is_finished:
                ended.append(running.pop(key))
            else:
                engine.submit(key, conversation.next_request(config))
        yield from ended  # last: the engine works on while they are written
