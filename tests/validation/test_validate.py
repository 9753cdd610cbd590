"""Validation: every fault is caught under its name, and good replies give no reason."""

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages import validate
from stages.gate import count, refuse
from stages.generate import write_responses
from stages.lib.core.files import read_json, sha256_file
from stages.lib.engines.base import Usage
from stages.lib.engines.echo import EchoEngine
from stages.lib.engines.request import RequestConfig, identity
from stages.lib.generation.cached import to_row
from stages.lib.generation.conversations import Conversation, run_conversations
from stages.lib.generation.costs import attribute_cost
from stages.lib.generation.imports import import_conversations
from stages.lib.generation.store import SEGMENT
from stages.lib.models.catalogue import Model
from stages.lib.records.chats import build_chat
from stages.lib.records.hashing import chat_sha
from stages.lib.records.prompts import PROMPT
from stages.lib.records.shards import read_rows, read_shard, write_rows, write_table
from stages.lib.settings.sections import Gate, Validate
from stages.lib.validation.checks import compression, is_other_language, is_refusal, language, loop_chars, off_topic
from stages.validate import NEED_A_REQUEST, NEED_THE_PROMPT, NEED_THE_USER, Prompts, verdict
from tests.support.conversations import CONFIG, MODEL, stored_row

CHECKS = Validate(
    finish_reasons=["stop"], min_chars=1, max_loop_chars=400, min_compression=0.09, topic_letters=0,
    report_only=["refusal", "other_language"],
)  # fmt: skip
ENGLISH = "Tell me in a few sentences what a harbour is for and who works there every day, please."


def prompt(*users: str) -> dict[str, Any]:
    return {"conversation_hash": "h", "turns": [{"user": user, "reference": "Yes."} for user in users]}


def asked(*users: str) -> dict[str, Any]:
    """A conversation as `generate` makes it."""
    return stored_row(identity(prompt(*users), MODEL, CONFIG, "echo"), *users)


def reasons(row: dict[str, Any], *users: str) -> list[str]:
    found: list[str] = verdict(row, prompt(*users), CHECKS, MODEL, CONFIG)["reasons"]
    return found


def answered(reply: str, user: str = "Hi?") -> list[str]:
    """The reasons that one reply gives, of which nothing but the text is known."""
    row = asked(user)
    row["turns"][0] |= {"assistant": reply, "finish_reason": "imported"}
    found: list[str] = verdict(row, prompt(user), CHECKS, MODEL.model_copy(update={"kind": "import"}), CONFIG)[
        "reasons"
    ]
    return found


def test_what_generate_makes_gives_no_reason() -> None:
    assert reasons(asked("One?", "Two?"), "One?", "Two?") == []


