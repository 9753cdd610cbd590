"""A long reply that shares no word with what was said is off topic; nothing is said of others."""

import pytest

from tests.support.validation import WITH_TOPICS, generated, prompt, verdict

BADGERS = (
    "Badgers live below ground in setts with many chambers. They search meadows for earthworms by night, sleep through "
    "daylight, clean their bedding every spring and raise cubs underground."
)


def is_off_topic(*turns: tuple[str, str]) -> bool:
    """Whether validation calls a conversation of these messages and replies off topic."""
    users = [user for user, _ in turns]
    row = generated(*users)
    for turn, (_, reply) in zip(row["turns"], turns, strict=True):
        turn["assistant"] = reply
    return "off_topic" in verdict(row, prompt(*users), WITH_TOPICS)["reasons"]


def test_a_long_reply_is_off_topic_if_it_shares_no_word_with_the_message() -> None:
    assert is_off_topic(("How do I repair a violin string?", BADGERS))
    assert not is_off_topic(("How do badgers repair their homes?", BADGERS))


@pytest.mark.parametrize(
    ("user", "reply"),
    [
        ("Describe the chamber of a badger.", BADGERS),  # other endings
        ("2+2?", BADGERS),  # no long word
        ("How do I repair a violin string?", "C"),
        ("How do I repair a violin string?", "Tighten its peg."),
        ("How do I repair a violin string?", "3.14, 2.71, 1.41, 1.73 " * 20),
        ("How do I repair a violin string? Answer in English.", BADGERS),  # perhaps another language is asked for
        ("", BADGERS),
    ],
)
def test_nothing_is_said_of_a_reply_or_a_message_that_says_little(user: str, reply: str) -> None:
    assert not is_off_topic((user, reply))


def test_earlier_messages_and_replies_are_what_was_said() -> None:
    first = ("Which animals dig?", "Badgers do, by night, in meadows.")
    assert not is_off_topic(first, ("Why, and with what result?", BADGERS))
    assert (
        is_off_topic(first, ("Now for a violin string?", "Unwind the broken string, then pull a fresh one " + "x"))
        is False
    )
    assert is_off_topic(
        first,
        (
            "Now repair a violin!",
            BADGERS.replace("Badgers", "Foxes").replace("night", "dusk").replace("meadows", "gardens"),
        ),
    )


GREEK = "Ο σκαντζοχοιρος ζει κάτω από πέτρες, ψάχνει σκουλήκια τη νύχτα, κοιμάται όλη μέρα σε φύλλα ξερά."
RUSSIAN = "Барсук живёт под землёй, ночью ищет червей на лугах, спит днём, чистит подстилку весной, растит детёнышей."
CHINESE = "春风轻拂柳丝柔,细雨悄染杏花愁,山间芳草初萌绿,溪畔轻歌诉旧忧。"


@pytest.mark.parametrize(
    ("about", "elsewhere", "reply"),
    [
        ("请写山间芳草", "怎样修理小提琴", CHINESE),
        ("บอกเรื่องแมวสีดำ", "ซ่อมไวโอลิน", "แมวสีดำนอนบนหลังคาเก่าทุกคืน"),
        ("Расскажи о барсуках.", "Почини скрипку.", RUSSIAN),
        ("Σκαντζόχοιρος;", "Βιολί μου", GREEK),
        ("오소리를 알려 줘", "바이올린 수리", "오소리는 땅속에서 살며 밤마다 지렁이를 찾고 낮에는 굴에서 잠을 잡니다."),
    ],
)
def test_words_of_other_scripts_count_by_their_beginnings_or_as_pairs_and_accents_do_not(
    about: str, elsewhere: str, reply: str
) -> None:
    assert not is_off_topic((about, reply))
    assert is_off_topic((elsewhere, reply))


def test_a_reply_about_the_system_message_is_on_topic() -> None:
    question = "How do I repair a violin string?"
    row, asked = generated(question), prompt(question)
    row["turns"][0]["assistant"] = BADGERS
    for system, is_found in (("Speak of violins.", True), ("Whatever is asked, speak of badgers.", False)):
        found = verdict(row, asked | {"system": system}, WITH_TOPICS)["reasons"]
        assert ("off_topic" in found) == is_found
