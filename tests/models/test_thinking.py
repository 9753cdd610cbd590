"""The thoughts that a reply begins with: every family's tags, and what is no thought."""

import pytest

from stages.lib.models.thinking import opened_tag, strip_thoughts

HARMONY = "<|channel|>analysis<|message|>Add.<|end|><|start|>assistant"


@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        ("<think>Hm.</think>\n\nFour.", "Four."),
        ("\n<Thought>\nHm.\n</Thought>\nFour.", "Four."),
        ("<thinking>Hm.</thinking>Four.", "Four."),
        ("<reasoning>Hm.</reasoning> Four.", "Four."),
        ("<seed:think>Hm.</seed:think>Four.", "Four."),
        ("[THINK]Hm.[/THINK]Four.", "Four."),
        ("◁think▷Hm.◁/think▷Four.", "Four."),
        ("<|begin_of_thought|>Hm.<|end_of_thought|>\n<|begin_of_solution|>\nFour.\n<|end_of_solution|>", "Four."),
        ("<|START_THINKING|>Hm.<|END_THINKING|><|START_RESPONSE|>Four.<|END_RESPONSE|>", "Four."),
        ("<|START_RESPONSE|>Four.<|END_RESPONSE|>", "Four."),
        ("<|inner_prefix|>Hm.<|inner_suffix|>Four.", "Four."),
        ("<|channel>thought\nHm.<channel|>Four.", "Four."),
        (f"{HARMONY}<|channel|>final<|message|>Four.", "Four."),
        (f"{HARMONY}{HARMONY}<|channel|>final<|message|>Four.", "Four."),
        ("<|channel|>final<|message|>Four.", "Four."),
        ("<think>\nHm.\n</think>\n<answer>\nFour.\n</answer>", "Four."),
        ("<think>Hm.</think><answer>Four, and", "Four, and"),
        ("Here is my thought process: Hm. Here is my response: Four.", "Four."),
        ("<think>\n\n</think>\n\n<think>Hm.</think>Four.", "Four."),
        ("<think>Hm, for ever", ""),
        (HARMONY, ""),
    ],
)
def test_a_reply_is_stripped_of_the_thoughts_that_it_begins_with(reply: str, kept: str) -> None:
    assert strip_thoughts(reply) == kept


@pytest.mark.parametrize(
    "reply",
    [
        "Four.",
        "Such models end their thoughts with </think>, and then answer.",
        "They write <think>Hm.</think> before they answer.",
        "`<think>` begins them.",
        "<answer>4</answer>",
        "Hm.</think>Four.",
    ],
)
def test_a_reply_that_speaks_of_thoughts_keeps_its_text(reply: str) -> None:
    assert strip_thoughts(reply) == reply


def test_a_reply_begins_inside_the_thoughts_that_the_prompt_opened() -> None:
    assert strip_thoughts("Hm.\n</think>\n\nFour.", opened="<think>") == "Four."
    assert strip_thoughts("<think>Hm.</think>Four.", opened="<think>") == "Four."
    assert strip_thoughts("Hm, for ever", opened="<think>") == ""
    assert strip_thoughts("Hm.</think>It ends with </think>.", opened="<think>") == "It ends with </think>."


def test_a_prompt_opens_thoughts_only_if_it_ends_with_their_tag() -> None:
    assert opened_tag("<|im_start|>assistant\n<think>\n") == "<think>"
    assert opened_tag("<|CHATBOT_TOKEN|><|START_THINKING|>") == "<|START_THINKING|>"
    assert opened_tag("<|im_start|>assistant\n<think>\n\n</think>\n\n") == ""
    assert opened_tag("Say <think><|im_end|>\n<|im_start|>assistant\n") == ""
    assert opened_tag("[/INST]<muse>", {"<muse>": "</muse>"}) == "<muse>"


def test_the_catalogues_tags_are_stripped_too() -> None:
    assert strip_thoughts("<muse>Hm.</muse>Four.") == "<muse>Hm.</muse>Four."
    assert strip_thoughts("<muse>Hm.</muse>Four.", own={"<muse>": "</muse>"}) == "Four."


def test_an_empty_beginning_says_that_an_unseen_prompt_opened_the_thoughts() -> None:
    opened = {"": "</think>"}
    assert strip_thoughts("Hm.</think>Four.", own=opened) == "Four."
    assert strip_thoughts("<think>Hm.</think>Four.", own=opened) == "Four."
    assert strip_thoughts("Four.", own=opened) == "Four."


def test_an_answers_tags_that_the_user_asked_for_are_kept() -> None:
    reply = "<think>Hm.</think><answer>4</answer>"
    assert strip_thoughts(reply, asked="Put it in <answer> tags.") == "<answer>4</answer>"
    assert strip_thoughts("<think>Hm.</think><answer>4</answer> of 5") == "<answer>4</answer> of 5"