KOREAN = "항구는 매일 아침에 열립니다. 어부들은 그곳에서 생선을 팔고 배를 고칩니다."
PASTED = "import numpy as np\nprices = np.array([3, 5, 8])\nprint(prices.mean())  # their mean\n"
LOG = "".join(
    f"2021-08-01 12:{n // 60:02d}:{n % 60:02d},10.0.0.{n % 9},GET,/page/{n * 7919 % 997}\n" for n in range(120)
)
GOOD = {
    "short": ("2+5?", "7"),
    "one word": ("Is the harbour open on Sundays? Answer with one word.", "Yes"),
    "chinese": ("海港什么时候开放?渔民在那里做什么?", "是的,海港每天早上开放,渔民们在那里卖鱼。" * 2),
    "japanese": ("港について短く教えてください。", "港は毎朝開きます。漁師たちはそこで魚を売り、船を直します。"),
    "korean": ("항구에 대해 짧게 알려 주세요.", KOREAN),
    "arabic": (
        "ما هو الميناء ومن يعمل فيه كل يوم؟",
        "الميناء مكان آمن للسفن، ويعمل فيه الصيادون والمرشدون كل يوم من الصباح إلى المساء.",
    ),
    "russian": (
        "Расскажи коротко, зачем нужна гавань.",
        "Гавань даёт кораблям укрытие, и там каждый день работают рыбаки и лоцманы.",
    ),
    "translation": (
        f"Translate into German: {ENGLISH}",
        "Sag mir in ein paar Sätzen, wozu ein Hafen dient und wer dort täglich arbeitet.",
    ),
    "asked for another language": (f"{ENGLISH} Use only Korean.", KOREAN),
    "asked in Chinese below English code": (
        PASTED + "请解释上面的代码。",
        "这段代码先建立一个价格数组,然后计算并打印这些价格的平均值,非常简单。",
    ),
    "verse quoted": (
        ENGLISH,
        "Harbours are for ships, as in the old line 潮落江平未有风,扁舟共济与君同。 Fishermen work there every day.",
    ),
    "code": ("Set the first sixty.", "```python\n" + "".join(f"x[{n}] = {n}\n" for n in range(60)) + "```"),
    "operators": ("Assign two values in R.", "x <- c(1, 2); text = '<eos>' # end of sequence"),
    "table": ("Squares?", "| a | b |\n|---|---|\n" + "".join(f"| {n} | {n * n} |\n" for n in range(30))),
    "table of like rows": (
        "Which days?",
        "| day | open | staff |\n|---|---|---|\n" + "".join(f"| {n}. May | yes | two |\n" for n in range(31)),
    ),
    "log": ("Make up a log.", LOG),
    "numbers": ("Primes?", ", ".join(str(n) for n in range(2, 400) if all(n % d for d in range(2, n)))),
    "poem with a refrain": ("A poem?", "The sea, the sea,\nthe sea, the sea,\nit sings to me.\n" * 3),
    "chorus twice": (
        "A song?",
        "\n\n".join(["The harbour sleeps, the lamps are low, and all the tides come in and go, " * 4] * 2),
    ),
    "json": ("As JSON?", "[" + ", ".join(f'{{"id": {n}, "open": true}}' for n in range(40)) + "]"),
    "base64": (
        "Encode it.",
        "".join("TWFuIGlzIGRpc3Rpbmd1aXNoZWQsIG5vdCBvbmx5IGJ5IGhpcyByZWFzb24"[n % 59 :] for n in range(20)),
    ),
    "hex": ("Dump it.", " ".join(f"{n * 7919 % 256:02x}" for n in range(256))),
    "latex": (
        "Derive it.",
        "\\begin{align}\n"
        + "".join(f"a_{{{n}}} &= \\frac{{{n}}}{{{n + 1}}} \\\\\n" for n in range(25))
        + "\\end{align}",
    ),
    "roles in prose": ("Rights?", "Human rights are for everyone. User: is a role. I can't wait to see the harbour!"),
    "no refusal": ("A diary page?", "As I sit by the harbour I can't help but feel at home. I will write of it."),
    "a limit, then the answer": ("A list?", "While I cannot provide prices, here are ten harbours."),
    "cut is the subject": ("What does the shell say?", "It prints (truncated) after the last line."),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_reply_gives_no_reason(name: str) -> None:
    user, reply = GOOD[name]
    assert answered(reply, user) == []


BAD = {
    "empty": " \n",
    "loop": "na " * 200,
    "broken_characters": "A broken \ufffd character.",
    "control_token": "Sure.<|im_end|>\n<|im_start|>user",
    "template_leak": "Sure.\n### Instruction:\nNow another",
    "thinking_leak": "<think>Hm.</think>Sure.",
    "thinking_unclosed": "<think>Hm, and then",
    "refusal": "I'm sorry, but I can't help with that.",
}
PARAGRAPH = (
    "The harbour is a place of ships, and every one of these ships belongs to somebody who works there by day, sleeps "
    "there by night, and would not, for all the gold of the far islands, change it for a house on dry land. "
)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        *[(reply, reason) for reason, reply in BAD.items()],
        ("An answer. " + PARAGRAPH * 3, "loop"),
        ("An answer. " + "no " * 200 + "n... (truncated)", ["finish_length", "loop"]),
        ("An answer that was... (truncated)", "finish_length"),
        ("".join(f"{n % 7} bottles of beer on the wall, {n % 7} bottles of beer.\n" for n in range(90)), "loop"),
        ("Sure. [/INST]", "control_token"),
        ("Hm, let me see.</think>Sure.", "thinking_leak"),
        ("As an AI, I am unable to provide medical advice.", "refusal"),
    ],
)
def test_each_fault_of_a_reply_is_caught_under_its_name_alone(reply: str, reason: str | list[str]) -> None:
    assert answered(reply) == ([reason] if isinstance(reason, str) else reason)


def test_what_the_user_said_first_is_no_leak() -> None:
    assert (
        answered("Write <|im_end|> or </think> or ### Response: here", "Explain <|im_end|>, </think>, ### Response:")
        == []
    )


