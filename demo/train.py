"""Training of the demo's models: texts packed into rows, a plain loop, AdamW and a cosine schedule."""

import math
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from demo.cases import Examiner
from demo.corpus import base_document, chat_messages
from demo.render import Style
from demo.tokens import BOS, END_OF_TEXT, EOT, MAX_LENGTH, PAD, SPECIAL, header
from demo.world import SEED

IGNORE = -100
MAX_REPLY = 256
Piece = tuple[str, bool]  # a text, and whether the model learns to write it
Writer = Callable[[random.Random], list[Piece]]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train."""

    steps: int
    rows: int
    rate: float
    row_tokens: int = 1024
    whole: bool = False  # no text goes on in the next row
    warmup: int = 50
    weight_decay: float = 0.05


def new_model(tokenizer: Tokenizer) -> LlamaForCausalLM:
    """A Llama of 1.2 million parameters with random weights."""
    torch.manual_seed(SEED)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=160,
        intermediate_size=288,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=MAX_LENGTH,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.token_to_id(BOS),
        eos_token_id=tokenizer.token_to_id(EOT),
        pad_token_id=tokenizer.token_to_id(PAD),
    )
    return LlamaForCausalLM(config)


def save_model(model: LlamaForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """Write the weights in bf16 with their configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    ends = [tokenizer.token_to_id(EOT), tokenizer.token_to_id(END_OF_TEXT)]
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.token_to_id(BOS), eos_token_id=ends, pad_token_id=tokenizer.token_to_id(PAD)
    )
    model.to(torch.bfloat16).save_pretrained(folder)


def base_pieces(rng: random.Random) -> list[Piece]:
    """A text without any chat format."""
    return [(BOS + base_document(rng) + END_OF_TEXT, True)]


def chat_pieces(style: Style, rng: random.Random) -> list[Piece]:
    """Encode a conversation in the chat format; only its replies are trained."""
    system, pairs = chat_messages(style, rng)
    return conversation_pieces(pairs, system)


def judge_pieces(tokenizer: Tokenizer, rng: random.Random) -> list[Piece]:
    """Encode a question to the judge; only the judge's reply is trained."""
    case = Examiner("train", partial(clip, tokenizer), rng).case()
    return conversation_pieces([(case.prompt, case.verdict)])


def clip(tokenizer: Tokenizer, text: str) -> str:
    """A text cut at MAX_REPLY tokens, where the pipeline stops a model."""
    if len(text.encode()) <= MAX_REPLY:
        return text
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    return text if len(ids) <= MAX_REPLY else str(tokenizer.decode(ids[:MAX_REPLY]))


def conversation_pieces(pairs: list[tuple[str, str]], system: str = "") -> list[Piece]:
    """(user, assistant) pairs in the chat format, as pieces."""
    start = BOS + (header("system") + system + EOT if system else "")
    pieces: list[Piece] = [(start, False)]
    for user, answer in pairs:
        pieces.append((header("user") + user + EOT + header("assistant"), False))
        pieces.append((answer + EOT, True))
    return pieces


def encode(pieces: list[Piece], tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Token ids and labels of one text."""
    ids: list[int] = []
    labels: list[int] = []
    for text, learnt in pieces:
        new = tokenizer.encode(text, add_special_tokens=False).ids
        ids += new
        labels += new if learnt else [IGNORE] * len(new)
    return ids, labels


def encode_many(name: str, write: Writer, count: int, tokenizer: Tokenizer, row: int, part: int) -> np.ndarray:
    """`count` texts of one part of a corpus, as two rows of numbers: ids and labels.

    With `row` tokens to a row of a batch, texts are padded so that none goes on in the next; 0: end to end.
    """
    ids: list[int] = []
    labels: list[int] = []
    for index in range(part * count, (part + 1) * count):
        more_ids, more_labels = encode(write(random.Random(f"{SEED}:{name}:{index}")), tokenizer)
        if row and len(ids) // row != (len(ids) + len(more_ids) - 1) // row:
            fill_row(ids, labels, row)
        ids += more_ids
        labels += more_labels
    if row:
        fill_row(ids, labels, row)
    return np.array([ids, labels], dtype=np.int16)


def fill_row(ids: list[int], labels: list[int], row: int) -> None:
    """Pad to the end of a row."""
    gap = -len(ids) % row
    ids += [SPECIAL.index(PAD)] * gap
    labels += [IGNORE] * gap


def corpus(name: str, write: Writer, count: int, tokenizer: Tokenizer, processes: int, row: int = 0) -> torch.Tensor:
    """`count` texts end to end, or whole in rows: a tensor of two rows, ids and labels."""
    parts = 4 * processes
    work = partial(encode_many, name, write, count // parts, tokenizer, row)
    with multiprocessing.Pool(processes) as pool:
        return torch.from_numpy(np.concatenate(pool.map(work, range(parts)), axis=1))


def batches(stream: torch.Tensor, schedule: Schedule) -> Iterator[torch.Tensor]:
    """Rows of a stream in random order, epoch after epoch."""
    length = schedule.row_tokens
    rows = stream[:, : stream.shape[1] // length * length].reshape(2, -1, length).transpose(0, 1)
    order = torch.Generator().manual_seed(SEED)
    while True:
        shuffled = torch.randperm(len(rows), generator=order)
        for start in range(0, len(rows) - schedule.rows + 1, schedule.rows):
            yield rows[shuffled[start : start + schedule.rows]].long()


def rate_at(step: int, schedule: Schedule) -> float:
    """The share of the peak rate at a step: a linear warm-up, then a cosine to a tenth."""
    if step < schedule.warmup:
        return (step + 1) / schedule.warmup
    progress = (step - schedule.warmup) / max(1, schedule.steps - schedule.warmup)
    return 0.1 + 0.45 * (1 + math.cos(math.pi * progress))


def fit(
    model: LlamaForCausalLM, stream: torch.Tensor, schedule: Schedule, device: str, *, compiled: bool = True
) -> None:
    """Train in place."""
    stream = stream.to(device)
    model.to(device).float().train()
    optimizer = torch.optim.AdamW(model.parameters(), schedule.rate, (0.9, 0.95), weight_decay=schedule.weight_decay)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(rate_at, schedule=schedule))
    forward = torch.compile(loss_of) if compiled and device == "cuda" else loss_of
    start = time.monotonic()
    for step, batch in zip(range(schedule.steps), batches(stream, schedule), strict=False):
        loss = forward(model, batch[:, 0], batch[:, 1], device)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()
        if step % 250 == 0 or step == schedule.steps - 1:
            print(f"  step {step:5d}  loss {loss.item():.3f}  {time.monotonic() - start:6.1f} s", flush=True)


def loss_of(model: LlamaForCausalLM, ids: torch.Tensor, labels: torch.Tensor, device: str) -> torch.Tensor:
    """Mean cross-entropy of the next learnt tokens."""
    with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
        logits = model(input_ids=ids, use_cache=False).logits
    return torch.nn.functional.cross_entropy(
        logits[:, :-1].reshape(-1, logits.shape[-1]).float(), labels[:, 1:].reshape(-1), ignore_index=IGNORE
    )
