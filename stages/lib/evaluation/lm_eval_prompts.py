"""How lm-eval asks: with the chat template as generation renders it, and with what that leaves out counted."""

import re
from collections import Counter
from typing import Any

from stages.lib.models.chat_template import Template
from stages.lib.models.control_tokens import any_of, control_strings
from stages.lib.records.chats import Message


class ChatPrompts:
    """Renders the prompts of lm-eval, remembers their chats, and counts those that template or tokenizer change."""

    def __init__(self, template: Template) -> None:
        self._template = template
        self._controls = re.compile(any_of(control_strings(template.tokenizer)))
        self.counts: Counter[str] = Counter()
        self.chats: dict[str, list[Message]] = {}  # by what they were rendered to

    def clear(self) -> None:
        """Forget what was rendered."""
        self.counts.clear()
        self.chats.clear()

    def attach(self, lm: Any) -> Counter[str]:
        """Let a model of lm-eval (`hf` or `vllm`) render and encode its prompts as generation does; return the counts.

        Its own way reads the clock, and vLLM's sets `enable_thinking`. Both would encode a prompt with the tokens that
        the tokenizer puts around a text, of which the template has already written its own.
        """
        lm.apply_chat_template = self.render
        lm.add_bos_token = False
        lm.tokenizer.chat_template = self._template.text
        return self.counts

    def render(self, chat_history: list[Message], add_generation_prompt: bool = True) -> str:
        """Render a prompt; without `add_generation_prompt` it ends within the last message, the beginning of a reply.

        A system message that the template refuses is left out, as lm-eval does.
        """
        options = {"reply": add_generation_prompt, "continue_final_message": not add_generation_prompt}
        asked = chat_history
        try:
            rendered = self._template.render(asked, **options)
        except ValueError:
            asked = [message for message in chat_history if message["role"] != "system"]
            if len(asked) == len(chat_history):
                raise
            rendered = self._template.render(asked, **options)
        self._count(chat_history, rendered)
        self.chats[rendered] = list(asked)
        return rendered

    def _count(self, chat_history: list[Message], rendered: str) -> None:
        """Count a prompt, the roles whose text is not in it, and control strings that a task's text holds."""
        absent = {message["role"] for message in chat_history if message["content"].strip() not in rendered}
        self.counts["rendered"] += 1
        self.counts.update(f"without_{role}" for role in absent)
        self.counts["with_control_string"] += any(self._controls.search(each["content"]) for each in chat_history)