def test_a_long_message_said_back_is_an_echo_and_a_short_one_is_not() -> None:
    assert answered(ENGLISH + " It is.", ENGLISH) == ["echo"]
    assert answered("What is a harbour for?", "What is a harbour for?") == ["echo"]
    assert answered("What is a harbour for? For ships.", "What is a harbour for?") == []
    assert answered("Hi? Hi!", "Hi?") == []
    assert answered("What would you like to know?", " \n" * 30) == []
    chinese = "请告诉我海港是做什么用的,每天有哪些人在那里工作,他们都做些什么,什么时候回家吃饭?"
    assert answered(chinese + "海港是船只停靠的地方。", chinese) == ["echo"]


def test_another_language_is_reported_unless_language_is_the_subject() -> None:
    german = "Ein Hafen dient Schiffen als sicherer Ort, und dort arbeiten jeden Tag Fischer und Lotsen."
    assert answered(german, ENGLISH) == ["other_language"]
    assert not is_other_language(german, f"Translate into German: {ENGLISH}")
    assert not is_other_language("Ja, genau.", ENGLISH)
    assert is_other_language(ENGLISH, "请告诉我海港是做什么用的,每天有哪些人在那里工作,他们都做些什么?")
    assert (language(german), language("x = 1")) == ("de", "")
    assert language("| 1 | la | 2 | el | 3 | de |\n" * 20) == ""


def test_a_reply_that_falls_into_another_language_is_reported() -> None:
    fallen = f"{ENGLISH} Harbours are for ships, and 渔民们每天早上都在海港里卖鱼并且修理他们的船只 so it goes."
    assert is_other_language(fallen, "What is a harbour for?")
    assert not is_other_language(fallen, "What is a harbour (海港) for?")
    assert not is_other_language(
        "Its name is `渔民们每天早上都在海港里卖鱼并且修理他们的船只`.", "What is a harbour for?"
    )


def test_a_reason_that_is_only_reported_drops_nothing() -> None:
    row = asked("Hi?")
    row["turns"][0]["assistant"] = "Sorry, I cannot help with that."
    found = verdict(row, prompt("Hi?"), CHECKS, MODEL, CONFIG)
    assert (found["keep"], found["reasons"]) == (True, ["refusal"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"finish_reason": "length", "completion_tokens": 100}, "finish_length"),
        ({"finish_reason": "abort"}, "finish_abort"),
        ({"finish_reason": ""}, "no_end_of_turn"),
        ({"finish_reason": "Stop! <b>"}, "no_end_of_turn"),
        ({"finish_reason": "failed", "completion_tokens": 0}, "failed"),
        ({"user": "Another?"}, "prompt_altered"),
        ({"prompt_sha": "0" * 32}, "history_broken"),
        ({"completion_tokens": 0}, "token_counts"),
        ({"completion_tokens": 101}, "token_counts"),
        ({"prompt_tokens": 399}, "token_counts"),
    ],
)
def test_each_fault_of_a_turn_is_caught_under_its_name(change: dict[str, Any], reason: str) -> None:
    row = asked("One?", "Two?")
    row["turns"][1] |= change
    assert reason in reasons(row, "One?", "Two?")
    assert set(reasons(row, "One?", "Two?")) <= {reason, "history_broken"}


def test_a_reply_that_is_swapped_breaks_the_history_of_the_next_turn() -> None:
    row = asked("One?", "Two?")
    row["turns"][0]["assistant"] = "Another reply."
    assert reasons(row, "One?", "Two?") == ["history_broken"]


def test_other_sampling_a_missing_turn_and_a_status_are_named() -> None:
    row = asked("One?", "Two?")
    assert reasons(row | {"identity": "other"}, "One?", "Two?") == ["not_as_asked"]
    assert reasons(row | {"turns": row["turns"][:1]}, "One?", "Two?") == ["turns_missing"]
    assert reasons(row | {"status": "failed"}, "One?", "Two?") == ["failed"]
    for change in ({"dgm": "n"}, {"seed": 2}, {"history": "reference"}):
        assert reasons(row | change, "One?", "Two?") == ["not_as_asked"]
    assert reasons(row, "Two?", "One?") == ["not_as_asked", "turns_swapped"]


