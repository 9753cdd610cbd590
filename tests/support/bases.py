"""Base models with the templates of two families."""

from typing import Any

from stages.lib.records.chats import Message
from tests.support.project import ROOT
from tests.support.tokenizers import byte_level

LLAMA = (ROOT / "dgms/templates/llama-3.jinja").read_text()

CHATML = """{% for message in messages %}{% if loop.first and message.role != 'system' %}<|im_start|>system
You help.<|im_end|>
{% endif %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

CHAT_OF_TWO: list[Message] = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Yes? "},
    {"role": "user", "content": "In?"},
    {"role": "assistant", "content": "No."},
]


def llama_base(template: str | None = LLAMA) -> Any:
    """Like Llama 3.1's base: no template, no padding, and an end of sequence that is in no chat."""
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    named = {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"}
    return byte_level(template, [*special, "<|finetune_right_pad_id|>"], [], **named)


def qwen_base(template: str | None = CHATML) -> Any:
    """Like Qwen2's base: its own template, and the end of sequence as padding."""
    named = {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    return byte_level(template, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], [], **named)
