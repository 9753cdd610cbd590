"""What a server's answers mean: chat completions as replies, and refusals."""

import re
from typing import Any

import openai
from openai.types.chat import ChatCompletion

from stages.lib.engines.base import Reply, failed_reply
from stages.lib.models.thinking import TAGS

TOO_LONG = re.compile(r"context.?(length|window|size)|maximum.{0,20}(length|tokens)|too long|max_new_tokens", re.I)


def to_reply(completion: ChatCompletion) -> Reply:
    """Convert a chat completion; raise ValueError if the server sent something else."""
    if not isinstance(completion, ChatCompletion) or not completion.choices:
        raise ValueError("its answer is no chat completion")
    choice, usage = completion.choices[0], completion.usage
    details = usage.prompt_tokens_details if usage else None
    if choice.finish_reason not in ("stop", "length"):
        return failed_reply(f"the server ended it with {choice.finish_reason!r}")
    return Reply(
        text=with_thinking(choice.message.content, choice.message.model_extra or {}),
        finish_reason=choice.finish_reason,
        prompt_tokens=usage.prompt_tokens if usage else 0,
        completion_tokens=usage.completion_tokens if usage else 0,
        cached_tokens=(details.cached_tokens or 0) if details else 0,
    )


def with_thinking(text: str | None, extra: dict[str, Any]) -> str:
    """Put back the thinking that the server took out of a reply; it is left open when no reply came after it."""
    thinking = extra.get("reasoning_content") or extra.get("reasoning") or ""
    if not thinking:
        return text or ""
    begin, end = next(tags for tags in TAGS.items() if tags[1] not in thinking)  # thoughts may speak of a tag
    return f"{begin}{thinking}" if text is None else f"{begin}{thinking}{end}{text}"


def is_too_long(error: openai.APIStatusError) -> bool:
    """Tell whether a refusal is about the context window. (Each kind of server words it differently.)"""
    if error.status_code not in (400, 413, 422):
        return False
    return error.code == "context_length_exceeded" or bool(TOO_LONG.search(error.message))


def error_code(error: openai.APIStatusError) -> str:
    """Describe a refusal by status and code alone: the server's message may repeat the prompt, or part of the key."""
    code = error.code or ""
    return f"HTTP {error.status_code}" + (f" {code}" if re.fullmatch(r"[a-z_]{3,40}", code) else "")