def test_a_row_without_its_values_is_named_and_not_looked_at_further() -> None:
    row = asked("One?")
    changes: list[dict[str, Any]] = [
        {"status": None},
        {"turns": None},
        {"turns": []},
        {"turns": [None]},
        {"engine": None},
    ]
    for change in changes:
        assert reasons(row | change, "One?") == ["incomplete_row"]
    for name in ("user", "assistant", "finish_reason", "prompt_tokens", "prompt_sha"):
        assert reasons(row | {"turns": [row["turns"][0] | {name: None}]}, "One?") == ["incomplete_row"]


def test_a_turn_asked_without_the_oldest_ones_has_their_chat_left_out_of_its_name() -> None:
    row = asked("One?", "Two?")
    row["turns"][1]["trimmed_turns"] = 1
    assert reasons(row, "One?", "Two?") == ["history_broken"]
    row["turns"][1]["prompt_sha"] = chat_sha(build_chat(["Two?"], []))
    assert reasons(row, "One?", "Two?") == []


def test_checks_that_lack_what_they_need_are_named_and_give_no_reason() -> None:
    imported = MODEL.model_copy(update={"kind": "import"})
    with_topics = CHECKS.model_copy(update={"topic_letters": 4})
    row = asked("One?") | {"identity": "other", "status": "ok"}
    row["turns"][0] |= {"user": "", "finish_reason": "imported"}
    found = verdict(row, prompt("One?"), with_topics, imported, CONFIG)
    assert (found["keep"], found["reasons"]) == (True, [])
    assert found["not_checked"] == sorted({*NEED_A_REQUEST, *NEED_THE_USER})
    row["turns"][0]["user"] = "One?"
    assert verdict(row, prompt("One?"), with_topics, imported, CONFIG)["not_checked"] == sorted(NEED_A_REQUEST)
    assert verdict(asked("One?"), prompt("One?"), with_topics, MODEL, CONFIG)["not_checked"] == []
    assert verdict(asked("One?"), prompt("One?"), CHECKS, MODEL, CONFIG)["not_checked"] == ["off_topic"]
    assert verdict(asked("One?"), "unknown_conversation", with_topics, MODEL, CONFIG)["not_checked"] == sorted(
        NEED_THE_PROMPT
    )


def test_a_mark_of_a_cut_says_nothing_where_the_engine_said_how_the_reply_ended() -> None:
    row = asked("One?")
    row["turns"][0] |= {"assistant": "The log ends so: (truncated)", "completion_tokens": 50}
    assert reasons(row, "One?") == []


def test_a_prompt_that_did_not_fit_is_named_once() -> None:
    row = asked("Hi?", "x" * 500)
    assert reasons(row, "Hi?", "x" * 500) == ["context_overflow"]


def test_a_loop_is_measured_from_the_end_of_the_text() -> None:
    assert loop_chars("Once upon a time " + "ha" * 10) == 20
    assert loop_chars("abcdef") == 0
    assert loop_chars("") == 0
    assert loop_chars("ha" * 2) == 0 and loop_chars("ha" * 3) == 6
    assert loop_chars("x" + "0 0 1 0 0 2 " * 5) == 60
    assert loop_chars("x" + "ab" * 30 + "... (truncated)") == 60
    assert compression("short") == 1.0


def test_a_reply_is_on_topic_when_it_takes_up_a_long_word_of_any_turn_so_far() -> None:
    def turn(user: str, assistant: str) -> Any:
        return {"user": user, "assistant": assistant}

    about = [turn("Tell me about badgers", "Badgers dig."), turn("Why?", "The badgers seek food.")]
    assert not off_topic(about, 4)
    assert off_topic([*about, turn("And owls?", "They sing.")], 4)
    assert not off_topic([turn("2+2", "4")], 4)


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
def test_declining_in_other_languages_is_a_refusal(reply: str) -> None:
    assert is_refusal(reply)


def test_help_is_no_refusal() -> None:
    assert not is_refusal("I can help with that. You cannot park there.")
    assert not is_refusal("Sorry to hear that! Here is what I would do.")


def made(name: str, *users: str, config: RequestConfig = CONFIG) -> dict[str, Any]:
    """A conversation of that name as `generate` makes it."""
    conversation = Conversation(name, list(users))
    asked = prompt(*users) | {"conversation_hash": name}
    done = next(run_conversations(EchoEngine(config), [conversation], config, 8))
    row = to_row(done, identity(asked, MODEL, config, "echo"), "m", config, "echo")
    return attribute_cost([row], 0.0, Usage())[0]


