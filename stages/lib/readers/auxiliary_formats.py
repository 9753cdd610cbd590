"""The formats of auxiliary sets (Tab. 1), one entry each: the columns that it reads, and how a row becomes a chat.

To add a format, add an entry to FORMATS and run `make tables`. A function that makes a chat of a row returns the reason
if it cannot.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from string import ascii_uppercase

from stages.lib.core.text import is_blank
from stages.lib.core.types import Row
from stages.lib.readers.chats import Chat, parse_chat, parse_exchange, to_content
from stages.lib.readers.reasons import Reason
from stages.lib.readers.values import is_missing, to_whole_number
from stages.lib.records.chats import Message, build_chat

MESSAGE_KEYS = ("role", "content")  # keys of a message, not columns


@dataclass(frozen=True, slots=True)
class AuxiliaryFormat:
    """How the rows of a set become chats."""

    columns: tuple[str, ...]
    optional: tuple[str, ...]
    result: str  # for the table in the docs
    to_messages: Callable[[Row, Mapping[str, str]], list[Message] | Reason]  # of a row, and other keys of its messages


def to_messages(chat: Chat | Reason) -> list[Message] | Reason:
    """Return the messages of a chat that training can read: every one says something."""
    if isinstance(chat, Reason):
        return chat
    users, replies = [turn["user"] or "" for turn in chat.turns], [turn["reply"] or "" for turn in chat.turns]
    if any(map(is_blank, users + replies)):
        return Reason("empty_message")
    return [*build_chat(users, replies, chat.system), {"role": "assistant", "content": replies[-1]}]


def keep_messages(row: Row, names: Mapping[str, str]) -> list[Message] | Reason:
    """Keep a chat as it is: a system prompt if there is one, then user and assistant in turn, a reply last."""
    return to_messages(parse_chat(row["messages"], names))


def ask_question(row: Row, _: Mapping[str, str]) -> list[Message] | Reason:
    """Make one turn of two texts."""
    return to_messages(parse_exchange(row["question"], row["answer"]))


def ask_multiple_choice(row: Row, _: Mapping[str, str]) -> list[Message] | Reason:
    """Ask a question with lettered choices; answer with the letter and the choice."""
    question, choices = to_content(row["question"]), to_choices(row["choices"])
    if isinstance(choices, Reason):
        return choices
    index = to_index(choices, row["answer"])
    if isinstance(index, Reason):
        return index
    if isinstance(question, Reason):
        return question
    if is_blank(question) or is_blank(choices[index]):
        return Reason("empty_message")
    lettered = [f"{letter}. {choice}" for letter, choice in zip(ascii_uppercase, choices, strict=False)]
    return to_messages(parse_exchange("\n".join([question, *lettered]), lettered[index]))


def to_choices(value: object) -> list[str] | Reason:
    """Return the texts of the choices, or the reason why there are none."""
    if not isinstance(value, list) or not value:
        return Reason("no_choices")
    if len(value) > len(ascii_uppercase):
        return Reason("too_many_choices")
    choices = [to_content(choice) if not isinstance(choice, list) else Reason("content_is_no_text") for choice in value]
    texts = [choice for choice in choices if isinstance(choice, str)]
    return next((choice for choice in choices if isinstance(choice, Reason)), texts)


def to_index(choices: list[str], answer: object) -> int | Reason:
    """Return the index of the choice that an answer names, by a letter or an index from 0; or the reason if none."""
    if isinstance(answer, str):
        index = ascii_uppercase.find(answer.strip().upper()) if len(answer.strip()) == 1 else -1
    else:
        number = to_whole_number(answer)
        index = -1 if isinstance(number, Reason) else number
    return index if 0 <= index < len(choices) else Reason("answer_is_no_choice")


def ask_jeopardy(row: Row, _: Mapping[str, str]) -> list[Message] | Reason:
    """Give a clue as an instruction with its category as the input; answer in words, without the letter.

    The chat that corresponds to Axolotl's type `jeopardy` for the same columns. A set without choices answers in words.
    """
    answer = pick_choice(row["choices"], row["answer"]) if "choices" in row else row["answer"]
    texts = [answer if isinstance(answer, Reason) else to_content(answer)]
    texts += map(to_content, (row["question"], "" if is_missing(row["category"]) else row["category"]))
    if wrong := next((text for text in texts if isinstance(text, Reason)), None):
        return wrong
    answer, question, category = (str(text) for text in texts)
    if is_blank(question) or is_blank(answer):
        return Reason("empty_message")
    hint = ", and its category is the input" if category else ""
    clue = f"This is a quiz clue{hint}. Say briefly what it asks for.\n\n### Instruction:\n{question}"
    asked = f"{clue}\n\n### Input:\n{category}" if category else clue
    return to_messages(parse_exchange(asked, f"what is {answer}"))


def pick_choice(choices: object, answer: object) -> str | Reason:
    """Return the text of the choice that an answer names, or the reason if none."""
    texts = to_choices(choices)
    index = texts if isinstance(texts, Reason) else to_index(texts, answer)
    return index if isinstance(index, Reason) else texts[index]  # type: ignore[index]


FORMATS = {
    "messages": AuxiliaryFormat(
        ("messages",),
        MESSAGE_KEYS,
        "the chat as it is: system prompt if any, then user and assistant in turn",
        keep_messages,
    ),
    "question_answer": AuxiliaryFormat(("question", "answer"), (), "one turn", ask_question),
    "multiple_choice": AuxiliaryFormat(
        ("question", "choices", "answer"),
        (),
        "the question with lettered choices; the letter and the choice",
        ask_multiple_choice,
    ),
    "jeopardy": AuxiliaryFormat(
        ("question", "category", "answer"),
        ("choices",),
        "the paper's MMLU form: a clue with its category; `what is …`",
        ask_jeopardy,
    ),
}
