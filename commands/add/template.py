"""What a model's template, tokens and own defaults ask the user to know before anything is generated."""

from collections.abc import Iterator

from stages.lib.console.errors import UserError
from stages.lib.engines.request import dgm_config
from stages.lib.models.catalogue import Entry, Model, ModelSampling
from stages.lib.models.chat_template import Template, load_tokenizer
from stages.lib.models.reply_format import ReplyFormat, describe_replies
from stages.lib.models.template_text import CLOCK, TODAY
from stages.lib.models.thinking import THINKING_TOKEN, opened_tag
from stages.lib.models.turn_ends import reply_ends
from stages.lib.records.chats import build_chat
from stages.lib.settings.sections import Generate
from stages.resolve import own_sampling

QUESTION = "first-question"


def find_warnings(model: Model, entry: Entry, generate: Generate) -> list[str]:
    """Return a line for each thing that a user must know of a model with weights.

    Raises UserError when its tokenizer cannot be loaded or its template cannot hold a chat: then nothing can be asked.
    """
    try:
        tokenizer = load_tokenizer(model)
    except (OSError, ValueError) as error:
        raise UserError(f"{model.id}: its tokenizer cannot be loaded ({' '.join(str(error).split())[:200]})") from None
    template = Template(tokenizer, model)
    template.check()
    found = describe_replies(template)
    return [
        *warn_of_template(template),
        *warn_of_thoughts(template),
        *warn_of_ends(template, found),
        *warn_of_sampling(model, entry, generate),
    ]


def warn_of_template(template: Template) -> Iterator[str]:
    """Yield what the template does with dates and system messages."""
    if CLOCK in (template.text or ""):
        yield f"its template asks for the date, and gets {TODAY:%d %B %Y} every day"
    if not template.has_system_role:
        yield "its template takes no system message: prompts that have one are not asked, and are dropped"


def warn_of_thoughts(template: Template) -> Iterator[str]:
    """Yield what to do where a model thinks aloud and its thoughts are kept."""
    model = template.model
    opened = opened_tag(template.render(build_chat([QUESTION], [])), model.thinking_tags)
    mentioned = THINKING_TOKEN.search(template.text or "")
    tag = opened or (mentioned[0] if mentioned else "")
    if not tag or model.thinking == "strip":
        return
    begins = "asks for thoughts" if opened else "knows thoughts"
    yield f"it {begins} ({tag}), and replies keep them: `thinking: strip` in dgms/{model.id}.yaml removes them"


def warn_of_ends(template: Template, found: ReplyFormat) -> Iterator[str]:
    """Yield what ends a reply that the model's own files do not name, or that nothing does."""
    if found.added_ends:
        yield f"{', '.join(found.added_ends)} ends its replies, which its own files do not say"
    if not reply_ends(template, template.model.stop).ids and not template.model.stop:
        yield f"no token ends its replies: all will be cut; name one as `stop` in dgms/{template.model.id}.yaml"


def warn_of_sampling(model: Model, entry: Entry, generate: Generate) -> Iterator[str]:
    """Yield how the model's own generation_config.json would sample, where the profile does otherwise."""
    if entry.generation_config:
        return
    try:
        asked = entry.model_copy(update={"generation_config": True, "sampling": ModelSampling()})
        own = own_sampling(asked, model.id, model.commit).model_dump(exclude_none=True)
    except UserError:  # it has no such file, or one that means something else
        return
    used = dgm_config(model, generate).sampling
    if other := {name: value for name, value in own.items() if value != getattr(used, name)}:
        words = ", ".join(f"{name} {value:g}" for name, value in other.items())
        yield f"its own defaults are {words}; the profile's sampling is used unless dgms/{model.id}.yaml says otherwise"
