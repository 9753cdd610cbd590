"""Validation: every fault is caught under its name, and good replies give no reason."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from stages import validate
from stages.gate import Gate, count, refuse
from stages.generate import write_responses
from stages.lib.checks import compression, is_other_language, is_refusal, language, loop_chars, off_topic
from stages.lib.conversation import PROMPT
from stages.lib.rules import identity
from stages.lib.shards import read_json, read_rows, write_table
from stages.lib.store import SEGMENT
from stages.validate import Prompts, Validate, verdict
from tests.test_generate import MODEL, RULES, stored_row

CHECKS = Validate(
    finish_reasons=["stop"], min_chars=1, max_loop_chars=400, min_compression=0.1, topic_letters=0,
    report_only=["refusal", "other_language"],
)  # fmt: skip
ENGLISH = "Tell me in a few sentences what a harbour is for and who works there every day, please."


def prompt(*users: str) -> dict[str, Any]:
    return {"conversation_hash": "h", "turns": [{"user": user, "reference": "Yes."} for user in users]}


def asked(*users: str) -> dict[str, Any]:
    """A conversation as `generate` makes it."""
    return stored_row(identity(prompt(*users), MODEL, RULES, "echo"), *users)


def reasons(row: dict[str, Any], *users: str) -> list[str]:
    found: list[str] = verdict(row, prompt(*users), CHECKS, MODEL, RULES)["reasons"]
    return found


def answered(reply: str, user: str = "Hi?") -> list[str]:
    """The reasons that one reply gives, of which nothing but the text is known."""
    row = asked(user)
    row["turns"][0] |= {"assistant": reply, "finish_reason": "imported"}
    found: list[str] = verdict(row, prompt(user), CHECKS, MODEL.model_copy(update={"kind": "import"}), RULES)["reasons"]
    return found


def test_what_generate_makes_gives_no_reason() -> None:
    assert reasons(asked("One?", "Two?"), "One?", "Two?") == []


@pytest.mark.parametrize(
    "reply",
    [
        "7",
        "是的,海港每天早上开放,渔民们在那里卖鱼。",
        "| a | b |\n|---|---|\n" + "".join(f"| {n} | {n * n} |\n" for n in range(30)),
        "```python\n" + "".join(f"x[{n}] = {n}\n" for n in range(60)) + "```",
        "The sea, the sea,\nthe sea, the sea,\nit sings to me.\n" * 3,
        "Human rights are for everyone. User: is a role. I can't wait to see the harbour!",
        "x <- c(1, 2); text = '<eos>' # end of sequence",
    ],
)
def test_a_good_reply_gives_no_reason(reply: str) -> None:
    assert answered(reply) == []


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (" \n", "empty"),
        ("na " * 200, "loop"),
        ("".join(f"{n % 7} bottles of beer on the wall, {n % 7} bottles of beer.\n" for n in range(90)), "loop"),
        ("A broken \ufffd character.", "broken_characters"),
        ("Sure.<|im_end|>\n<|im_start|>user", "control_token"),
        ("Sure. [/INST]", "control_token"),
        ("Sure.\n### Instruction:\nNow another", "template_leak"),
        ("<think>Hm.</think>Sure.", "thinking_leak"),
        ("Hm, let me see.</think>Sure.", "thinking_leak"),
        ("<think>Hm, and then", "thinking_unclosed"),
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("As an AI, I am unable to provide medical advice.", "refusal"),
    ],
)
def test_each_fault_of_a_reply_is_caught_under_its_name_alone(reply: str, reason: str) -> None:
    assert answered(reply) == [reason]


def test_what_the_user_said_first_is_no_leak() -> None:
    assert (
        answered("Write <|im_end|> or </think> or ### Response: here", "Explain <|im_end|>, </think>, ### Response:")
        == []
    )


def test_a_long_message_said_back_is_an_echo_and_a_short_one_is_not() -> None:
    assert answered(ENGLISH + " It is.", ENGLISH) == ["echo"]
    assert answered("Hi? Hi!", "Hi?") == []


def test_another_language_is_reported_unless_language_is_the_subject() -> None:
    german = "Ein Hafen dient Schiffen als sicherer Ort, und dort arbeiten jeden Tag Fischer und Lotsen."
    assert answered(german, ENGLISH) == ["other_language"]
    assert not is_other_language(german, f"Translate into German: {ENGLISH}")
    assert not is_other_language("Ja, genau.", ENGLISH)
    assert (language(german), language("x = 1")) == ("de", "")


def test_a_reason_that_is_only_reported_drops_nothing() -> None:
    row = asked("Hi?")
    row["turns"][0]["assistant"] = "Sorry, I cannot help with that."
    found = verdict(row, prompt("Hi?"), CHECKS, MODEL, RULES)
    assert (found["keep"], found["reasons"]) == (True, ["refusal"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"finish_reason": "length", "completion_tokens": 100}, "finish_length"),
        ({"finish_reason": "abort"}, "finish_abort"),
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


def test_a_prompt_that_did_not_fit_is_named_once() -> None:
    row = asked("Hi?", "x" * 500)
    assert reasons(row, "Hi?", "x" * 500) == ["context_overflow"]


def test_a_loop_is_measured_from_the_end_of_the_text() -> None:
    assert loop_chars("Once upon a time " + "ha" * 10) == 20
    assert loop_chars("abcdef") == 0
    assert loop_chars("") == 0
    assert compression("short") == 1.0


def test_a_reply_is_on_topic_when_it_takes_up_a_long_word_of_any_turn_so_far() -> None:
    def turn(user: str, assistant: str) -> Any:
        return {"user": user, "assistant": assistant}

    about = [turn("Tell me about badgers", "Badgers dig."), turn("Why?", "The badgers seek food.")]
    assert not off_topic(about, 4)
    assert off_topic([*about, turn("And owls?", "They sing.")], 4)
    assert not off_topic([turn("2+2", "4")], 4)


def test_help_is_no_refusal() -> None:
    assert not is_refusal("I can help with that. You cannot park there.")
    assert not is_refusal("Sorry to hear that! Here is what I would do.")


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Three prompts and their responses in a folder, as the stage finds them."""
    monkeypatch.chdir(tmp_path)
    rows = [prompt(f"{name}?") | {"conversation_hash": name} for name in "abc"]
    Path("data/prompts").mkdir(parents=True)
    more = {"source": "s", "language": "English", "toxic": False}
    write_table(Path("data/prompts"), pa.Table.from_pylist([row | more for row in rows], schema=PROMPT))
    monkeypatch.setattr(validate, "load_model", lambda _: MODEL)
    monkeypatch.setattr(validate, "load", lambda *_: CHECKS)
    monkeypatch.setattr(validate, "to_rules", lambda *_: RULES)
    return [
        asked(f"{name}?") | {"conversation_hash": name, "identity": identity(row, MODEL, RULES, "echo")}
        for name, row in zip("abc", rows, strict=True)
    ]


