"""Whether a reply shows control tokens, chat templates or thoughts that the user did not write first."""

import functools
import re
from itertools import islice
from typing import Literal

from stages.lib.models.control_tokens import CONTROL_TOKEN, any_of
from stages.lib.models.thinking import TAGS, any_tag
from stages.lib.validation.check_input import AnsweredTurn

# Tokens that CONTROL_TOKEN lacks, which says how models are asked: of Mistral, Gemma, Qwen, Command R, InternLM, MOSS,
# StarCoder, OLMo, Ling, MiniMax, Seed, Hunyuan and others.
TOKEN = re.compile(
    CONTROL_TOKEN.pattern
    + r"|\[/?(?:SYSTEM_PROMPT|TOOL_CONTENT|CALL_ID|MODEL_SETTINGS|BEGIN_AUDIO|IMG_BREAK|IMG_END|BEGIN_FINAL_RESPONSE)\]"
    r"|<(?:start|begin|beginning|end)_of_[a-z]{2,20}>|</?tool_(?:call|response)s?>|<start_working_memory>"
    r"|<(?:BOS|EOS|EOP|EOD|PAD|CLS|SEP|MASK|UNK)_TOKEN>|<TOKENS_UNUSED_\d+>|\[UNUSED_TOKEN_\d+\]|\[unused\d+\]"
    r"|<eo[hac]>|<fim_(?:prefix|middle|suffix|pad)>|<(?:file_sep|repo_name|gh_stars|empty_output)>|<ctrl\d+>"
    r"|<(?:jupyter|issue|commit)_[a-z]{3,10}>|<minimax:tool_call>|<seed:[be]os>|<role>(?:HUMAN|ASSISTANT|SYSTEM)</role>"
    r"|\|\|\|(?:IP|EMAIL)_ADDRESS\|\|\||\|\|\|PHONE_NUMBER\|\|\||<\|[^\s<>|]{2,40}｜>"  # noqa: RUF001
    r"|>>(?:QUESTION|ANSWER|TITLE|ABSTRACT|INTRODUCTION|SUMMARY|COMMENT|PREFIX|SUFFIX|MIDDLE)<<"
)
# Tokens that are also words of texts about models: a leak only where such a text would not have them, at the beginning
# or the end of a reply, without a space behind a sentence, or twice in a row.
WORDLIKE = (
    r"(?:<(?:bos|eos|pad|unk|mask|cls|sep|eod|BOS|EOS|PAD|UNK|MASK|CLS|SEP|EOD|ENDOFTEXT|0x[0-9A-F]{2})>"
    r"|\[(?:CLS|SEP|PAD|UNK|MASK|BOS|EOS|EOT|end of text)\])"
)
MISPLACED = re.compile(
    rf"\A\s*{WORDLIKE}|(?<=[.!?…。！？]){WORDLIKE}|(?<=[.!?…。！？\n]) *{WORDLIKE}\s*\Z|{WORDLIKE}\s*{WORDLIKE}"  # noqa: RUF001
)
ANY_WORDLIKE = re.compile(WORDLIKE)
QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "„": "“", "「": "」"}  # noqa: RUF001
STRUCK = re.compile(r"<s>[^<\n]{1,300}</s>")  # text that HTML strikes through, between what are tokens of Llama
# The headers of public families that are plain text; those of control tokens are found as such. They are looked for in
# a text with a line break before it: a pattern that begins with a character is five times as fast as one with `^`.
TEMPLATE = re.compile(
    r"\n(?:### ?(?:Instruct|Instruction|Response|Human|Assistant|User|Input|System|Question|Answer|Prompt|Context"
    r"|HUMAN|USER|ASSISTANT|SYSTEM)s? ?:|<(?:human|user|bot|assistant)>: ?|<(?:human|bot)>"
    r"|(?:GPT4 (?:Correct )?|Code )(?:User|Assistant):|\[(?:Human|Assistant)\]:|\[Round \d+\]"
    r"|BEGINNING OF CONVERSATION:|@@ (?:Instruction|Response)[ \t]*$|assistant\n\n|(?:问|用户)[:：])",  # noqa: RUF001
    re.M,
)
# Headers that are also words of other texts: of a table of persons, say.
ROLE = re.compile(
    r"\n[ \t]*(?:(?P<user>(?:Human|HUMAN|User|USER|user|Instruct):(?=\s|\Z)|user[ \t]*$)"
    r"|(?P<model>(?:Assistant|ASSISTANT|assistant):(?=\s|\Z)|assistant[ \t]*$))",
    re.M,
)
CLOSED_CODE = re.compile(r"^[ \t]*(```|~~~).*?^[ \t]*\1|`[^`\n]+`", re.S | re.M)
CODE = re.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1|\Z)|`[^`\n]+`", re.S | re.M)
MAX_MATCHES = 1_000  # of a pattern in a reply
REPLACEMENT_CHARACTER = "\ufffd"


def has_broken_characters(turn: AnsweredTurn) -> bool:
    """Whether a reply has U+FFFD, which stands for bytes that could not be decoded."""
    return REPLACEMENT_CHARACTER in turn.reply and not turn.user_wrote(REPLACEMENT_CHARACTER)


def has_control_token(turn: AnsweredTurn) -> bool:
    """Whether a reply has a control token such as `<|im_end|>`, or another of those that its model has.

    Code that never ends may hold the leak that ended the reply, and counts as text.
    """
    own = turn.config.reply_format.control_tokens
    if own and find_leaks(any_text(own), turn, CLOSED_CODE):
        return True
    if not may_hold_token(turn.reply):
        return False
    if any(not is_quoted(match) for match in find_leaks(TOKEN, turn, CLOSED_CODE)):
        return True
    return bool(ANY_WORDLIKE.search(turn.reply) and find_leaks(MISPLACED, turn, CLOSED_CODE))


def may_hold_token(text: str) -> bool:
    """Whether a text has one of the characters of which every control token has one."""
    return "<" in text or "[" in text or "]" in text or "|||" in text


def is_quoted(match: re.Match[str]) -> bool:
    """Whether a match stands in quotes."""
    before, after = match.string[: match.start()][-1:], match.string[match.end() :][:1]
    return before in QUOTES and after == QUOTES[before]


def has_template(turn: AnsweredTurn) -> bool:
    """Whether a reply has a piece of a chat template, outside of code: the header of another turn."""
    header = turn.config.reply_format.user_header
    return bool(
        find_leaks(TEMPLATE, turn, CODE)
        or (header and find_leaks(header_pattern(header), turn, CODE))
        or (ROLE.search("\n" + turn.reply) and has_role(turn))
    )


def has_role(turn: AnsweredTurn) -> bool:
    """Whether a reply goes on as the user, or begins with a header of its own: not in a dialogue that was asked for.

    It goes on with a header before its last line, or with the user's before one of the model.
    """
    text = CODE.sub(" ", turn.reply).strip()
    found = unwritten(ROLE, text, turn)
    users = [match.start() for match in found if match["user"]]
    models = [match.start() for match in found if match["model"]]
    if not found or (models and any(map(turn.user_wrote, ("ssistant", "SSISTANT")))):
        return False
    takes_turns = bool(models) and (models[0] == 0 or (bool(users) and users[0] < models[-1]))
    last = found[-1]
    return takes_turns or (last.start() > 0 and "\n" not in last.string[last.end() :].strip())


@functools.cache
def any_text(texts: tuple[str, ...]) -> re.Pattern[str]:
    """Return what finds any of these texts."""
    return re.compile(any_of(list(texts)))


@functools.cache
def header_pattern(header: str) -> re.Pattern[str]:
    """Return what finds the header of a user's turn; one that its template begins on a line must begin one."""
    text = header.strip()
    if not re.search(r"\w", text):
        return any_text(())
    begins_line = "\n" in header[: header.index(text)]
    return re.compile((r"^[ \t]*" if begins_line else r"(?<!\w)") + re.escape(text), re.M)


@functools.cache
def thinking_pattern(own: tuple[tuple[str, str], ...]) -> re.Pattern[str]:
    """Return what finds a tag of thoughts; the group `end` is one that ends them. A look at one character is fast."""
    tags = {**TAGS, **dict(own)}
    first = "".join(sorted({re.escape(text[0]) for text in [*tags, *tags.values()] if text}))
    return re.compile(f"(?=[{first}])(?:(?P<end>{any_tag(tags.values())})|{any_tag(tags)})", re.I)


def find_leaks(pattern: re.Pattern[str], turn: AnsweredTurn, code: re.Pattern[str]) -> list[re.Match[str]]:
    """Return the matches in a reply, outside of code, with something that the user had not written before."""
    found = unwritten(pattern, turn.reply, turn)
    return unwritten(pattern, without_code(turn.reply, code), turn) if found else []


def unwritten(pattern: re.Pattern[str], text: str, turn: AnsweredTurn) -> list[re.Match[str]]:
    """Return the matches in a text, of the first MAX_MATCHES, with something that the user had not written before."""
    matches = islice(pattern.finditer("\n" + text), MAX_MATCHES)
    return [match for match in matches if not turn.user_wrote(match.group().strip())]


def without_code(text: str, code: re.Pattern[str]) -> str:
    """Return a text with a space for each piece of code, and without text that is struck through in its midst."""
    text = code.sub(" ", text)
    return text if "</s>" not in text or STRUCK.fullmatch(text.strip()) else STRUCK.sub(" ", text)


def has_thoughts(turn: AnsweredTurn) -> bool:
    """Whether a reply holds the thoughts of a model that thinks aloud, and their end."""
    return find_thoughts(turn) == "closed"


def has_unclosed_thoughts(turn: AnsweredTurn) -> bool:
    """Whether a reply begins thoughts and never ends them."""
    return find_thoughts(turn) == "unclosed"


def find_thoughts(turn: AnsweredTurn) -> Literal["none", "closed", "unclosed"]:
    """Look for the tags of a model that thinks aloud, outside of code, which the user did not write first.

    Does the last one close?
    """
    own = turn.config.thinking_tags
    leaked = find_leaks(thinking_pattern(own), turn, CODE) if own or may_hold_tag(turn.reply) else []
    if not leaked:
        return "none"
    return "closed" if leaked[-1]["end"] else "unclosed"


def may_hold_tag(text: str) -> bool:
    """Whether a text has one of the characters with which all tags of public families begin."""
    return "<" in text or "[" in text or "◁" in text
