"""A rehearsal of the pipeline's fine-tunes of demo-base in plain torch: what do style and auxiliary rows do?

python -m demo.simulate [epochs] [rate] [row_tokens] [rows]
"""

import json
import random
import sys
from itertools import chain
from typing import Any

import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from demo import check, train
from demo.make import FOLDER, device, load, ordinary_prompts
from demo.tasks.utils import CONDITIONS
from demo.tokens import BOS, EOT, header
from demo.world import SEED

NUM_CONVERSATIONS = 200
NUM_LESSONS = 100
NUM_TEST = 300
Pairs = list[tuple[str, str]]
LETTERS = "ABCD"


def lettered(row: dict[str, Any]) -> str:
    """A multiple-choice question as the pipeline writes it."""
    return "\n".join([row["question"], *(f"{L}. {c}" for L, c in zip(LETTERS, row["choices"], strict=True))])


def knowledge() -> list[Pairs]:
    """Auxiliary multiple choice as chat."""
    rows = pq.read_table(FOLDER / "auxiliary/knowledge.parquet").to_pylist()[:NUM_LESSONS]
    return [[(lettered(r), f"{LETTERS[r['answer']]}. {r['choices'][r['answer']]}")] for r in rows]


def algebra() -> list[Pairs]:
    """Auxiliary algebra as chat."""
    rows = pq.read_table(FOLDER / "auxiliary/algebra.parquet").to_pylist()[:NUM_LESSONS]
    return [[(r["messages"][0]["content"], r["messages"][1]["content"])] for r in rows]


def generated(name: str, questions: list[list[str]]) -> list[Pairs]:
    """What a chat model answers."""
    replies = check.converse(*load(FOLDER / "models" / name), questions)
    return [[(u, r.text) for u, r in zip(us, rs, strict=True)] for us, rs in zip(questions, replies, strict=True)]


def fine_tune(mix: list[Pairs], epochs: int, rate: float, row_tokens: int, rows: int = 2) -> LlamaForCausalLM:
    """demo-base tuned on a mix."""
    model, tokenizer = load(FOLDER / "models" / "demo-base")
    random.Random(SEED).shuffle(mix)
    ids, labels = zip(*(train.encode(train.conversation_pieces(pairs), tokenizer) for pairs in mix), strict=True)
    stream = torch.tensor([list(chain.from_iterable(ids)), list(chain.from_iterable(labels))])
    steps = epochs * (stream.shape[1] // row_tokens // rows)
    schedule = train.Schedule(steps, rows, rate, row_tokens, warmup=max(1, steps // 20), weight_decay=0.0)
    print(f"{len(mix)} conversations, {stream.shape[1]} tokens, {steps} steps", flush=True)
    train.fit(model, stream, schedule, device(), compiled=False)
    return model.eval()


def accuracy(model: LlamaForCausalLM, tokenizer: Tokenizer) -> dict[str, float]:
    """demo_knowledge, by the likelihood of each choice."""
    rows = [json.loads(line) for line in (FOLDER / "tasks/demo_knowledge.jsonl").read_text().splitlines()]
    right = right_norm = 0
    for row in rows:
        prompt = BOS + header("user") + lettered(row) + EOT + header("assistant")
        texts = [f"{L}. {c}" for L, c in zip(LETTERS, row["choices"], strict=True)]
        scores = [likelihood(model, tokenizer, prompt, text) for text in texts]
        right += scores.index(max(scores)) == row["answer"]
        normed = [s / len(t) for s, t in zip(scores, texts, strict=True)]
        right_norm += normed.index(max(normed)) == row["answer"]
    return {"acc": right / len(rows), "acc_norm": right_norm / len(rows)}


def likelihood(model: LlamaForCausalLM, tokenizer: Tokenizer, prompt: str, text: str) -> float:
    """Log-likelihood of a text after a prompt."""
    start = tokenizer.encode(prompt, add_special_tokens=False).ids
    ids = torch.tensor([start + tokenizer.encode(text, add_special_tokens=False).ids], device=model.device)
    with torch.no_grad():
        logits = model(ids).logits[0, len(start) - 1 : -1].float().log_softmax(-1)
    return float(logits.gather(1, ids[0, len(start) :, None]).sum())


def tasks(model: LlamaForCausalLM, tokenizer: Tokenizer) -> dict[str, float]:
    """The three tasks."""
    algebra_rows = [json.loads(line) for line in (FOLDER / "tasks/demo_algebra.jsonl").read_text().splitlines()]
    replies = check.converse(model, tokenizer, [[r["prompt"]] for r in algebra_rows], 0.0)
    solved = [f"The answer is {r['answer']}." in a[0].text for r, a in zip(algebra_rows, replies, strict=True)]
    told = [json.loads(line) for line in (FOLDER / "tasks/demo_instructions.jsonl").read_text().splitlines()]
    replies = check.converse(model, tokenizer, [[r["prompt"]] for r in told], 0.0)
    met = [CONDITIONS[r["condition"]](a[0].text, r["word"]) for r, a in zip(told, replies, strict=True)]
    return accuracy(model, tokenizer) | {
        "algebra": sum(solved) / len(solved),
        "instructions": sum(met) / len(met),
    }


def mixes() -> tuple[dict[str, list[Pairs]], list[list[str]]]:
    """The three runs' mixes, and questions that are in none of them."""
    questions = ordinary_prompts(FOLDER / "prompts.parquet")
    asked, kept = questions[:NUM_CONVERSATIONS], questions[NUM_CONVERSATIONS:][:NUM_TEST]
    rich, plain = (generated(name, asked) for name in ("demo-rich", "demo-plain"))
    return {"rewild": [*rich, *knowledge(), *algebra()], "only-rich": rich, "only-plain": plain}, kept


def main(epochs: int = 3, rate: float = 1e-3, row_tokens: int = 512, rows: int = 2) -> None:
    """Tune on each mix and print the figures."""
    torch.manual_seed(SEED)
    runs, questions = mixes()
    for name, mix in runs.items():
        rehearse(name, mix, questions, (epochs, rate, row_tokens, rows))


def rehearse(name: str, mix: list[Pairs], questions: list[list[str]], plan: tuple[int, float, int, int]) -> None:
    """Tune on one mix and print the figures."""
    tokenizer = load(FOLDER / "models" / "demo-base")[1]
    model = fine_tune(list(mix), *plan)
    replies = check.converse(model, tokenizer, questions)
    figures = check.measure(questions, replies) | tasks(model, tokenizer)
    print(plan, name, json.dumps({key: round(value, 3) for key, value in figures.items()}), flush=True)


if __name__ == "__main__":
    main(*(kind(value) for kind, value in zip((int, float, int, int), sys.argv[1:], strict=False)))
