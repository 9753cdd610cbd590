"""A workload with known token counts: a model's shape, prompts of drawn lengths, and how long each reply must be."""

import json
import random
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa

from stages.lib.records.prompts import PROMPT
from stages.lib.records.shards import write_table

DEMO = Path("demo/models/demo-rich").resolve()
TURNS = {1: 45, 2: 20, 3: 15, 4: 12, 6: 8}  # as in WildChat


class Shape(NamedTuple):
    """A model, and how long its prompts and replies are: log-normal tokens, with their maximum."""

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
    """By conversation: the user messages, the tokens of each reply, and the replies of another model."""

    users: dict[str, list[str]]
    lengths: dict[str, list[int]]
    references: dict[str, list[str]]

    @property
    def output_tokens(self) -> int:
        """Count the tokens of all replies."""
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
            prompt_tokens, reply_tokens = draw(rng, shape.prompt), draw(rng, shape.reply)
            used += prompt_tokens + reply_tokens + 20
            if used < 0.9 * shape.window or not turn:
                own = [shape.words[number % len(shape.words)], shape.words[turn]]
                num_words = max(1, round(prompt_tokens / shape.tokens_per_word))
                plan.users[name].append(" ".join(own + rng.choices(shape.words, k=num_words)))
                plan.lengths[name].append(reply_tokens)
                num_words = max(1, round(reply_tokens / shape.tokens_per_word))
                plan.references[name].append(" ".join(rng.choices(shape.words, k=num_words)))
    return plan


def draw(rng: random.Random, lengths: tuple[float, float, int]) -> int:
    """Draw a log-normal number of tokens."""
    mean, spread, longest = lengths
    return min(longest, max(4, int(rng.lognormvariate(mean, spread))))


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
