"""How training uses a chat template: its end of turn, what training changes, and templates that cannot be trained."""

import copy
import re
from typing import Any

from stages.lib.console.errors import UserError
from stages.lib.models.catalogue import CATALOGUE, Model
from stages.lib.models.chat_template import HINT, Template, load_tokenizer
from stages.lib.models.control_tokens import any_of, control_strings
from stages.lib.models.template_text import set_names
from stages.lib.models.turn_ends import find_end_of_turn
from stages.lib.records.chats import Message

PADDING = "<|finetune_right_pad_id|>"  # Llama 3.1's vocabulary has it, but its tokenizer does not name it
CHAT: list[Message] = [
    {"role": "user", "content": "first-question"},
    {"role": "assistant", "content": "first-reply"},
    {"role": "user", "content": "second-question"},
    {"role": "assistant", "content": "second-reply"},
]


def load_trained_template(base: Model) -> Template:
    """Load a base model's chat template, the catalogue's or its own; raise UserError if it cannot be trained with."""
    template = Template(load_tokenizer(base), base)
    if not template.text:
        raise UserError(f"{base.id} has no chat template: name one as `chat_template` in {CATALOGUE}/{base.id}.yaml")
    template.check()
    end_of_turn(template)
    check_beginnings(template)
    return template


def end_of_turn(template: Template) -> str:
    """Return the control token that ends a reply; raise UserError unless it ends the last one and earlier ones."""
    rendered = template.render(CHAT, reply=False)
    first, last = (ending(rendered, number, template) for number in (1, 3))
    where = f"{template.model.id}: its chat template"
    if not find_end_of_turn(template):
        raise UserError(f"{where} ends no reply with a control token: {HINT}")
    if not last:
        raise UserError(
            f"{where} writes nothing after the last reply of a chat ({first} after an earlier one begins the next "
            f"message), so that a trained model could not stop: write one that ends every reply with the same control "
            f"token to a file and name it as `chat_template` in the catalogue"
        )
    if first != last:
        raise UserError(
            f"{where} ends the last reply of a chat with {last} and earlier ones with {first or 'nothing'}, but "
            f"training needs one end of turn: {HINT}"
        )
    return last


def ending(rendered: str, number: int, template: Template) -> str:
    """Return the first control token between a message of CHAT and the next one, empty if there is none."""
    after = rendered.partition(CHAT[number]["content"])[2]
    if number + 1 < len(CHAT):
        after = after.partition(CHAT[number + 1]["content"])[0]
    match = re.search(any_of(control_strings(template.tokenizer)), after)
    return match[0] if match else ""


def check_beginnings(template: Template) -> None:
    """Raise UserError unless a reply in a chat follows the very text that generation asks for it with.

    White space that the template writes before a reply may follow.
    """
    rendered = template.render(CHAT, reply=False)
    for number, name in ((3, "the last reply"), (1, "an earlier reply")):
        before = rendered.partition(CHAT[number]["content"])[0]
        asked = template.render(CHAT[:number])
        if before.rstrip() != asked.rstrip() or not before.startswith(asked):
            raise UserError(
                f"{template.model.id}: its chat template {describe_difference(asked, before, name)}: write one that "
                f"begins every reply as it asks for one to a file and name it as `chat_template` in the catalogue"
            )


def describe_difference(asked: str, before: str, name: str) -> str:
    """Return how the text that asks for a reply differs from that before the reply in a trained chat."""
    pairs = enumerate(zip(asked, before, strict=False))
    same = next((number for number, (left, right) in pairs if left != right), min(len(asked), len(before)))
    only_asked, only_trained = asked[same:][:60], before[same:][:60]
    if not only_asked:
        return f"writes {only_trained!r} before {name} of a trained chat, but does not ask for a reply with it"
    if not only_trained:
        return f"asks for a reply with {only_asked!r}, but {name} of a trained chat has none before it"
    return f"writes {only_trained!r} before {name} of a trained chat, where generation asks with {only_asked!r}"


def special_tokens(template: Template) -> dict[str, str]:
    """Return the tokens that training sets: the end of turn as the end of sequence, and padding if there is one."""
    tokenizer = template.tokenizer
    padding = tokenizer.pad_token or (PADDING if PADDING in tokenizer.get_vocab() else "")
    return {"eos_token": end_of_turn(template), **({"pad_token": padding} if padding else {})}


def trained_text(template: Template) -> str:
    """Return the chat template to train with: it prints the base model's special tokens, not those set by training."""
    before = {name: getattr(template.tokenizer, name) or "" for name in special_tokens(template)}
    changed = {name: before[name] for name, token in special_tokens(template).items() if token != before[name]}
    return set_names(str(template.text), changed)


def trained_tokenizer(template: Template) -> Any:
    """Return the tokenizer to train with. Axolotl would set the tokens too, but change how they take white space in."""
    tokenizer = copy.deepcopy(template.tokenizer)
    for name, token in special_tokens(template).items():
        setattr(tokenizer, name, token)
    tokenizer.chat_template = trained_text(template)
    return tokenizer
