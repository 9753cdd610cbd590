"""What a model's tokenizer and chat template say of its replies, for those who read them without either."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stages.lib.console.errors import UserError
from stages.lib.core.types import Json
from stages.lib.models.catalogue import Model
from stages.lib.models.chat_template import Template, load_tokenizer
from stages.lib.models.control_tokens import CONTROL_TOKEN
from stages.lib.models.thinking import is_thinking_tag
from stages.lib.models.turn_ends import reply_ends, text_between_turns


@dataclass(frozen=True, slots=True)
class ReplyFormat:
    """How a model writes its replies. All of it is empty where nobody knows: of imports, servers, the echo."""

    added_ends: tuple[str, ...] = ()  # what ends a reply and the model's own files do not name
    thinking_tokens: tuple[str, ...] = ()  # tags of thoughts that are special tokens
    user_header: str = ""  # what stands before the user's next message
    control_tokens: tuple[str, ...] = ()  # special tokens of a form that CONTROL_TOKEN lacks, such as <pad>

    def to_json(self) -> Json:
        """Return what is not empty."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_json(cls, values: Json) -> "ReplyFormat":
        """Return the format that these values describe."""
        lists = {name: tuple(value) for name, value in values.items() if name != "user_header"}
        return cls(user_header=values.get("user_header", ""), **lists)


UNKNOWN = ReplyFormat()


def find_reply_format(model: Model) -> ReplyFormat:
    """Load a model's tokenizer and return how it writes its replies.

    Raises UserError when the tokenizer cannot be loaded or the template cannot hold a chat.
    """
    try:
        tokenizer = load_tokenizer(model)
    except (OSError, ValueError) as error:
        raise UserError(f"{model.id}: its tokenizer cannot be loaded ({' '.join(str(error).split())[:200]})") from None
    template = Template(tokenizer, model)
    template.check()
    return describe_replies(template)


def describe_replies(template: Template) -> ReplyFormat:
    """Return how a model with this template writes its replies."""
    model, special = template.model, special_tokens(template.tokenizer)
    header = text_between_turns(template)
    return ReplyFormat(
        added_ends=(*reply_ends(template, model.stop).added, *texts_with(special, model.stop)),
        thinking_tokens=tuple(text for text in special if is_thinking_tag(text, model.thinking_tags)),
        user_header="" if CONTROL_TOKEN.search(header) else header,
        control_tokens=tuple(filter(is_unusual, special)),
    )


def special_tokens(tokenizer: Any) -> list[str]:
    """Return the tokens that decoding can skip, in their order."""
    return sorted({token.content for token in tokenizer.added_tokens_decoder.values() if token.special})


def texts_with(special: Sequence[str], stop: Sequence[str]) -> list[str]:
    """Return the texts of `stop` that hold a special token and more."""
    return [text for text in stop if any(token in text and token != text for token in special)]


def is_unusual(token: str) -> bool:
    """Whether a special token has none of the known forms."""
    return not (CONTROL_TOKEN.fullmatch(token) or is_thinking_tag(token))
