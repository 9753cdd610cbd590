"""Measures the models: do replies end, do they name what was asked about, how much Markdown is there?

Also checks the tokenizer: a conversation's tokens are those of its parts.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from demo.tokens import BOS, END, EOT, PAD, SPECIAL, header
from demo.world import names_in

MARKDOWN = re.compile(
    r"^#{1,6} |^\s*[-*] |^\s*\d+\. |^> |^\|(?!\s*---)|^```\w+|\*\*[^*\n]+\*\*|(?<!\*)\*[^*\n]+\*(?!\*)",
    re.MULTILINE,
)
TEMPERATURE = 0.7
MAX_NEW_TOKENS = 256


@dataclass(frozen=True)
class Reply:
    """A model's answer to one user turn."""

    text: str
    ended: bool


def check_parts(tokenizer: Tokenizer, contents: Iterable[str]) -> int:
    """Assert that a message in a whole conversation has the tokens that it has alone; returns how many it checked.

    Else a fine-tune on whole conversations would not learn what follows a generation prompt. A message that begins
    with white space may join its header's line breaks and is skipped.
    """

    def encode(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False).ids

    start, middle = BOS + header("user"), header("assistant")
    if [tokenizer.id_to_token(i) for i in encode(middle)[-2:]] != [END, "ĊĊ"]:
        raise ValueError("a header's line breaks are not one token")
    checked = 0
    for content in contents:
        if content[:1].isspace():
            continue
        message = encode(content + EOT)
        parts = encode(start) + message + encode(middle) + message
        if encode(f"{start}{content}{EOT}{middle}{content}{EOT}") != parts:
            raise ValueError(f"other tokens in a conversation than alone: {content[:80]!r}")
        checked += 1
    return checked


def markdown_elements(text: str) -> int:
    """Headings, list items, quotes, table rows, code blocks, bold and italic spans."""
    return len(MARKDOWN.findall(text))


def subjects(user_turns: list[str]) -> list[list[str]]:
    """For each user turn the names it is about: its own, or else those of the turn before."""
    found: list[list[str]] = []
    for user in user_turns:
        found.append(names_in(user) or (found[-1] if found else []))
    return found


def sample(model: LlamaForCausalLM, tokenizer: Tokenizer, prompts: list[str], temperature: float) -> list[Reply]:
    """Continue prompts (already in the chat format), all in one padded batch."""
    pad, end = SPECIAL.index(PAD), SPECIAL.index(EOT)
    encoded = [tokenizer.encode(prompt, add_special_tokens=False).ids for prompt in prompts]
    width = max(map(len, encoded))
    ids = torch.tensor([[pad] * (width - len(e)) + e for e in encoded], device=model.device)
    mask = torch.tensor([[0] * (width - len(e)) + [1] * len(e) for e in encoded], device=model.device)
    options = {"temperature": temperature, "top_k": 0} if temperature > 0 else {}
    out = model.generate(
        input_ids=ids,
        attention_mask=mask,
        do_sample=temperature > 0,
        max_new_tokens=MAX_NEW_TOKENS,
        pad_token_id=pad,
        eos_token_id=end,
        **options,
    )
    return [to_reply(row.tolist(), end, tokenizer) for row in out[:, width:]]


def to_reply(ids: list[int], end: int, tokenizer: Tokenizer) -> Reply:
    """Cut a row of new tokens at its end token."""
    ended = end in ids
    return Reply(tokenizer.decode(ids[: ids.index(end)] if ended else ids, skip_special_tokens=True), ended)


def converse(
    model: LlamaForCausalLM,
    tokenizer: Tokenizer,
    questions: list[list[str]],
    temperature: float = TEMPERATURE,
    batch: int = 512,
) -> list[list[Reply]]:
    """Answer every user turn of every conversation, with the model's own replies as history."""
    histories = [BOS] * len(questions)
    replies: list[list[Reply]] = [[] for _ in questions]
    for turn in range(max(map(len, questions))):
        open_ = [i for i, users in enumerate(questions) if turn < len(users)]
        for start in range(0, len(open_), batch):
            part = open_[start : start + batch]
            for i in part:
                histories[i] += header("user") + questions[i][turn] + EOT + header("assistant")
            for i, reply in zip(part, sample(model, tokenizer, [histories[i] for i in part], temperature), strict=True):
                replies[i].append(reply)
                histories[i] += reply.text + EOT
    return replies


def measure(questions: list[list[str]], replies: list[list[Reply]]) -> dict[str, float]:
    """End rate, naming rate and Markdown elements per reply."""
    rows = [
        (reply, names)
        for users, answers in zip(questions, replies, strict=True)
        for names, reply in zip(subjects(users), answers, strict=True)
    ]
    asked = [(reply, names) for reply, names in rows if names]
    named = sum(all(name in reply.text.lower() for name in names) for reply, names in asked)
    return {
        "replies": len(rows),
        "end_rate": sum(reply.ended for reply, _ in rows) / len(rows),
        "naming_rate": named / max(1, len(asked)),
        "markdown_per_reply": sum(markdown_elements(reply.text) for reply, _ in rows) / len(rows),
        "words_per_reply": sum(len(reply.text.split()) for reply, _ in rows) / len(rows),
    }
