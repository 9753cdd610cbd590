"""Small tokenizers of the families whose templates differ."""

from collections.abc import Callable
from functools import partial
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]

MERGES = [("t", "h"), ("th", "e"), ("i", "n"), ("<", "s"), ("<s", ">"), ("<", "/"), ("</", "s"), ("</s", ">")]

HEADERS = """{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>

{{ m['content'] }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>

{% endif %}"""

CHATML = """{% for m in messages %}{% set text = m['content'] %}
{% if m['role'] == 'assistant' and '</think>' in text %}{% set text = text.split('</think>')[-1].lstrip() %}{% endif %}
<|im_start|>{{ m['role'] }}
{{ text }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

INST = """{{ bos_token }}{% for m in messages %}
{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}
{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]{% else %} {{ m['content'] }}{{ eos_token }}{% endif %}
{% endfor %}"""

TRIMMED = """{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>
{{ m['content'] | trim }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}<|assistant|>
{% endif %}"""

TURNS = """{{ bos_token }}{% for m in messages %}
{% if m['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}
{{ m['content'] }}<end_of_turn>
{% endfor %}{% if add_generation_prompt %}<start_of_turn>model
{% endif %}"""

HARMONY = """{% for m in messages %}<|start|>{{ m['role'] }}
{% if m['role'] == 'assistant' %}<|channel|>final{% endif %}<|message|>{{ m['content'] }}
{% if m['role'] == 'assistant' and loop.last %}<|return|>{% else %}<|end|>{% endif %}{% endfor %}
{% if add_generation_prompt %}<|start|>assistant{% endif %}"""

OBSERVED = """{% for m in messages %}<|{{ m['role'] }}|>
{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}<|assistant|>
{% endif %}"""

WORDS = """{% for m in messages %}{{ m['role'] | upper }}: {{ m['content'] }}
{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"""


def wrapped(backend: Tokenizer, template: str | dict[str, str] | None, **named: str) -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=backend, chat_template=template, clean_up_tokenization_spaces=False, **named
    )


def byte_level(template: str | dict[str, str] | None, special: list[str], added: list[str], **named: str) -> Any:
    """Like Llama 3 and Qwen: bytes as letters, control tokens beside the vocabulary."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {text: number for number, text in enumerate([*alphabet, "th", "the", "in", "<|", "|>"])}
    backend = Tokenizer(models.BPE(vocab, [("t", "h"), ("th", "e"), ("i", "n"), ("<", "|"), ("|", ">")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(special)
    backend.add_tokens(added)
    return wrapped(backend, template, **named)


def pieces(special: list[str]) -> dict[str, int]:
    """A SentencePiece vocabulary: control tokens, bytes, letters, and the results of MERGES."""
    ascii_ = [chr(code) for code in range(33, 127)]
    merged = [left + right for left, right in MERGES]
    return {text: number for number, text in enumerate(dict.fromkeys([*special, *BYTES, "▁", *ascii_, *merged]))}


def sentence_piece(template: str, special: list[str], scheme: str) -> Any:
    """Like Mistral and Llama 2: control tokens are in the vocabulary, and merges can lead to them."""
    backend = Tokenizer(models.BPE(pieces(special), MERGES, byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    backend.add_special_tokens(special)
    backend.post_processor = processors.TemplateProcessing("<s> $A", None, [("<s>", backend.token_to_id("<s>"))])
    return wrapped(backend, template, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def gemma() -> Any:
    """Like Gemma: a normalizer for spaces, and tokens for blank lines and HTML."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    backend = Tokenizer(models.BPE(pieces(special), MERGES, byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    backend.normalizer = normalizers.Replace(" ", "▁")
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    backend.add_special_tokens(special)
    backend.add_tokens([AddedToken("\n\n", normalized=False), AddedToken("<table>", normalized=False)])
    return wrapped(backend, TURNS, bos_token="<bos>", eos_token="<eos>", unk_token="<unk>")


def unigram() -> Any:
    """Like T5 and XGLM: the best path may contain a control token's name; two tokens take white space in."""
    special = ["<pad>", "<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>"]
    vocab = [(text, 0.0 if text in special else -2.0 - 1 / len(text)) for text in pieces(special)]
    backend = Tokenizer(models.Unigram(vocab, unk_id=1, byte_fallback=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    backend.add_special_tokens([AddedToken(text, rstrip=text.startswith("<|"), special=True) for text in special])
    return wrapped(backend, TRIMMED, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def llama(template: str | dict[str, str] | None = HEADERS) -> Any:
    controls = ["<|begin|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|reserved_0|>"]
    return byte_level(template, controls, [], bos_token="<|begin|>", eos_token="<|eot_id|>")


def llama_base() -> Any:
    """Llama 3's base: its end of sequence is not what the template ends a turn with."""
    controls = ["<|begin|>", "<|end_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"]
    return byte_level(HEADERS, controls, [], bos_token="<|begin|>", eos_token="<|end_of_text|>")


def qwen(template: str = CHATML) -> Any:
    added = ["<think>", "</think>", "<tool_call>", "[TOOL]", "<table>", "   "]
    return byte_level(template, ["<|im_start|>", "<|im_end|>"], added, eos_token="<|im_end|>")


MAKE: dict[str, Callable[[], Any]] = {
    "llama": llama,
    "qwen": qwen,
    "mistral": partial(sentence_piece, INST, ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"], "first"),
    "llama2": partial(sentence_piece, INST, ["<unk>", "<s>", "</s>"], "always"),
    "gemma": gemma,
    "unigram": unigram,
}
