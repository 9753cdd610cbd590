"""Whether a reply answers the message: it refuses, or echoes it."""

import re

from stages.lib.validation.check_input import AnsweredTurn

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
MAX_ADDED_SHARE = 0.1  # to a long message: an echo adds a word or two, an answer below the question more


def refuses(turn: AnsweredTurn) -> bool:
    """Whether the reply of a turn is a refusal."""
    return is_refusal(turn.reply)


def is_refusal(reply: str) -> bool:
    """Whether a reply begins by declining, in one of nine languages."""
    return REFUSAL.search(reply[:REFUSAL_CHARS].translate(STRAIGHT_QUOTE)) is not None


def is_echo(turn: AnsweredTurn) -> bool:
    """Whether a reply repeats the message and says little else: it neither completes nor answers it."""
    user, reply = turn.user.lstrip(), turn.reply.lstrip()
    if user[:1] != reply[:1]:
        return False
    user, reply = " ".join(user.split()), " ".join(reply.split())
    if len(user) < LONG_MESSAGE_CHARS:
        return reply == user and len(user) >= MIN_ECHO_CHARS
    return reply.startswith(user) and len(reply) <= (1 + MAX_ADDED_SHARE) * len(user)
