"""Checks of a reply's text: every fault is caught under its name, and good replies give no reason."""

import zlib
from dataclasses import replace

import pytest

from stages.lib.models.reply_format import ReplyFormat
from stages.lib.validation.languages import detect_language, is_other_language
from stages.lib.validation.relevance import is_refusal
from stages.lib.validation.repetition import compresses_too_well, count_loop_chars
from tests.support.conversations import CONFIG
from tests.support.validation import BAD, ENGLISH, GOOD, generated, import_reasons, reasons

PARAGRAPH = (
    "The harbour is a place of ships, and every one of these ships belongs to somebody who works there by day, sleeps "
    "there by night, and would not, for all the gold of the far islands, change it for a house on dry land. "
)


@pytest.mark.parametrize("name", GOOD)
def test_a_good_reply_gives_no_reason(name: str) -> None:
    user, reply = GOOD[name]
    assert import_reasons(reply, user) == []


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        *[(reply, reason) for reason, reply in BAD.items()],
        ("An answer. " + PARAGRAPH * 3, "loop"),
        ("An answer. " + "over and " * 60, "loop"),
        ("The list is: " + "over and " * 25, "loop"),
        ("over and " * 15, "loop"),
        ("\u200b\ufeff\u00ad \u3000\u2800\n", "empty"),
        ("An answer. " + "no " * 200 + "n... (truncated)", ["finish_length", "loop"]),
        ("An answer that was... (truncated)", "finish_length"),
        ("".join(f"{n % 7} bottles of beer on the wall, {n % 7} bottles of beer.\n" for n in range(90)), "loop"),
        ("Sure. [/INST]", "control_token"),
        ("Hm, let me see.</think>Sure.", "thinking_leak"),
        ("[THINK]Hm.[/THINK]Sure.", "thinking_leak"),
        ("◁think▷Hm, and then", "thinking_unclosed"),
        ("Sure.[|user|]And then?", "control_token"),
        ("Sure.<turn|>\n<|turn>user", "control_token"),
        ("Sure.<extra_id_1>User", "control_token"),
        ("Sure.\nUser: And then?", "template_leak"),
        ("Sure.\n<human>: And then?", "template_leak"),
        ("Sure.\nGPT4 Correct User: And then?", "template_leak"),
        ("Sure.\n\n问:然后呢?", "template_leak"),
        ("As an AI, I am unable to provide medical advice.", "refusal"),
    ],
)
def test_each_fault_of_a_reply_gives_its_reason_alone(reply: str, reason: str | list[str]) -> None:
    assert import_reasons(reply) == ([reason] if isinstance(reason, str) else reason)


def test_a_token_that_the_user_wrote_first_is_not_a_leak() -> None:
    user = "Explain <|im_end|>, </think>, ### Response:"
    assert import_reasons("Write <|im_end|> or </think> or ### Response: here", user) == []


def test_a_template_or_a_tag_of_thoughts_in_code_is_not_a_leak() -> None:
    assert import_reasons("Write it so:\n```\n### Instruction:\nUser: hello\n<think>\n```\nand fill it in.") == []
    assert import_reasons("Models that think write `</think>` when they are done.") == []
    assert import_reasons("Write it so:\n```\nprompt + <|im_end|>\n```") == []
    assert import_reasons("Write it so:\n```\nprint()\n<|im_end|>") == ["control_token"]
    assert import_reasons("Write it so: `print()`<|im_end|>") == ["control_token"]


HEADERS = {
    "\nUSER:": ["Sure.\nUSER:then?", "Sure.\n\n USER: then?"],
    "USER:": ["Sure. USER: then?"],
    " Q:": ["Q: then?"],
}


@pytest.mark.parametrize("header", HEADERS)
def test_the_models_own_header_of_the_users_turn_is_a_leak(header: str) -> None:
    config = replace(CONFIG, reply_format=ReplyFormat(user_header=header))
    for reply in HEADERS[header]:
        assert import_reasons(reply, config=config) == ["template_leak"]
        assert import_reasons(reply, reply + " What is that?", config=config) == []
    assert import_reasons("The superUSER: it is he. `USER:` and", config=config) == []


def test_the_models_own_special_tokens_are_control_tokens() -> None:
    config = replace(CONFIG, reply_format=ReplyFormat(control_tokens=("<sail>", "<eos>")))
    assert import_reasons("Sure. <sail> it", config=config) == ["control_token"]
    assert import_reasons("Sure. <sail> it") == []
    assert import_reasons("A text has <eos> at its end.", config=config) == ["control_token"]


def test_thoughts_in_the_catalogues_tags_are_a_leak() -> None:
    config = replace(CONFIG, thinking_tags=(("<muse>", "</muse>"),))
    assert import_reasons("<muse>Hm.</muse>Sure.", config=config) == ["thinking_leak"]
    assert import_reasons("<muse>Hm.</muse>Sure.") == []


