"""Conversations as chains on one engine that is kept full: turn k+1 enters as soon as turn k has ended."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from stages.lib.conversation import Message, Turn, chat, chat_sha, keyed_hash
from stages.lib.engine import Engine, Reply
from stages.lib.params import Sampling

History = Literal["own", "reference"]


@dataclass(frozen=True, slots=True)
class Rules:
    """How a model is asked; the same for all of its conversations."""

    sampling: Sampling
    max_tokens: int  # per reply
    window: int  # tokens of prompt and reply together
    seed: int
    history: History = "own"
    system_prompt: str = ""


@dataclass(slots=True)
class Chain:
    """One conversation on its way: its user turns and the replies so far."""

    name: str
    users: list[str]
    references: list[str] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    status: str = "ok"

    @property
    def is_finished(self) -> bool:
        """Whether no turn is left to ask."""
        return self.status != "ok" or len(self.turns) == len(self.users)

    def messages(self, rules: Rules) -> list[Message]:
        """The chat up to the next user turn, with the model's own replies or the reference ones as history."""
        replies = [turn["assistant"] for turn in self.turns] if rules.history == "own" else self.references
        return chat(self.users[: len(self.turns) + 1], replies, rules.system_prompt)


def converse(engine: Engine, chains: Iterable[Chain], rules: Rules, max_concurrent: int) -> Iterator[Chain]:
    """Run every chain to its end and yield each as it ends. Conversations begun are finished before others begin.

    A prompt that leaves no room for a reply in the window ends its conversation as `context_overflow`.
    """
    waiting, running = iter(chains), dict[str, Chain]()
    asked: dict[str, Asked] = {}
    ended: list[Chain] = []
    exhausted = False
    while running or not exhausted:
        while len(running) < max_concurrent and not exhausted:
            chain = next(waiting, None)
            exhausted = chain is None
            if chain is not None:
                running[chain.name] = chain
                _ask(engine, chain, rules, asked)
                if chain.is_finished:
                    ended.append(running.pop(chain.name))
        for name, reply in engine.step():
            chain = running[name]
            chain.turns.append(_to_turn(chain, asked.pop(name), reply))
            if not chain.is_finished:
                _ask(engine, chain, rules, asked)
            if chain.is_finished:
                ended.append(running.pop(name))
        yield from ended
        ended.clear()


class Asked(NamedTuple):
    """A request under way."""

    tokens: int
    sha: str


def _ask(engine: Engine, chain: Chain, rules: Rules, asked: dict[str, Asked]) -> None:
    """Submit a chain's next turn, or end the chain when the turn does not fit the window."""
    messages = chain.messages(rules)
    prompt = engine.encode(messages)
    request = Asked(len(prompt), chat_sha(messages))
    room = rules.window - len(prompt)
    if room < 1:
        chain.turns.append(_to_turn(chain, request, Reply("", "context_overflow", 0)))
        chain.status = "context_overflow"
        return
    asked[chain.name] = request
    seed = keyed_hash(rules.seed, chain.name, str(len(chain.turns))) >> 32
    engine.submit(chain.name, prompt, rules.sampling, min(rules.max_tokens, room), seed)


def _to_turn(chain: Chain, request: Asked, reply: Reply) -> Turn:
    return Turn(
        user=chain.users[len(chain.turns)],
        assistant=reply.text,
        finish_reason=reply.finish_reason,
        prompt_tokens=request.tokens,
        completion_tokens=reply.completion_tokens,
        prompt_sha=request.sha,
    )
