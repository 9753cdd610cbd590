"""Output tokens per second of four ways to ask the same multi-turn conversations, with equal token counts.

python -m benchmarks.schedules [conversations]

bare        the engine's own loop over chains of token ids: no text, no template, no records (the control, run twice)
stage       what `generate` does: chains, own history, records, store, ledger
barrier     the same, but every conversation waits until all have ended their turn
in_batches  the released code's way: the original replies as history, all turns of a quarter at once

Every reply is exactly as long as planned (the end of turn is ignored), so the ratios are of speed alone.
"""

import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from stages.generate import batches, to_row
from stages.lib.chain import Chain, Rules, converse
from stages.lib.engine import VllmEngine
from stages.lib.imported import imported_turn
from stages.lib.model import Model, weights_digest
from stages.lib.params import Runtime, Sampling
from stages.lib.store import Store

MODEL = Path("demo/models/demo-rich")
TURNS = {1: 45, 2: 20, 3: 15, 4: 12, 6: 8}  # as in WildChat
WORDS, REPLY, LONGEST = (3.0, 0.8), (4.0, 0.7), 240  # log-normal words of a prompt; log-normal tokens of a reply
WINDOW, CONCURRENT = 2048, 64
VOCABULARY = "the harbour opens before dawn and people ask what a slow river carries to its mouth in spring".split()


class Planned(VllmEngine):
    """An engine whose replies have the planned lengths."""

    def __init__(self, model: Model, runtime: Runtime, lengths: dict[str, list[int]]) -> None:
        super().__init__(model, runtime)
        self.lengths = lengths
        self.asked: Counter[str] = Counter()

    def submit(self, key: str, prompt: list[int], sampling: Sampling, max_tokens: int, seed: int) -> None:
        """Ask for as many tokens as the plan says for this turn of the conversation."""
        name, _, turn = key.partition("#")
        number = int(turn) if turn else self.asked[name]
        self.asked[name] += 1
        tokens = min(self.lengths[name][number], max_tokens)
        params = self._sampling_params(temperature=1.0, max_tokens=tokens, ignore_eos=True, seed=seed)
        self._engine.add_request(key, {"prompt_token_ids": prompt}, params)

    def forget(self) -> None:
        """Begin anew, with an empty prefix cache."""
        self.asked.clear()
        self._engine.reset_prefix_cache()


def plan(count: int) -> tuple[dict[str, list[str]], dict[str, list[int]]]:
    """The user turns of every conversation and the lengths of its replies."""
    rng = random.Random(1)
    users, lengths = {}, {}
    for number in range(count):
        turns = rng.choices(list(TURNS), list(TURNS.values()))[0]
        sizes = [min(150, max(3, int(rng.lognormvariate(*WORDS)))) for _ in range(turns)]
        users[str(number)] = [" ".join(rng.choices(VOCABULARY, k=size)) + f" {number}?" for size in sizes]
        lengths[str(number)] = [min(LONGEST, max(4, int(rng.lognormvariate(*REPLY)))) for _ in range(turns)]
    return users, lengths


def bare(engine: Planned, users: dict[str, list[str]], rules: Rules) -> None:
    """The engine's own loop over token ids."""
    turns = {
        name: [engine.encode([{"role": "user", "content": text}]) for text in texts] for name, texts in users.items()
    }
    waiting, running = iter(turns), dict[str, list[int]]()
    done = Counter[str]()
    while True:
        while len(running) < CONCURRENT and (name := next(waiting, None)) is not None:
            running[name] = list(turns[name][0])
            engine.submit(name, running[name], rules.sampling, rules.max_tokens, 1)
        if not running:
            return
        for output in engine._engine.step():
            if output.finished:
                name = output.request_id
                done[name] += 1
                if done[name] == len(turns[name]):
                    del running[name]
                else:
                    running[name] += [*output.outputs[0].token_ids, *turns[name][done[name]]]
                    engine.submit(name, running[name], rules.sampling, rules.max_tokens, 1)


def stage(engine: Planned, users: dict[str, list[str]], rules: Rules) -> None:
    """What `generate` does."""
    finished = converse(engine, (Chain(name, texts) for name, texts in users.items()), rules, CONCURRENT)
    rows = (to_row(chain, chain.name, "bench", rules, engine.description) for chain in finished)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder), "bench")
        for batch in batches(rows, Runtime()):
            store.append(batch)


def barrier(engine: Planned, users: dict[str, list[str]], rules: Rules) -> None:
    """Turn by turn, all conversations together."""
    chains = {name: Chain(name, []) for name in users}
    for number in range(max(map(len, users.values()))):
        asked = [chain for name, chain in chains.items() if len(users[name]) > number]
        for chain in asked:
            chain.users = users[chain.name][: number + 1]
        for _ in converse(engine, asked, rules, CONCURRENT):
            pass


def in_batches(engine: Planned, users: dict[str, list[str]], rules: Rules) -> None:
    """All turns of a quarter of the conversations at once, on the replies of another model."""
    said = {name: reference(name, engine.lengths[name]) for name in users}
    names = list(users)
    reference_rules = Rules(rules.sampling, rules.max_tokens, rules.window, rules.seed, "reference")
    for start in range(4):
        chains = [
            Chain(
                f"{name}#{turn}",
                users[name][: turn + 1],
                said[name],
                [imported_turn(text, "") for text in users[name][:turn]],
            )
            for name in names[start::4]
            for turn in range(len(users[name]))
        ]
        for _ in converse(engine, chains, reference_rules, CONCURRENT):
            pass


def reference(name: str, lengths: list[int]) -> list[str]:
    """Replies of another model that are about as long as ours."""
    rng = random.Random(name)
    return [" ".join(rng.choices(VOCABULARY, k=max(1, round(length / 1.4)))) for length in lengths]


def time_all(engine: Planned, users: dict[str, list[str]], rules: Rules) -> Iterator[tuple[str, float]]:
    """Output tokens per second of each way."""
    tokens = sum(map(sum, engine.lengths.values()))
    ways: list[Callable[[Planned, dict[str, list[str]], Rules], None]] = [bare, stage, barrier, in_batches, bare]
    for way in ways:
        engine.forget()
        began = time.monotonic()
        way(engine, users, rules)
        yield way.__name__, tokens / (time.monotonic() - began)


def main(count: int = 200) -> None:
    """Warm up, time each way, print the ratios."""
    users, lengths = plan(count)
    model = Model(
        id="bench", name="bench", location=str(MODEL), kind="local", commit=weights_digest(MODEL),
        parameters_billions=0.0012, context_window=WINDOW, dtype="float32",
    )  # fmt: skip
    engine = Planned(model, Runtime(max_concurrent=CONCURRENT), lengths)
    rules = Rules(sampling=Sampling(), max_tokens=LONGEST, window=WINDOW, seed=1)
    few = dict(list(users.items())[:20])
    for way in (bare, stage):
        engine.forget()
        way(engine, few, rules)
    found: dict[str, list[float]] = {}
    for name, speed in time_all(engine, users, rules):
        found.setdefault(name, []).append(speed)
    speeds = {name: statistics.mean(values) for name, values in found.items()}
    spread = max(found["bare"]) / min(found["bare"])
    sys.stdout.write(f"{engine.description}, {count} conversations, {sum(map(sum, lengths.values()))} output tokens\n")
    for name, speed in speeds.items():
        sys.stdout.write(f"{name:10} {speed:9.0f} output tokens/s   stage / {name}: {speeds['stage'] / speed:.3f}\n")
    sys.stdout.write(f"the two runs of bare differ by a factor of {spread:.3f}\n")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
