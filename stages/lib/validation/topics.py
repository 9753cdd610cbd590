"""Whether a reply is about anything that was said before it.

Words count by their beginnings, which need no stemmer for each language, and scripts without spaces between words by
pairs of characters. A reply is judged only if it is long: of those that say little, too many good ones share no word.
"""

import re
from collections.abc import Sequence
from unicodedata import normalize

import regex

from stages.lib.validation.check_input import AnsweredTurn, CheckInput
from stages.lib.validation.languages import LANGUAGE_IS_SUBJECT, speak_differently

MAX_TOPIC_CHARS = 20_000  # at the beginning of a text
FIRST_CHARS = 500  # of a reply, which are looked at first
MIN_LETTERS = 4  # of a word that counts
STEM_LETTERS = 5  # by which words are compared: "storing" and "stories" are taken for one
LATIN_WORD = re.compile(rf"([a-z]{{{MIN_LETTERS},{STEM_LETTERS}}})[a-z]*")
# Scripts without spaces between words: Chinese and Japanese, with kana's voice marks, and Thai, Lao, Khmer and Burmese.
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\u3099\u309aー\p{Line_Break=SA}"
RUN = regex.compile(rf"[{UNSPACED}]{{2,}}")
LETTER = rf"[\p{{L}}\p{{M}}--[{UNSPACED}]]"
WORD = regex.compile(rf"(?V1)({LETTER}{{{MIN_LETTERS},{STEM_LETTERS}}}){LETTER}*")
OTHER_SCRIPT = re.compile(r"[\u0370-\u1fff\u2c00-\u2dff\u3040-\ufaff\U00010000-\U0001efff\U00020000-\U0003ffff]")
# Accents and vowel points, which writers leave out: Latin, Greek, Cyrillic, Hebrew and Arabic ones.
POINTS = re.compile(r"[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670]")
FUNCTION_WORDS = (
    "about above actually after again against almost also although always among another anything around because been"
    " before being below between both cannot could does doing done down during each either else enough even ever every"
    " everything from further give given have having here hers herself himself however into itself just keep less like"
    " made make many might more most much must need neither never next none nothing often once only other otherwise"
    " ours over part perhaps please quite rather really same several should show since some something sometimes such"
    " take than that their them themselves then there therefore these they thing things this those though through thus"
    " together toward towards under until upon used using very want well were what whatever when whenever where"
    " whether which while whole whom whose will with within without would write your yours yourself yourselves"
)
IGNORED = frozenset(word[:STEM_LETTERS] for word in FUNCTION_WORDS.split())


def goes_off_topic(given: CheckInput) -> bool:
    """Whether some reply of a conversation is off topic, among those of `validate.off_topic_words` words or more."""
    return is_off_topic(given.answered_turns, given.settings.off_topic_words, given.system)


def is_off_topic(turns: Sequence[AnsweredTurn], min_words: int, system: str) -> bool:
    """Whether some reply of `min_words` different words or more shares none with what was said before it.

    What was said are the system message, the user's messages and the earlier replies. No verdict on a turn whose
    message is not known, and none where another language may be right.
    """
    said = topic_words(system)
    replies_read = 0
    for number, turn in enumerate(turns):
        said |= topic_words(turn.user)
        if not (turn.user and said and is_unrelated(turn.reply, said, min_words)):
            continue
        for earlier in turns[replies_read:number]:
            said |= topic_words(earlier.reply)
        replies_read = number
        if is_unrelated(turn.reply, said, min_words) and not may_change_language(turns[: number + 1]):
            return True
    return False


def is_unrelated(reply: str, said: set[str], min_words: int) -> bool:
    """Whether a reply has `min_words` different words or more, and none that was said; most share one at once."""
    if not said.isdisjoint(topic_words(reply[:FIRST_CHARS])):
        return False
    words = topic_words(reply)
    return len(words) >= min_words and words.isdisjoint(said)


def may_change_language(turns: Sequence[AnsweredTurn]) -> bool:
    """Whether language was a subject, or the last reply is in another language than its message."""
    return speak_differently(turns[-1].user, turns[-1].reply) or any(
        LANGUAGE_IS_SUBJECT.search(turn.user[:MAX_TOPIC_CHARS]) for turn in turns
    )


def topic_words(text: str) -> set[str]:
    """Return what a text may share with another on the same topic: the beginnings of its long words, or pairs."""
    text = text[:MAX_TOPIC_CHARS].lower()
    if not text.isascii():
        text = POINTS.sub("", normalize("NFKD", text))
    if text.isascii() or not OTHER_SCRIPT.search(text):
        return {*LATIN_WORD.findall(text)} - IGNORED
    pairs = {run[n : n + 2] for run in RUN.findall(text) for n in range(len(run) - 1)}
    return {*WORD.findall(text)} - IGNORED | pairs