def place(
    monkeypatch: pytest.MonkeyPatch, prompts: dict[str, list[str]], model: Model = MODEL, config: RequestConfig = CONFIG
) -> None:
    """Put prompts where the stage looks for them, and the params that it would load."""
    more = {"source": "s", "language": "English", "toxic": False}
    rows = [prompt(*users) | {"conversation_hash": name} | more for name, users in prompts.items()]
    Path("data/prompts").mkdir(parents=True)
    write_table(Path("data/prompts"), pa.Table.from_pylist(rows, schema=PROMPT))
    monkeypatch.setattr(validate, "load_model", lambda _: model)
    monkeypatch.setattr(validate, "load", lambda *_: CHECKS)
    monkeypatch.setattr(validate, "dgm_config", lambda *_: config)


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Three prompts in a folder, as the stage finds them, and their responses."""
    monkeypatch.chdir(tmp_path)
    place(monkeypatch, {name: [f"{name}?"] for name in "abc"})
    return [made(name, f"{name}?") for name in "abc"]


def judge(*tables: list[dict[str, Any]]) -> dict[str, Any]:
    write_responses(MODEL, CONFIG, [pa.Table.from_pylist(rows, schema=SEGMENT) for rows in tables])
    validate.main("m")
    summary: dict[str, Any] = read_json(Path("data/verdicts/m/.summary.json"))
    return summary


def test_a_clean_set_is_kept_whole(written: list[dict[str, Any]]) -> None:
    summary = judge(written[:2], written[2:])
    assert (summary["conversations"], summary["kept"], summary["missing"]) == (3, 3, 0)
    assert summary["found"] == {} and not summary["temperature_outside"]
    assert [row["keep"] for row in read_rows(Path("data/verdicts/m"))] == [True] * 3


def test_duplicates_strangers_and_missing_ones_are_named(written: list[dict[str, Any]]) -> None:
    stranger = written[1] | {"conversation_hash": "z"}
    summary = judge([written[0], written[0], stranger, written[2]])
    assert summary["found"] == {"duplicate_conversation": 1, "unknown_conversation": 1}
    assert (summary["kept"], summary["missing"]) == (2, 1)
    assert summary["examples"]["unknown_conversation"] == ["z"]


def turn(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What changes the last turn of a row."""
    return lambda row: row | {"turns": [*row["turns"][:-1], row["turns"][-1] | changes]}


def say_instead(reply: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return turn(assistant=reply, completion_tokens=50)


ROOMY = replace(CONFIG, max_tokens=1_000, window=4_000)
EACH_FAULT_ONCE: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    **{reason: say_instead(reply) for reason, reply in BAD.items()},
    "echo": say_instead(ENGLISH),
    "other_language": say_instead("Ein Hafen dient Schiffen als sicherer Ort, und dort arbeiten jeden Tag Fischer."),
    "finish_length": turn(finish_reason="length", completion_tokens=ROOMY.max_tokens),
    "finish_abort": turn(finish_reason="abort"),
    "no_end_of_turn": turn(finish_reason=""),
    "failed": lambda row: turn(finish_reason="failed", completion_tokens=0)(row) | {"status": "failed"},
    "prompt_altered": lambda row: turn(user="B?", prompt_sha=chat_sha(build_chat(["A?", "B?"], replies(row))))(row),
    "turns_missing": lambda row: row | {"turns": row["turns"][:1]},
    "history_broken": turn(prompt_sha="0" * 32),
    "token_counts": turn(completion_tokens=0),
    "not_as_asked": lambda row: row | {"identity": "other"},
    "incomplete_row": turn(assistant=None),
}


def replies(row: dict[str, Any]) -> list[str]:
    return [turn["assistant"] for turn in row["turns"]]


def test_of_a_set_with_each_fault_once_every_fault_is_found_under_its_name_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    users = {name: ["A?", ENGLISH] for name in [*EACH_FAULT_ONCE, *"xyz"]}
    place(monkeypatch, users, config=ROOMY)
    rows = [change(made(name, *users[name], config=ROOMY)) for name, change in EACH_FAULT_ONCE.items()]
    x, y, z = (made(name, *users[name], config=ROOMY) for name in "xyz")
    judge(rows, [x, x, z, y, made("stranger", "A?", config=ROOMY)])
    found = [(row["conversation_hash"], row["reasons"]) for row in read_rows(Path("data/verdicts/m"))]
    assert found == [
        *[(name, [name]) for name in EACH_FAULT_ONCE],
        ("x", []), ("x", ["duplicate_conversation"]), ("z", []), ("y", ["out_of_order"]),
        ("stranger", ["unknown_conversation"]),
    ]  # fmt: skip
    kept = {row["conversation_hash"] for row in read_rows(Path("data/verdicts/m")) if row["keep"]}
    assert kept == {"x", "z", "refusal", "other_language"}


