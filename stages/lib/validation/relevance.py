"""Whether a reply answers the message: it refuses, echoes it, or shares no word with it."""

import re
from collections.abc import Iterable, Iterator

from stages.lib.records.responses import Turn
from stages.lib.validation.check_input import AnsweredTurn, CheckInput

REFUSAL = re.compile(
    r"^\W*(?!while |although |though )(?:(?:i'?m|i am) (?:very |so |really )?sorry\b|sorry\b|i apologi[sz]e\b|"
    r"unfortunately\b|as an ai\b)?[^.!?\n]{0,60}?\bi(?:'m| am)? "
    r"(?:can'?t|cannot|can not|won'?t|will not|unable to|not able to|not comfortable)\b[^.!?\n]{0,40}"
    r"\b(?:assist|help(?! (?:but|feel))|fulfill?|provide|comply|continue|engage|generate|create|write|do that|"
    r"support)\b"
    r"|^\W*(?:很?抱歉|对不起|對不起|不好意思)[^。!?!?\n]{0,20}(?:无法|無法|不能)"
    r"|^\W*(?:申し訳|すみません)[^。\n]{0,40}(?:できません|できかねます)"
    r"|^\W*죄송[^.\n]{0,60}(?:없습니다|어렵습니다)"
    r"|^\W*(?:извините|к сожалению|простите|прошу прощения)\b[^.!?\n]{0,40}\bя не мо(?:гу|жем)\b"  # noqa: RUF001
    r"|^\W*lo siento\b[^.!?\n]{0,40}\bno puedo\b|^\W*(?:désolée?|je suis désolée?)\b[^.!?\n]{0,40}\bje ne peux pas\b"
    r"|^\W*(?:es )?tut mir (?:sehr )?leid\b[^.!?\n]{0,60}\bkann\b[^.!?\n]{0,60}\bnicht\b"
    r"|^\W*(?:desculpe|sinto muito|lamento)\b[^.!?\n]{0,40}\bnão posso\b",
    re.I,
)
STRAIGHT_QUOTE = str.maketrans({"\u2019": "'"})
REFUSAL_CHARS = 300  # at the beginning of a reply
MIN_ECHO_CHARS = 20  # a greeting is answered with the same greeting
LONG_MESSAGE_CHARS = 40


def refuses(turn: AnsweredTurn) -> bool:
    """Whether the reply of a turn is a refusal."""
    return is_refusal(turn.reply)


def is_refusal(reply: str) -> bool:
    """Whether a reply begins by declining, in one of nine languages."""
    return REFUSAL.search(reply[:REFUSAL_CHARS].translate(STRAIGHT_QUOTE)) is not None


def is_echo(turn: AnsweredTurn) -> bool:
    """Whether a reply repeats the message and nothing else, or begins with a long message."""
    user = " ".join(turn.user.split())
    reply = " ".join(turn.reply[: 2 * len(user)].split())
    if len(user) >= LONG_MESSAGE_CHARS:
        return reply.startswith(user)
    return reply == user and len(user) >= MIN_ECHO_CHARS


def goes_off_topic(given: CheckInput) -> bool:
    """Whether some reply of a conversation is off topic, by words of `validate.topic_letters`."""
    return is_off_topic(given.row["turns"], given.settings.topic_letters)


def is_off_topic(turns: Iterable[Turn], min_letters: int) -> bool:
    """Whether some reply shares no word of `min_letters` or more with what the user has written up to then."""
    user_words: set[str] = set()
    for turn in turns:
        user_words.update(long_words(turn["user"], min_letters))
        if user_words and turn["assistant"] and user_words.isdisjoint(long_words(turn["assistant"], min_letters)):
            return True
    return False


def long_words(text: str, min_letters: int) -> Iterator[str]:
    """Yield the words of a text with at least `min_letters` letters, in lower case."""
    matches = re.finditer(rf"[^\W\d_]{{{min_letters},}}", text.casefold())
    return map(re.Match[str].group, matches)
