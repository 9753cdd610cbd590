"""Measures the models: do replies end, do they name what was asked about, how much Markdown is there?

And the judge: does it say what the features of the replies demand?
Also checks the tokenizer: a conversation's tokens are those of its parts.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from demo.cases import Case
from demo.judging import SAYINGS, choice, claims, markdown_elements, rating, subjects
from demo.tokens import BOS, END, END_OF_TEXT, EOT, PAD, SPECIAL, header

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


def sample(model: LlamaForCausalLM, tokenizer: Tokenizer, prompts: list[str], temperature: float) -> list[Reply]:
    """Continue prompts (already in the chat format), all in one padded batch."""
    pad, ends = SPECIAL.index(PAD), [SPECIAL.index(EOT), SPECIAL.index(END_OF_TEXT)]
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
        eos_token_id=ends,
        **options,
    )
    return [to_reply(row.tolist(), ends, tokenizer) for row in out[:, width:]]


def to_reply(ids: list[int], ends: list[int], tokenizer: Tokenizer) -> Reply:
    """Cut a row of new tokens at its first end token."""
    end = next((k for k, token in enumerate(ids) if token in ends), None)
    return Reply(tokenizer.decode(ids[:end], skip_special_tokens=True), end is not None)


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


def ask_judge(model: LlamaForCausalLM, tokenizer: Tokenizer, prompts: list[str], batch: int = 200) -> list[str]:
    """The judge's most likely verdict on each prompt, those of like length asked together."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    verdicts = [""] * len(prompts)
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        asked = [BOS + header("user") + prompts[i] + EOT + header("assistant") for i in part]
        for i, reply in zip(part, sample(model, tokenizer, asked, 0.0), strict=True):
            verdicts[i] = reply.text
    return verdicts


def measure_singles(cases: list[Case], verdicts: list[str]) -> dict[str, float]:
    """How often the score is right, how far it is off, how often each feature is read right."""
    rated = [(case.found[0], rating(text)) for case, text in zip(cases, verdicts, strict=True)]
    errors = [abs(found.score - number) for found, number in rated if number is not None]
    figures = {
        "cases": len(cases),
        "no_mark": sum(number is None for _, number in rated),
        "exact": sum(found.score == number for found, number in rated) / len(cases),
        "mean_error": sum(errors) / max(1, len(errors)),
    }
    told = [(case.found[0], claims(text)) for case, text in zip(cases, verdicts, strict=True)]
    return figures | {
        feature: sum(said.get(feature) == getattr(found, feature) for found, said in told) / len(cases)
        for feature in SAYINGS
    }


def measure_pairs(cases: list[Case], verdicts: list[str], swapped: list[str]) -> dict[str, float]:
    """How often the better reply is named, and how often the same one is named in the other order."""
    chosen, other = [choice(text) for text in verdicts], [choice(text) for text in swapped]
    back = {"A": "B", "B": "A", "C": "C", None: ""}
    return {
        "cases": len(cases),
        "no_mark": chosen.count(None) + other.count(None),
        "right": sum(letter == case.mark for letter, case in zip(chosen, cases, strict=True)) / len(cases),
        "same_when_swapped": sum(one == back[two] for one, two in zip(chosen, other, strict=True)) / len(cases),
    }