def judge(*tables: list[dict[str, Any]]) -> dict[str, Any]:
    write_responses(MODEL, [pa.Table.from_pylist(rows, schema=SEGMENT) for rows in tables])
    validate.main("m")
    summary: dict[str, Any] = read_json(Path("data/verdicts/m/summary.json"))
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


def test_a_torn_shard_and_one_of_other_columns_are_named_and_the_others_judged(written: list[dict[str, Any]]) -> None:
    judge(written)
    folder = Path("data/responses/m")
    (folder / "shard-00001.parquet").write_bytes((folder / "shard-00000.parquet").read_bytes()[:-20])
    (folder / "other").mkdir()
    write_table(folder / "other", pa.table({"x": [1]}))
    (folder / "other" / "shard-00000.parquet").rename(folder / "shard-00002.parquet")
    validate.main("m")
    summary = read_json(Path("data/verdicts/m/summary.json"))
    assert (summary["kept"], summary["unreadable_shards"]) == (3, 2)
    problems = [shard["problem"] for shard in read_json(Path("data/verdicts/m/shards.json")).values()]
    assert problems[0] == "" and problems[1] and problems[2] == "its columns are x"


def test_responses_in_another_order_are_named(written: list[dict[str, Any]]) -> None:
    summary = judge([written[2], written[0]])
    assert summary["found"] == {"out_of_order": 1} and summary["missing"] == 2


def test_only_hashes_of_prompts_are_held(written: list[dict[str, Any]]) -> None:
    prompts = Prompts(Path("data/prompts"))
    assert prompts.missing == {"a", "b", "c"}
    assert prompts.of("b")["turns"][0]["user"] == "b?"  # type: ignore[index]


GOOD: dict[str, Any] = {
    "conversations": 10, "kept": 7, "missing": 0, "unreadable_shards": 0, "dropped_by": {"loop": 1, "finish_length": 2},
    "found": {"loop": 1, "finish_length": 2, "refusal": 4},
    "examples": {"finish_length": ["abc" * 10], "refusal": ["def"]},
}  # fmt: skip


def test_the_gate_names_the_reasons_the_most_frequent_first_with_examples() -> None:
    message = refuse("q72", GOOD, Gate(max_dropped_share=0.2, max_share={}))
    assert "3 of 10 conversations dropped (30.0%, allowed 20.0%): finish_length 2, loop 1;" in message
    assert "finish_length as in abcabcabcabc." in message
    assert refuse("q72", GOOD, Gate(max_dropped_share=0.3, max_share={})) == ""


def test_the_gate_can_hold_a_single_reason_to_its_own_share() -> None:
    message = refuse("q72", GOOD, Gate(max_dropped_share=1.0, max_share={"refusal": 0.2}))
    assert "refusal in 4 of 10 conversations (40.0%, allowed 20.0%), as in def." in message


def test_the_gate_never_lets_missing_or_unreadable_responses_pass() -> None:
    assert "2 prompts have no response" in refuse(
        "q72", GOOD | {"missing": 2}, Gate(max_dropped_share=1.0, max_share={})
    )


def test_what_goes_to_git_is_counts() -> None:
    assert set(count(GOOD)) == {"conversations", "kept", "missing", "dropped_by", "found", "dropped_share"}
    assert count(GOOD)["dropped_share"] == 0.3