def test_of_a_clean_imported_set_nothing_is_flagged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    imported = MODEL.model_copy(update={"kind": "import", "location": "reference"})
    place(monkeypatch, {name: [user] for name, (user, _) in GOOD.items()}, imported)
    asked = [
        {"conversation_hash": name, "turns": [{"user": user, "reference": reply}]}
        for name, (user, reply) in GOOD.items()
    ]
    summary = judge(as_imported(asked))
    assert (summary["kept"], summary["found"], summary["missing"]) == (len(GOOD), {}, 0)
    assert summary["not_checked"] == dict.fromkeys([*NEED_A_REQUEST, "off_topic"], len(GOOD))


def as_imported(asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The prompts with the replies of their source, as rows."""
    conversations = import_conversations(asked, None)
    rows = [
        to_row(conversation, prompt["conversation_hash"], "m", CONFIG, "import")
        for prompt, conversation in conversations
    ]
    return attribute_cost(rows, 0.0, Usage())


def shards() -> list[dict[str, Any]]:
    validate.main("m")
    return list(read_json(Path("data/verdicts/m/.shards.json")).values())


def test_a_torn_shard_is_named_and_the_others_are_judged(written: list[dict[str, Any]]) -> None:
    judge(written)
    whole = Path("data/responses/m/shard-00000.parquet")
    whole.with_name("shard-00001.parquet").write_bytes(whole.read_bytes()[:-20])
    first, torn = shards()
    assert first == {"rows": 3, "sha256": sha256_file(whole), "is_readable": True, "has_schema": True, "problem": ""}
    assert (torn["rows"], torn["is_readable"], torn["has_schema"]) == (0, False, False) and "magic bytes" in torn[
        "problem"
    ]
    summary = read_json(Path("data/verdicts/m/.summary.json"))
    assert (summary["kept"], summary["shards"], summary["unreadable_shards"]) == (3, 2, 1)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda table: table.drop_columns(["turns", "seed"]), "columns missing: turns, seed"),
        (lambda table: table.append_column("x", table["dgm"]), "not known: x"),
        (lambda table: strings(table), "of another type: seed"),
        (lambda table: table.select(table.column_names[::-1]), "columns in another order"),
    ],
)
def test_a_shard_of_other_columns_is_readable_and_named(
    written: list[dict[str, Any]], change: Callable[[pa.Table], pa.Table], problem: str
) -> None:
    judge(written)
    file = Path("data/responses/m/shard-00000.parquet")
    pq.write_table(change(pq.read_table(file)), file)
    [shard] = shards()
    assert (shard["problem"], shard["is_readable"], shard["has_schema"]) == (problem, True, False)


def strings(table: pa.Table) -> pa.Table:
    """A table whose seeds are strings."""
    return table.set_column(table.column_names.index("seed"), "seed", table["seed"].cast(pa.string()))


def test_a_shard_whose_pages_are_damaged_or_whose_text_is_no_utf8_is_named(written: list[dict[str, Any]]) -> None:
    judge(written)
    file = Path("data/responses/m/shard-00000.parquet")
    content, table = file.read_bytes(), pq.read_table(file)
    file.write_bytes(content[:4] + bytes(200) + content[204:])
    [shard] = shards()
    assert shard["problem"] and not shard["is_readable"] and shard["rows"] == 0
    wrong = pa.array([b"\xff"] * 3).view(pa.string())
    pq.write_table(table.set_column(table.column_names.index("status"), "status", wrong), file)
    [shard] = shards()
    assert "can't decode byte 0xff" in shard["problem"] and not shard["is_readable"]


def test_without_a_shard_every_prompt_is_missing(written: list[dict[str, Any]]) -> None:
    summary = judge()
    assert (summary["shards"], summary["conversations"], summary["missing"]) == (0, 0, 3)
    assert "0 of 0 shards" in refuse("m", summary, Gate(max_dropped_share=1.0, max_share={}))


def test_responses_in_another_order_are_named(written: list[dict[str, Any]]) -> None:
    summary = judge([written[2], written[0]])
    assert summary["found"] == {"out_of_order": 1} and summary["missing"] == 1


def test_prompts_are_found_whatever_is_left_out_between_them(written: list[dict[str, Any]]) -> None:
    prompts = Prompts(Path("data/prompts"))
    assert prompts.missing == 3
    assert prompts.of("b")["turns"][0]["user"] == "b?"  # type: ignore[index]
    assert [prompts.of(name) for name in ("b", "a", "z", None)] == [
        "duplicate_conversation", "out_of_order", "unknown_conversation", "unknown_conversation"
    ]  # fmt: skip
    assert prompts.of("c")["turns"][0]["user"] == "c?"  # type: ignore[index]
    assert prompts.missing == 0


def test_memory_does_not_grow_with_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imported = MODEL.model_copy(update={"kind": "import", "location": "reference"})

    def peak(number: int) -> int:
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        asked = [prompt("Hi?") | {"conversation_hash": str(n)} for n in range(number)]
        place(monkeypatch, {str(n): ["Hi?"] for n in range(number)}, imported)
        write_responses(MODEL, CONFIG, [pa.Table.from_pylist(as_imported(asked), schema=SEGMENT)])
        tracemalloc.start()
        validate.main("m")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    few, many = peak(2_000), peak(8_000)
    assert many < 1.2 * few


def test_shards_hold_groups_of_a_thousand_rows_and_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    rows = [{"x": n} for n in range(2_500)]
    schema = pa.schema([("x", pa.int64())])
    write_table(tmp_path, pa.Table.from_pylist(rows, schema=schema))
    write_rows(tmp_path, 1, iter(rows), schema)
    write_rows(tmp_path, 2, iter(rows), schema)
    first, second, third = sorted(tmp_path.iterdir())
    for file in (first, second):
        assert [pq.ParquetFile(file).metadata.row_group(n).num_rows for n in range(3)] == [1_000, 1_000, 500]
        assert list(read_shard(file)) == rows
    assert second.read_bytes() == third.read_bytes()


COUNTED: dict[str, Any] = {
    "conversations": 10, "kept": 7, "missing": 0, "shards": 1, "unreadable_shards": 0, "not_checked": {},
    "dropped_by": {"loop": 1, "finish_length": 2},
    "found": {"loop": 1, "finish_length": 2, "refusal": 4},
    "examples": {"finish_length": ["abc" * 10], "refusal": ["def"]},
}  # fmt: skip


def test_the_gate_names_the_reasons_the_most_frequent_first_with_examples() -> None:
    message = refuse("q72", COUNTED, Gate(max_dropped_share=0.2, max_share={}))
    assert "3 of 10 conversations dropped (30.0%, allowed 20.0%): finish_length 2, loop 1;" in message
    assert "finish_length as in abcabcabcabc." in message
    assert refuse("q72", COUNTED, Gate(max_dropped_share=0.3, max_share={})) == ""


def test_the_gate_can_hold_a_single_reason_to_its_own_share() -> None:
    message = refuse("q72", COUNTED, Gate(max_dropped_share=1.0, max_share={"refusal": 0.2}))
    assert "refusal in 4 of 10 conversations (40.0%, allowed 20.0%), as in def." in message
    both = refuse("q72", COUNTED, Gate(max_dropped_share=1.0, max_share={"refusal": 0.2, "loop": 0.05}))
    assert "as in def; loop in 1 of 10 conversations" in both


def test_the_gate_never_lets_missing_or_unreadable_responses_pass() -> None:
    all_may_go = Gate(max_dropped_share=1.0, max_share={})
    assert "2 prompts have no response" in refuse("q72", COUNTED | {"missing": 2}, all_may_go)
    assert "1 of 1 shards of responses cannot be read" in refuse("q72", COUNTED | {"unreadable_shards": 1}, all_may_go)
    assert refuse("q72", COUNTED | {"conversations": 0, "kept": 0}, all_may_go)


def test_what_goes_to_git_is_counts_and_shares() -> None:
    names = {"conversations", "kept", "missing", "dropped_by", "found", "not_checked", "dropped_share", "found_share"}
    assert set(count(COUNTED)) == names
    assert count(COUNTED)["dropped_share"] == 0.3
    assert count(COUNTED)["found_share"] == {"loop": 0.1, "finish_length": 0.2, "refusal": 0.4}
