"""Chat templates in the form of twelve public model families, each named after the property that it stands for.

All share one tokenizer: bytes as letters, and the control tokens of every family. It puts <s> before a text by itself,
which a chat template writes, or leaves out, in its own way.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, processors

from stages.lib.core.files import write_json
from stages.lib.models.catalogue import Model
from tests.support.tokenizers import byte_level


def one_line(text: str) -> str:
    """A template without its line breaks, which are layout here."""
    return "".join(text.splitlines())


ALTERNATING = """{% for m in messages if m.role != 'system' %}
{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}
"""

BOS_IN_EVERY_TURN = f"""{{% set system = '' %}}
{{% if messages[0].role == 'system' %}}
{{% set system = '<<SYS>>\\n' + messages[0].content + '\\n<</SYS>>\\n\\n' %}}{{% endif %}}
{ALTERNATING}
{{% if m.role == 'user' %}}{{{{ bos_token + '[INST] ' + (system if loop.first else '') + m.content + ' [/INST]' }}}}
{{% else %}}{{{{ ' ' + m.content + ' ' + eos_token }}}}{{% endif %}}{{% endfor %}}"""

ROLE_HEADERS = """{{ bos_token }}{% for m in messages %}
{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content | trim + '<|eot_id|>' }}{% endfor %}
{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""

DATE = """{{ bos_token }}{% if not date_string is defined %}{% if strftime_now is defined %}
{% set date_string = strftime_now('%d %b %Y') %}{% else %}{% set date_string = '1 Jan 2000' %}{% endif %}{% endif %}
{{ '<|start_header_id|>system<|end_header_id|>\\n\\nToday Date: ' + date_string + '\\n\\n' }}
{% if messages[0].role == 'system' %}{{ messages[0].content }}{% set messages = messages[1:] %}{% endif %}<|eot_id|>
{% for m in messages %}{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content + '<|eot_id|>' }}
{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""

NO_SYSTEM_ROLE = """{{ bos_token }}{% for m in messages %}
{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' + m.content | trim + '<end_of_turn>\\n' }}
{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"""

STRICT_ALTERNATION = f"""{{{{ bos_token }}}}
{{% if messages[0].role == 'system' %}}{{{{ raise_exception('only user and assistant roles') }}}}{{% endif %}}
{ALTERNATING}{{% if m.role == 'user' %}}{{{{ '[INST] ' + m.content + ' [/INST]' }}}}
{{% else %}}{{{{ m.content + eos_token }}}}{{% endif %}}{{% endfor %}}"""

DEFAULT_SYSTEM_PROMPT = """{% if messages[0].role != 'system' %}
{{ '<|im_start|>system\\nYou are a helper.<|im_end|>\\n' }}{% endif %}{% for m in messages %}
{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

# Earlier replies lose their thoughts; the last one gets empty ones if it has none.
THOUGHTS_IN_THE_LAST_REPLY = """{% for m in messages %}{% set parts = m.content.split('</think>') %}
{% set thought = parts[0].split('<think>')[-1].strip('\\n') if parts | length > 1 else '' %}
{% set text = parts[-1].lstrip('\\n') if m.role == 'assistant' else m.content %}
{{ '<|im_start|>' + m.role + '\\n' }}
{% if m.role == 'assistant' and loop.last %}{{ '<think>\\n' + thought + '\\n</think>\\n\\n' }}{% endif %}
{{ text + '<|im_end|>\\n' }}{% endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}
{% if enable_thinking is defined and not enable_thinking %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{% endif %}"""

OPENS_THOUGHTS = """{{ bos_token }}{% for m in messages %}
{% if m.role == 'system' %}{{ m.content }}{% elif m.role == 'user' %}{{ '<|User|>' + m.content }}
{% else %}{{ '<|Assistant|>' + m.content.split('</think>')[-1] + eos_token }}{% endif %}{% endfor %}
{% if add_generation_prompt %}{{ '<|Assistant|><think>\\n' }}{% endif %}"""

EOS_AFTER_THE_CHAT = """{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content + '<|end|>\\n' }}{% endfor %}
{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}"""

NO_END_TOKEN = """[gMASK]<sop>{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content }}{% endfor %}
{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"""

NAMED = """{{ bos_token }}{% for m in messages %}{% set role = 'CHATBOT' if m.role == 'assistant' else m.role | upper %}
{{ '<|START_OF_TURN_TOKEN|><|' + role + '_TOKEN|>' + m.content | trim + '<|END_OF_TURN_TOKEN|>' }}{% endfor %}
{% if add_generation_prompt %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{% endif %}"""

THINKS_IN_SPECIAL_TOKENS = """{{ bos_token }}{% if messages[0].role != 'system' %}
{{ '[SYSTEM_PROMPT]Think first: [THINK]like this.[/THINK]Then reply.[/SYSTEM_PROMPT]' }}{% endif %}
{% for m in messages %}
{% if m.role == 'system' %}{{ '[SYSTEM_PROMPT]' + m.content + '[/SYSTEM_PROMPT]' }}
{% elif m.role == 'user' %}{{ '[INST]' + m.content + '[/INST]' }}
{% else %}{{ m.content + eos_token }}{% endif %}{% endfor %}"""


@dataclass(frozen=True, slots=True)
class Family:
    """A chat template as a public family writes it, with that family's special tokens."""

    like: str
    template: str | dict[str, str]
    end: str  # the token that ends a turn
    eos: str = ""  # the tokenizer's end of sequence, where it is another one
    bos: str | None = None
    header: str = ""  # what stands between a question and its reply
    thought: str = ""  # how the model thinks aloud before it replies
    refused: str = ""  # why training refuses the template
    without_system: str = ""  # why a system prompt is refused

    @property
    def model(self) -> Model:
        """The family as a model of the catalogue."""
        return Model(
            id="m", name=self.like, location="x", kind="local", commit="c", parameters_billions=1, context_window=400
        )


LLAMA_3 = {"bos": "<|begin_of_text|>", "eos": "<|end_of_text|>", "end": "<|eot_id|>"}
LLAMA_3_HEADER = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
CHATML_HEADER = "<|im_end|>\n<|im_start|>assistant\n"
THINK = "<think>\nAdd them.\n</think>\n\n"

FAMILIES = {
    "BOS in every turn, system prompt in the first": Family(
        "Llama 2", BOS_IN_EVERY_TURN, "</s>", bos="<s>", header=" [/INST]"
    ),
    "a header that names the role": Family("Llama 3", ROLE_HEADERS, header=LLAMA_3_HEADER, **LLAMA_3),
    "today's date": Family("Llama 3.1", DATE, header=LLAMA_3_HEADER, **LLAMA_3),
    "no system role": Family(
        "Gemma",
        NO_SYSTEM_ROLE,
        "<end_of_turn>",
        eos="<eos>",
        bos="<bos>",
        header="<end_of_turn>\n<start_of_turn>model\n",
        without_system="System role not supported",
    ),
    "strict alternation of user and assistant": Family(
        "Mistral",
        STRICT_ALTERNATION,
        "</s>",
        bos="<s>",
        header=" [/INST]",
        without_system="only user and assistant roles",
    ),
    "a default system prompt": Family(
        "Qwen2.5", DEFAULT_SYSTEM_PROMPT, "<|im_end|>", eos="<|endoftext|>", header=CHATML_HEADER
    ),
    "empty thoughts before the last reply only": Family(
        "Qwen3",
        THOUGHTS_IN_THE_LAST_REPLY,
        "<|im_end|>",
        header=CHATML_HEADER,
        thought=THINK,
        refused="writes '<think>\\n\\n</think>\\n\\n' before the last reply of a trained chat, but does not ask for a "
        "reply with it",
    ),
    "thoughts that the template opens": Family(
        "R1",
        OPENS_THOUGHTS,
        "<|end_of_sentence|>",
        bos="<|begin_of_sentence|>",
        header="<|Assistant|><think>\n",
        thought="Add them.\n</think>\n\n",
        refused="asks for a reply with '<think>\\n', but the last reply of a trained chat has none before it",
    ),
    "eos_token after the chat": Family(
        "Phi", EOS_AFTER_THE_CHAT, "<|end|>", eos="<|endoftext|>", header="<|end|>\n<|assistant|>\n"
    ),
    "no token after a reply": Family(
        "GLM-4",
        NO_END_TOKEN,
        "<|user|>",
        eos="<|endoftext|>",
        header="<|assistant|>\n",
        refused="writes nothing after the last reply of a chat (<|user|> after an earlier one begins the next "
        "message), so that a trained model could not stop",
    ),
    "several named templates": Family(
        "Command-R",
        {"tool_use": "{{ raise_exception('tools only') }}", "default": NAMED, "rag": "{{ documents }}"},
        "<|END_OF_TURN_TOKEN|>",
        bos="<BOS_TOKEN>",
        header="<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
    ),
    "thoughts between special tokens": Family(
        "Magistral",
        THINKS_IN_SPECIAL_TOKENS,
        "</s>",
        bos="<s>",
        header="[/INST]",
        thought="[THINK]Add them.[/THINK]",
    ),
}

SPECIAL = [
    *("<pad>", "<s>", "</s>", "<bos>", "<eos>", "<|begin_of_text|>", "<|end_of_text|>", "<|endoftext|>", "<BOS_TOKEN>"),
    *("<|begin_of_sentence|>", "<|end_of_sentence|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    *(
        "<start_of_turn>",
        "<end_of_turn>",
        "<|im_start|>",
        "<|im_end|>",
        "<|User|>",
        "<|Assistant|>",
        "[gMASK]",
        "<sop>",
    ),
    *("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>", "<|SYSTEM_TOKEN|>"),
    *("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[INST]", "[/INST]", "[THINK]", "[/THINK]"),
]
TAKES_WHITE_SPACE_IN = ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]  # as Phi's tokens do


def tokenizer_of(family: Family) -> Any:
    """The tokenizer of all families, with one family's template and special tokens."""
    named = {"bos_token": family.bos} if family.bos else {}
    tokenizer = byte_level(
        None, SPECIAL, ["<think>", "</think>"], eos_token=family.eos or family.end, pad_token="<pad>", **named
    )
    wide = [AddedToken(text, rstrip=True, normalized=False, special=True) for text in TAKES_WHITE_SPACE_IN]
    tokenizer.add_tokens(wide, special_tokens=True)
    bos = ("<s>", tokenizer.convert_tokens_to_ids("<s>"))
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing("<s> $A", None, [bos])
    templates = family.template if isinstance(family.template, dict) else {"": family.template}
    lines = {name: one_line(text) for name, text in templates.items()}
    tokenizer.chat_template = lines if isinstance(family.template, dict) else lines[""]
    return tokenizer


def save_family(family: Family, folder: Path) -> None:
    """Save a family's tokenizer, and a configuration with which a library accepts the folder as a model."""
    tokenizer_of(family).save_pretrained(folder)
    write_json(folder / "config.json", {"model_type": "llama"})
