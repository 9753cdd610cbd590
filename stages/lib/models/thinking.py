"""How models think aloud, and how their thoughts are taken off the beginning of a reply."""

import re
from collections.abc import Iterable, Mapping

# What begins and what ends the thoughts of public families. Case does not matter.
TAGS = {
    "<think>": "</think>",  # DeepSeek-R1, Qwen3, GLM-4.5, MiniMax-M2, Phi-4-reasoning, SmolLM3, Olmo 3, Hunyuan, Ernie
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",  # Exaone Deep, Marco-o1
    "<thoughts>": "</thoughts>",
    "<reason>": "</reason>",
    "<reasoning>": "</reasoning>",  # Reka Flash 3
    "<seed:think>": "</seed:think>",  # Seed-OSS
    "<mm:think>": "</mm:think>",  # MiniMax-M3
    "<ifm|think>": "</ifm|think>",  # K2
    "<ifm|think_fast>": "</ifm|think_fast>",
    "<ifm|think_faster>": "</ifm|think_faster>",
    "[THINK]": "[/THINK]",  # Magistral
    "◁think▷": "◁/think▷",  # Kimi-VL, Kimi-K1.5
    "<|begin_of_thought|>": "<|end_of_thought|>",  # Sky-T1, OpenThinker
    "<|START_THINKING|>": "<|END_THINKING|>",  # Command A
    "<|inner_prefix|>": "<|inner_suffix|>",  # Apertus
    "<|plamo:begin_think:plamo|>": "<|plamo:end_think:plamo|>",  # PLaMo 3
    "<|open|>think<|sep|>": "<|close|>think<|sep|>",  # Kimi-K3
    "<|channel>": "<channel|>",  # Gemma 4
    "<|channel|>analysis<|message|>": "<|channel|>final<|message|>",  # gpt-oss: all that is before the final message
}
PHRASES = {  # Granite 3.2; elsewhere than at the beginning they mean nothing
    "Here is my thought process:": "Here is my response:",
    "Here's my thought process:": "Here's my response:",
}
# What some of these families write around the reply itself.
ANSWERS = {
    "<|channel|>final<|message|>": "",
    "<|START_RESPONSE|>": "<|END_RESPONSE|>",
    "<|START_TEXT|>": "<|END_TEXT|>",
    "<|begin_of_solution|>": "<|end_of_solution|>",
    "<|open|>response<|sep|>": "<|close|>response<|sep|>",
    "<answer>": "</answer>",  # Hunyuan
    "<response>": "</response>",  # Ernie, Granite 3.3
    "<output>": "</output>",  # Marco-o1
}


def any_tag(tags: Iterable[str]) -> str:
    """Return a regular expression for any of these tags; it matches nothing when there are none."""
    return "|".join(map(re.escape, sorted(filter(None, tags), key=len, reverse=True))) or r"[^\s\S]"


THINKING_TOKEN = re.compile(any_tag([*TAGS, *TAGS.values()]), re.I)


def is_thinking_tag(token: str, own: Mapping[str, str] | None = None) -> bool:
    """Whether a token is, or begins, a tag of thoughts or of the answer after them."""
    known = {**TAGS, **ANSWERS, **(own or {})}
    return any(tag.lower().startswith(token.lower()) for tag in [*known, *known.values()])


def strip_thoughts(text: str, opened: str = "", own: Mapping[str, str] | None = None, asked: str = "") -> str:
    """Return a reply without the thoughts that it begins with, and without the tags around what follows them.

    `opened` is the tag that the prompt ended with; then the reply begins inside its thoughts. `own` are tags beside
    those of public families; one that begins with an empty text is said to be opened by a prompt that nobody has seen,
    and its end alone ends thoughts. Thoughts that never end are all of the reply. `asked` is what the user wrote: a tag
    around the answer that is in it belongs to the answer. A tag anywhere else is text.
    """
    ends = {begin.lower(): end for begin, end in {**TAGS, **PHRASES, **(own or {})}.items()}
    unseen = ends.pop("", "")
    begin = opened.lower() or begin_of(text, ends)
    if not begin and unseen:
        return unwrap(after(unseen, text) or text, asked)
    thinks = bool(begin)
    while begin:
        rest = after(ends[begin], text)
        if rest is None:
            return ""
        text, begin = rest, begin_of(rest, ends)
    return unwrap(text, asked if thinks else None)


def begin_of(text: str, ends: Mapping[str, str]) -> str:
    """Return the tag, in lower case, that a text begins with; empty when there is none."""
    match = re.match(rf"\s*({any_tag(ends)})", text, re.I)
    return match[1].lower() if match else ""


def after(end: str, text: str) -> str | None:
    """Return what follows the first end of thoughts; None when they do not end."""
    match = re.search(rf"{re.escape(end)}\s*", text, re.I)
    return text[match.end() :] if match else None


def unwrap(text: str, asked: str | None) -> str:
    """Return a reply without the tags around it. Plain ones stay if the user wrote them, or nothing was thought (None).

    A reply that was cut lacks the tag at its end; one with text after that tag is left as it is.
    """
    for begin, end in ANSWERS.items():
        is_ours = begin.startswith("<|") or (asked is not None and begin not in asked)
        if is_ours and (match := re.fullmatch(wrapped(begin, end), text, re.I | re.S)):
            return match[1]
    return text


def wrapped(begin: str, end: str) -> str:
    """Return a regular expression for a text in tags, or with the first of them alone."""
    if not end:
        return rf"{re.escape(begin)}\s*(.*)"
    return rf"{re.escape(begin)}\s*((?:(?!{re.escape(end)}).)*?)(?:\s*{re.escape(end)}\s*)?"


def opened_tag(prompt: str, own: Mapping[str, str] | None = None) -> str:
    """Return the tag of thoughts that a rendered prompt ends with; empty when there is none."""
    match = re.search(rf"({any_tag([*TAGS, *(own or {})])})\s*\Z", prompt, re.I)
    return match[1] if match else ""
