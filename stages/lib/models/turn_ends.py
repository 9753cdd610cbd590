"""The tokens that end a model's reply: those it is known to end with, the one of its chat template, those of `stop`."""

import re
from collections.abc import Collection
from typing import Any, NamedTuple

from stages.lib.models.chat_template import Template, end_of_turn_ids
from stages.lib.models.control_tokens import any_of, control_strings
from stages.lib.records.chats import Message, build_chat


class ReplyEnds(NamedTuple):
    """The tokens that end a reply."""

    ids: list[int]
    added: tuple[str, ...]  # those that neither the tokenizer nor generation_config.json names as an end


def reply_ends(template: Template, stop: Collection[str] = ()) -> ReplyEnds:
    """Return the tokens that end a reply; those texts of `stop` that are control tokens are among them.

    Raises ValueError if the template refuses a chat.
    """
    tokenizer = template.tokenizer
    known = end_of_turn_ids(tokenizer, template.model)
    tokens = {find_end_of_turn(template), *control_tokens_of(stop, tokenizer)} - {""}
    added = {token: tokenizer.convert_tokens_to_ids(token) for token in sorted(tokens)}
    new = {token: number for token, number in added.items() if number not in known}
    return ReplyEnds(sorted({*known, *new.values()}), tuple(new))


def control_tokens_of(stop: Collection[str], tokenizer: Any) -> list[str]:
    """Return those texts of `stop` that are control tokens: an engine stops at their ids, not at their texts."""
    controls = set(control_strings(tokenizer))
    return [text for text in stop if text in controls]


def find_end_of_turn(template: Template) -> str:
    """Return the first control token after a reply in a rendered chat; empty when there is none.

    What stands after the last reply of a chat counts before what stands between two turns: gpt-oss ends its thoughts
    and its earlier turns with one token, and the last turn with another. Raises ValueError if the template refuses a
    chat of two turns.
    """
    chat = build_chat(["first-question", "second-question"], ["the-reply"])
    controls = re.compile(any_of(control_strings(template.tokenizer)))
    found = (controls.search(text) for text in (_after_last_reply(template, chat), _after_reply(template.render(chat))))
    return next((match[0] for match in found if match), "")


def text_between_turns(template: Template) -> str:
    """Return what stands between a reply and the user's next message, after the token that ends the reply."""
    chat = build_chat(["first-question", "second-question"], ["the-reply"])
    between = _after_reply(template.render(chat)).partition("second-question")[0]
    end = re.match(rf"\s*(?:{any_of(control_strings(template.tokenizer))})", between)
    return between[end.end() :].rstrip() if end else between.rstrip()


def _after_last_reply(template: Template, chat: list[Message]) -> str:
    """Return what follows the reply when nothing is asked after it; empty if the template refuses such a chat."""
    try:
        return _after_reply(template.render(chat[:-1], reply=False))
    except ValueError:
        return ""


def _after_reply(rendered: str) -> str:
    return rendered.rpartition("the-reply")[2]
