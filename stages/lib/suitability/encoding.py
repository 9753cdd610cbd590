"""The token ids of a kept conversation as training would see them, and which of them are replies."""

import re
from dataclasses import dataclass
from typing import Literal

from stages.lib.console.errors import UserError
from stages.lib.models.catalogue import Model
from stages.lib.models.control_tokens import any_of, control_strings
from stages.lib.records.chats import Message
from stages.lib.training.reference_encodings import PLACEHOLDERS, encode_example, is_comparable
from stages.lib.training.trained_template import end_of_turn, load_trained_template

Reason = Literal["control_string", "begins_with_space", "beyond_window", "refused"]


@dataclass(frozen=True, slots=True)
class Encoding:
    """A chat in tokens."""

    ids: list[int]
    positions: list[int]  # of the tokens of replies, without the end of each turn


class Encoder:
    """Encodes chats with the chat template that a base model would be trained with."""

    def __init__(self, base: Model, max_tokens: int) -> None:
        """`max_tokens` is the longest chat that is trained. Raises UserError for a base that cannot be trained."""
        self._template = load_trained_template(base)
        self._end = self._template.tokenizer.convert_tokens_to_ids(end_of_turn(self._template))
        self._unusable = re.compile(any_of([*control_strings(self._template.tokenizer), *PLACEHOLDERS]))
        self._max_tokens = max_tokens

    def encode(self, messages: list[Message]) -> Encoding | Reason:
        """Encode a chat; return the reason for one that training would leave out or encode in another way.

        The first tokens of a reply are those of its text, as the end of its header is encoded with the header.
        """
        if any(self._unusable.search(message["content"]) for message in messages):
            return "control_string"
        if not is_comparable(messages):
            return "begins_with_space"
        try:
            example = encode_example(messages, self._template, self._end)
        except UserError:
            return "refused"
        if len(example["ids"]) > self._max_tokens:
            return "beyond_window"
        positions = [place for first, last in example["replies"] for place in range(first, last)]
        return Encoding(example["ids"], positions)
