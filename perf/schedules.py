"""Output tokens per second of several ways to ask the same multi-turn conversations, with equal token counts.

python -m perf.schedules                                                  the demo's model, on any machine
python -m perf.schedules --shape llama-3.1-8b --conversations 1500        that shape, dummy weights, on a GPU

bare        the engine's own loop over lists of token ids, in the engine's process: no text, no template, no records
stage       what `generate` does: conversations, own history, records, store, responses, ledger
barrier     the same questions, but every conversation waits until all have ended their turn; no records
in_batches  the released code's way: the original replies as history, all turns of a quarter at once; no records
reference   the original replies as history, without a barrier; no records

Every reply is exactly as long as planned (the end of turn is ignored), and the prefix cache is emptied before each way,
so the ratios are of speed alone. (Where a model's odd tokens read again as other tokens, prompts differ a little: see
`input`.)
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from stages.generate import read_prompts, write_responses
from stages.lib.console.errors import UserError
from stages.lib.core.files import ROWS_SUMMARY, read_json
from stages.lib.engines.base import Engine, Reply, Request
from stages.lib.engines.request import RequestConfig
from stages.lib.engines.supervisor import LOGS, SupervisedEngine
from stages.lib.engines.vllm import VllmEngine
from stages.lib.generation.cached import batches, finish
from stages.lib.generation.conversations import Conversation, run_conversations
from stages.lib.generation.imports import to_imported_turn
from stages.lib.generation.store import Store, read_segment
from stages.lib.models.catalogue import Model
from stages.lib.models.sampling import Sampling
from stages.lib.records.chats import build_chat
from stages.lib.records.prompts import PROMPT
from stages.lib.records.shards import write_table
from stages.lib.settings.runtime import Runtime

DEMO = Path("demo/models/demo-rich").resolve()
TURNS = {1: 45, 2: 20, 3: 15, 4: 12, 6: 8}  # as in WildChat
WAYS = ("bare", "stage", "barrier", "in_batches", "reference")


class Shape(NamedTuple):
    """A model, and the lengths of what is asked of it: log-normal tokens, with their largest value."""

    window: int
    concurrent: int
    prompt: tuple[float, float, int]
    reply: tuple[float, float, int]
    words: list[str]
    tokens_per_word: float
    dtype: Literal["bfloat16", "float32"]
    dummy: bool


DEMO_WORDS = "the harbour opens before dawn and people ask what a slow river carries to its mouth in spring".split()
SHAPES = {
    "demo": Shape(2048, 64, (3.0, 0.8, 150), (4.0, 0.7, 240), DEMO_WORDS, 1.4, "float32", False),
    "llama-3.1-8b": Shape(
        8192, 512, (5.0, 1.0, 2000), (5.7, 0.7, 1638), [f"w{n}" for n in range(128_000)], 1.0, "bfloat16", True
    ),
}
LLAMA_8B = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
    "vocab_size": 128_256, "max_position_embeddings": 131_072, "rope_theta": 500_000.0, "rms_norm_eps": 1e-5,
    "hidden_act": "silu", "tie_word_embeddings": False, "torch_dtype": "bfloat16", "bos_token_id": 0, "eos_token_id": 1,
}  # fmt: skip
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|eot|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


class Plan(NamedTuple):
    """What every conversation asks, how long its replies are, and those of another model."""

    users: dict[str, list[str]]
    lengths: dict[str, list[int]]
    references: dict[str, list[str]]

    @property
    def output_tokens(self) -> int:
        """Of all replies together."""
        return sum(map(sum, self.lengths.values()))


def write_shape(folder: Path) -> Path:
    """Write a model of the shape of Llama-3.1-8B without weights, with a tokenizer in which each token is a word.

    (So a dummy model's random tokens read again as the same tokens, and all ways have equal prompts.)
    """
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    controls = ["<|bos|>", "<|eot|>", "<|user|>", "<|assistant|>", "<|system|>"]
    names = controls + [f"w{number}" for number in range(128_256 - len(controls))]
    tokenizer = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, unk_token="w0"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([AddedToken(control, special=True) for control in controls])
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=controls[0], eos_token=controls[1])
    wrapped.chat_template = TEMPLATE
    wrapped.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(LLAMA_8B), encoding="utf-8")
    return folder


def make_plan(shape: Shape, count: int) -> Plan:
    """Draw the user turns of every conversation and the lengths of its replies, as far as they fit the window."""
    rng = random.Random(1)
    plan = Plan({}, {}, {})
    for number in range(count):
        used, name = 0, str(number)
        plan.users[name], plan.lengths[name], plan.references[name] = [], [], []
        for turn in range(rng.choices(list(TURNS), list(TURNS.values()))[0]):
            asked, said = (draw(rng, shape.prompt), draw(rng, shape.reply))
            used += asked + said + 20
            if used < 0.9 * shape.window or not turn:
                own = [shape.words[number % len(shape.words)], shape.words[turn]]
                num_words = max(1, round(asked / shape.tokens_per_word))
                plan.users[name].append(" ".join(own + rng.choices(shape.words, k=num_words)))
                plan.lengths[name].append(said)
                num_words = max(1, round(said / shape.tokens_per_word))
                plan.references[name].append(" ".join(rng.choices(shape.words, k=num_words)))
    return plan


def draw(rng: random.Random, lengths: tuple[float, float, int]) -> int:
    """A log-normal number of tokens."""
    mean, spread, longest = lengths
    return min(longest, max(4, int(rng.lognormvariate(mean, spread))))


class Planned(VllmEngine):
    """An engine whose replies have the planned lengths. A key that begins with `!` is an order."""

    def __init__(self, plan: Plan, dummy: bool, model: Model, config: RequestConfig, runtime: Runtime) -> None:
        self.plan, self.dummy = plan, dummy
        self.concurrent = runtime.max_concurrent
        self.asked: Counter[str] = Counter()
        super().__init__(model, config, runtime)
        self._stop_ids = []

    def options(self, model: Model, runtime: Runtime) -> dict[str, Any]:
        """The same, with dummy weights if there are none."""
        return super().options(model, runtime) | ({"load_format": "dummy"} if self.dummy else {})

    def sampling(self, key: str, request: Request, max_tokens: int) -> dict[str, Any]:
        """As many tokens as the plan says for this turn of the conversation."""
        name, _, turn = key.partition("#")
        number = int(turn) if turn else self.asked[name]
        self.asked[name] += 1
        length = min(self.plan.lengths[name][number], max_tokens)
        return super().sampling(key, request, max_tokens) | {"max_tokens": length, "ignore_eos": True}

    def submit(self, key: str, request: Request) -> None:
        """Ask, or do what is ordered."""
        if not key.startswith("!"):
            super().submit(key, request)
            return
        self.asked.clear()
        self._engine.reset_prefix_cache()
        tokens, seconds = self.bare(int(request.messages[0]["content"])) if key == "!bare" else (0, 0.0)
        self._early.append((key, Reply(str(seconds), "stop", tokens, 0)))

    def bare(self, count: int) -> tuple[int, float]:
        """The engine's own loop over token ids: input tokens, and seconds."""
        names = list(self.plan.users)[:count]
        pieces = {name: self._pieces(self.plan.users[name]) for name in names}
        began, tokens, waiting, running, done = time.monotonic(), 0, iter(names), dict[str, list[int]](), Counter[str]()
        while True:
            while len(running) < self.concurrent and (name := next(waiting, None)) is not None:
                running[name] = []
                tokens += self._ask(name, running[name], pieces[name][0])
            if not running:
                return tokens, time.monotonic() - began
            for output in self._engine.step():
                if output.finished:
                    name = output.request_id
                    done[name] += 1
                    running[name] += output.outputs[0].token_ids
                    if done[name] == len(pieces[name]):
                        del running[name]
                    else:
                        tokens += self._ask(name, running[name], pieces[name][done[name]])

    def _ask(self, name: str, said: list[int], piece: list[int]) -> int:
        """Submit a conversation's next turn; the tokens of its prompt."""
        said += piece
        params = self._sampling_params(**self.sampling(name, Request([], 1), 10_000))
        self._engine.add_request(name, {"prompt_token_ids": list(said)}, params)
        return len(said)

    def _pieces(self, users: list[str]) -> list[list[int]]:
        """What a chat adds to its prompt with each turn, besides the reply."""
        first, rest = users[0], users[1:]
        word = self.encode(build_chat([users[0]], []))
        said = self._tokenizer.encode("w5", add_special_tokens=False)
        later = [self.encode(build_chat([first, user], ["w5"]))[len(word) + len(said) :] for user in rest]
        return [word, *later]


Result = tuple[int, int, float]  # input tokens, of them from the cache, seconds


def order(engine: Engine, word: str, content: str = "") -> Reply:
    """Have something done in the engine's process."""
    engine.submit(word, Request([{"role": "user", "content": content}], 0))
    while not (ended := engine.step()):
        pass
    return ended[0][1]


def bare(engine: Engine, plan: Plan, _rules: RequestConfig, _model: Model, _runtime: Runtime) -> Result:
    """The engine's own loop, timed where it runs."""
    reply = order(engine, "!bare", str(len(plan.users)))
    return reply.prompt_tokens, 0, float(reply.text)


def stage(engine: Engine, plan: Plan, config: RequestConfig, model: Model, runtime: Runtime) -> Result:
    """What `generate` does, all of it."""
    began, wall = time.monotonic(), time.time_ns()
    store = Store(Path("store"), model.id)
    names = {name: f"{name}-{began}" for name in plan.users}
    for batch in batches(finish(engine, read_prompts(), names, model, config, runtime), engine, runtime):
        store.append(batch)
    segments = [segment for segment in store.segments() if segment.stat().st_mtime_ns > wall]
    table = pa.concat_tables(filter(None, map(read_segment, segments)))
    write_responses(model, config, [table])
    seconds = time.monotonic() - began
    return sum(table["prompt_tokens"].to_pylist()), sum(table["cached_tokens"].to_pylist()), seconds


def run_chains(engine: Engine, groups: Iterable[list[Conversation]], config: RequestConfig, runtime: Runtime) -> Result:
    """One group of conversations after the other."""
    began, conversations = time.monotonic(), list[Conversation]()
    for group in groups:
        conversations += run_conversations(engine, group, config, runtime.max_concurrent)
    seconds = time.monotonic() - began
    asked = sum(
        conversation.turns[-1]["prompt_tokens"] if "#" in conversation.key else prompt_tokens(conversation)
        for conversation in conversations
    )
    return asked, sum(conversation.cached_tokens for conversation in conversations), seconds


def prompt_tokens(conversation: Conversation) -> int:
    """Of all turns of a conversation."""
    return sum(turn["prompt_tokens"] for turn in conversation.turns)


def barrier(engine: Engine, plan: Plan, config: RequestConfig, _model: Model, runtime: Runtime) -> Result:
    """Turn by turn, all conversations together."""
    conversations = {name: Conversation(name, []) for name in plan.users}

    def rounds() -> Iterable[list[Conversation]]:
        for number in range(max(map(len, plan.users.values()))):
            asked = [conversation for name, conversation in conversations.items() if len(plan.users[name]) > number]
            for conversation in asked:
                conversation.user_messages = plan.users[conversation.key][: number + 1]
            yield asked

    _, _, seconds = run_chains(engine, rounds(), config, runtime)
    whole = conversations.values()
    return sum(map(prompt_tokens, whole)), sum(conversation.cached_tokens for conversation in whole), seconds


def in_batches(engine: Engine, plan: Plan, config: RequestConfig, _model: Model, runtime: Runtime) -> Result:
    """All turns of a quarter of the conversations at once, on the replies of another model."""
    names = list(plan.users)
    return run_chains(engine, (every_turn(plan, names[start::4]) for start in range(4)), by_reference(config), runtime)


def every_turn(plan: Plan, names: list[str]) -> list[Conversation]:
    """A conversation for each turn of these conversations, with the turns before it as if they had been asked."""
    return [
        Conversation(
            f"{name}#{turn}",
            plan.users[name][: turn + 1],
            plan.references[name],
            [to_imported_turn(text, "") for text in plan.users[name][:turn]],
        )
        for name in names
        for turn in range(len(plan.users[name]))
    ]


def reference(engine: Engine, plan: Plan, config: RequestConfig, _model: Model, runtime: Runtime) -> Result:
    """Chains on the replies of another model."""
    conversations = [Conversation(name, users, plan.references[name]) for name, users in plan.users.items()]
    return run_chains(engine, [conversations], by_reference(config), runtime)


def by_reference(config: RequestConfig) -> RequestConfig:
    """The same with the original replies as history."""
    return RequestConfig(config.sampling, config.max_tokens, config.window, config.seed, "reference")


DO: dict[str, Callable[..., Result]] = {
    "bare": bare, "stage": stage, "barrier": barrier, "in_batches": in_batches, "reference": reference
}  # fmt: skip


def measure(engine: Engine, plan: Plan, ways: list[str], config: RequestConfig, model: Model, runtime: Runtime) -> None:
    """Warm up, time each way, print its speed and what the stage's is of it."""
    few = Plan({name: plan.users[name] for name in list(plan.users)[:20]}, plan.lengths, plan.references)
    order(engine, "!forget")
    stage(engine, few, config, model, runtime)
    speeds: dict[str, list[float]] = {}
    for way in ways:
        order(engine, "!forget")
        asked, cached, seconds = DO[way](engine, plan, config, model, runtime)
        speeds.setdefault(way, []).append(plan.output_tokens / seconds)
        print(
            f"{way:10} {plan.output_tokens / seconds:8.0f} output tokens/s {asked:9} input {cached:9} of it cached "
            f"{seconds:7.1f} s",
            flush=True,
        )
    mean = {way: sum(found) / len(found) for way, found in speeds.items()}
    if "stage" in mean:
        ledger = read_json(Path("data/ledger") / model.id / ROWS_SUMMARY)
        print(f"stage's ledger: {', '.join(f'{name} {ledger[name]}' for name in ('vram_gib', 'kv_share', 'hardware'))}")
        print(", ".join(f"stage / {way} {mean['stage'] / mean[way]:.3f}" for way in mean if way != "stage"))
    for way, found in speeds.items():
        if len(found) > 1:
            print(f"the runs of {way} differ by a factor of {max(found) / min(found):.3f}")


def main() -> None:
    """Start an engine and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="demo")
    parser.add_argument("--conversations", type=int, default=200)
    parser.add_argument("--concurrent", type=int, default=0, help="conversations at once; 0: the shape's own")
    parser.add_argument("--ways", default="bare,stage,barrier,in_batches,reference,bare", help=f"of {', '.join(WAYS)}")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            compare(SHAPES[asked.shape], asked)
        except UserError as error:
            log = LOGS / "bench.log"
            sys.exit(f"{error}\n{log.read_text(errors='replace')[-3000:] if log.exists() else ''}")


def compare(shape: Shape, asked: argparse.Namespace) -> None:
    """Start an engine of a shape and time it."""
    plan = make_plan(shape, asked.conversations)
    write_prompts(plan)
    runtime = Runtime(max_concurrent=asked.concurrent or shape.concurrent, stall_seconds=900)
    config = RequestConfig(Sampling(), shape.reply[2], shape.window, 1)
    model = Model(
        id="bench", name=asked.shape, location=str(write_shape(Path("shape")) if shape.dummy else DEMO), kind="local",
        commit="none", parameters_billions=8.03, context_window=shape.window, dtype=shape.dtype,
    )  # fmt: skip
    with closing(SupervisedEngine(partial(Planned, plan, shape.dummy, model, config), runtime, "bench")) as engine:
        turns = sum(map(len, plan.users.values()))
        print(
            f"{engine.description}, {asked.shape}: {asked.conversations} conversations, {turns} turns, "
            f"{plan.output_tokens} output tokens, {runtime.max_concurrent} at once",
            flush=True,
        )
        measure(engine, plan, asked.ways.split(","), config, model, runtime)
        print(engine.usage())


def write_prompts(plan: Plan) -> None:
    """Write the plan as the prompts of the stage."""
    folder = Path("data/prompts")
    folder.mkdir(parents=True)
    rows = [
        {
            "conversation_hash": name, "source": "bench", "language": "", "toxic": False,
            "turns": [{"user": user, "reference": ""} for user in users],
        }
        for name, users in plan.users.items()
    ]  # fmt: skip
    write_table(folder, pa.Table.from_pylist(rows, schema=PROMPT))


if __name__ == "__main__":
    main()