def test_a_message_again_and_little_else_is_an_echo() -> None:
    assert import_reasons(ENGLISH + " It is.", ENGLISH) == ["echo"]
    assert import_reasons(f"  {ENGLISH}\n", ENGLISH) == ["echo"]
    assert import_reasons("What is a harbour for?", "What is a harbour for?") == ["echo"]
    assert import_reasons("What is a harbour for? For ships.", "What is a harbour for?") == []
    assert import_reasons("SELECT * FROM ships WHERE age > 30;", "SELECT * FROM ships WHERE age > 30") == []
    assert import_reasons("Hi? Hi!", "Hi?") == []
    assert import_reasons("What would you like to know?", " \n" * 30) == []
    chinese = "请告诉我海港是做什么用的,每天有哪些人在那里工作,他们都做些什么,什么时候回家吃饭?"
    assert import_reasons(chinese + "好的。", chinese) == ["echo"]


def test_a_message_that_the_reply_completes_or_answers_is_no_echo() -> None:
    beginning = "Once upon a time a harbour stood at the end of the world, and in it lived"
    assert import_reasons(f"{beginning} an old pilot who had seen every ship.", beginning) == []
    assert import_reasons(f"{ENGLISH}\n\nIt is a safe place for ships.", ENGLISH) == []


def test_another_language_is_reported_unless_language_is_the_subject() -> None:
    german = "Ein Hafen dient Schiffen als sicherer Ort, und dort arbeiten jeden Tag Fischer und Lotsen."
    assert import_reasons(german, ENGLISH) == ["other_language"]
    assert not is_other_language(german, f"Translate into German: {ENGLISH}")
    assert not is_other_language("Ja, genau.", ENGLISH)
    assert is_other_language(ENGLISH, "请告诉我海港是做什么用的,每天有哪些人在那里工作,他们都做些什么?")
    assert (detect_language(german), detect_language("x = 1")) == ("de", "")
    assert detect_language("| 1 | la | 2 | el | 3 | de |\n" * 20) == ""


def test_english_that_the_user_pasted_does_not_make_a_message_english() -> None:
    vietnamese = "Hãy giải bài tập này theo nguyên lý thống kê cho tôi, và viết thật ngắn gọn cho dễ hiểu: "
    reply = "This is how the harbour works, and what you can do with that: ask the pilot for a place to land."
    assert is_other_language(reply, vietnamese + '"Tell how the harbour works, and what you can do"')


def test_a_reply_that_switches_to_another_language_is_reported() -> None:
    fallen = f"{ENGLISH} Harbours are for ships, and 渔民们每天早上都在海港里卖鱼并且修理他们的船只 so it goes."
    assert is_other_language(fallen, "What is a harbour for?")
    assert not is_other_language(fallen, "What is a harbour (海港) for?")
    assert not is_other_language(
        "Its name is `渔民们每天早上都在海港里卖鱼并且修理他们的船只`.", "What is a harbour for?"
    )


def test_a_truncation_mark_is_ignored_if_the_finish_reason_is_known() -> None:
    row = generated("One?")
    row["turns"][0] |= {"assistant": "The log ends so: (truncated)", "completion_tokens": 50}
    assert reasons(row, "One?") == []


def test_a_loop_is_measured_from_the_end_of_the_text() -> None:
    assert count_loop_chars("Once upon a time " + "ha" * 10) == 20
    assert count_loop_chars("abcdef") == 0
    assert count_loop_chars("") == 0
    assert count_loop_chars("ha" * 2) == 0 and count_loop_chars("ha" * 3) == 6
    assert count_loop_chars("x" + "0 0 1 0 0 2 " * 5) == 60
    assert count_loop_chars("x" + "ab" * 30 + "... (truncated)") == 60


def test_the_limit_of_compression_is_lower_for_longer_texts() -> None:
    numbers = " ".join(str(n * n) for n in range(400))
    assert not compresses_too_well("ab" * 99, 0.09)
    assert compresses_too_well("ab" * 100, 0.09)
    assert not any(compresses_too_well(numbers[:length], 0.09) for length in (200, 400, 800, 2_000))
    digits = "".join(str(n * n * n) for n in range(400))
    short, long = digits[:120] * 5, digits[:500] * 4
    assert len(zlib.compress(short.encode())) / len(short) > len(zlib.compress(long.encode())) / len(long) > 0.12
    assert compresses_too_well(short, 0.09) and not compresses_too_well(long, 0.09)


@pytest.mark.parametrize(
    "reply",
    [
        "很抱歉,我无法提供这方面的帮助。",
        "申し訳ありませんが、そのご要望にはお応えできません。",
        "죄송하지만 그 요청은 도와드릴 수 없습니다.",
        "Извините, но я не могу с этим помочь.",
        "Lo siento, pero no puedo ayudar con eso.",
        "Désolé, je ne peux pas vous aider.",
        "Es tut mir leid, dabei kann ich nicht helfen.",
        "Desculpe, não posso ajudar com isso.",
    ],
)
def test_declining_in_another_language_is_a_refusal(reply: str) -> None:
    assert is_refusal(reply)


def test_an_offer_of_help_is_not_a_refusal() -> None:
    assert not is_refusal("I can help with that. You cannot park there.")
    assert not is_refusal("Sorry to hear that! Here is what I would do.")
