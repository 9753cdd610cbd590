"""A model's chat template: the exact token ids of a chat, and whether the template can render our chats."""

import contextlib
import re
from functools import cached_property
from typing import Any

from stages.lib.console.errors import UserError
from stages.lib.models.catalogue import Model
from stages.lib.models.control_tokens import Controls, unused_mark
from stages.lib.models.template_text import choose_template
from stages.lib.models.thinking import ANSWERS, TAGS, any_tag
from stages.lib.records.chats import Message, build_chat

CHAT_TEXTS = ("first-question", "first-answer", "second-question")
HINT = "write another one to a file and name it as `chat_template` in the catalogue"


def load_tokenizer(model: Model) -> Any:
    """Load a model's tokenizer; the catalogue's chat template, if there is one, replaces the tokenizer's own."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(
        model.location, revision=revision(model), trust_remote_code=model.trust_remote_code
    )
    if model.chat_template:
        tokenizer.chat_template = model.chat_template
    return tokenizer


def revision(model: Model) -> str | None:
    """Return the commit to load, if the model is on the hub."""
    return model.commit if model.kind == "hub" else None


class Template:
    """Renders and encodes the chats of one model. `text` is its chat template, None if it has none."""

    def __init__(self, tokenizer: Any, model: Model) -> None:
        self.tokenizer = tokenizer
        self.model = model
        self.text = choose_template(tokenizer.chat_template, model.id)
        self._controls = Controls(tokenizer, self.text)

    @cached_property
    def has_system_role(self) -> bool:
        """Whether the template renders a system message before a chat."""
        return not self._problem([*CHAT_TEXTS], "the-system-message")

    def check(self) -> None:
        """Raise UserError unless the template renders all of a chat of two turns and the model's system prompt.

        It must also ask for a reply with the header that it writes before a reply.
        """
        where = f"{self.model.id}: its chat template"
        if self.text is None:
            raise UserError(
                f"{self.model.id} has no chat template, so it is not a chat model: {HINT}, or take it out of `compare`"
            )
        texts = [*CHAT_TEXTS]
        problem = self._problem(texts, self.model.system_prompt)
        if problem and self.model.system_prompt and not self._problem(texts, ""):
            raise UserError(
                f"{where} has no system role ({problem}): take `system_prompt` out of the catalogue, or {HINT}"
            )
        if problem:
            raise UserError(f"{where} cannot hold a chat of user, assistant, user ({problem}): {HINT}")
        if problem := self._header_problem(texts, self.model.system_prompt):
            raise UserError(f"{where} {problem}, so that a reply would begin with the rest of its header: {HINT}")

    def _problem(self, texts: list[str], system_prompt: str) -> str:
        """Return what goes wrong when a chat of two turns is rendered; empty when all of it is in the text."""
        try:
            rendered = self.render(build_chat([texts[0], texts[2]], [texts[1]], system_prompt))
        except ValueError as error:
            return str(error)
        absent = [text for text in [*texts, system_prompt] if text.strip() not in rendered]
        return f"it leaves out {absent[0][:60]!r}" if absent else ""

    def _header_problem(self, texts: list[str], system_prompt: str) -> str:
        """Return what is missing when a reply is asked for; empty when it is the header of a reply in a chat."""
        question, reply, _ = texts
        asked = self.render(build_chat([question], [], system_prompt)).rpartition(question)[2]
        chat = self.render(build_chat([question, texts[2]], [reply], system_prompt))
        header, asked = map(self._without_thoughts, (chat.partition(reply)[0].rpartition(question)[2], asked))
        if asked.endswith(header):
            return ""
        if header.startswith(asked):
            return f"leaves out {header.removeprefix(asked)!r} when `add_generation_prompt` asks for a reply"
        return f"asks for a reply with {asked!r} but writes {header!r} before a reply"

    def _without_thoughts(self, header: str) -> str:
        """Return a header without the tags and white space at its end, which a model may write itself."""
        tags = any_tag([*TAGS, *TAGS.values(), *ANSWERS, *self.model.thinking_tags, *self.model.thinking_tags.values()])
        return re.sub(rf"(?:\s|{tags})*\Z", "", header, flags=re.I)

    def render(self, messages: list[Message], *, reply: bool = True, **options: bool) -> str:
        """Return a chat as text, if `reply` with the header of a reply; raise ValueError if the template refuses it.

        `options` are further ones of transformers' `apply_chat_template`.
        """
        from jinja2 import TemplateError

        try:
            return str(
                self.tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=reply, chat_template=self.text, **options
                )
            )
        except TemplateError as error:
            raise ValueError(f"the chat template says: {' '.join(str(error).split())}") from None

    def encode(self, messages: list[Message]) -> list[int]:
        """Return the token ids of a chat, with the header of the next reply.

        A control string inside a message (`<|eot_id|>`) is text that somebody wrote, and is encoded as text; only the
        catalogue's system prompt may hold commands. Raises ValueError if the template refuses the chat or the chat is
        not valid Unicode.
        """
        mark = unused_mark(messages)
        hidden = self._controls.hide(messages, mark, self.model.system_prompt)
        rendered = self.render(hidden)
        rendered.encode()  # a lone surrogate is a ValueError here, and a TypeError in the tokenizer
        if hidden != messages:
            return self._controls.encode(rendered, mark)
        ids: list[int] = self.tokenizer.encode(rendered, add_special_tokens=False)
        return ids


def end_of_turn_ids(tokenizer: Any, model: Model) -> list[int]:
    """Return the ids that end a reply: the tokenizer's end of sequence and those of generation_config.json."""
    from transformers import GenerationConfig

    ids = {tokenizer.eos_token_id}
    with contextlib.suppress(OSError):  # a model without the file has only its tokenizer's
        ends = GenerationConfig.from_pretrained(
            model.location, revision=revision(model), local_files_only=model.kind == "local"
        ).eos_token_id
        ids.update(ends if isinstance(ends, list) else [ends])
    return sorted(ids - {None})
