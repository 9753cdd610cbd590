"""The formats of auxiliary sets (Tab. 1), one entry each: the columns that it reads, and how a row becomes a chat.

To add a format, add an entry to FORMATS and run `make tables`. A function that makes a chat of a row returns the reason
if it cannot.
"""

from collections.abc import Callable
from dataclasses import dataclass
from string import ascii_uppercase

from stages.lib.core.types import Row
from stages.lib.records.chats import Message
from stages.lib.records.messages import invalid_reason, parse_messages

MESSAGE_KEYS = ("role", "content")  # keys of a message, not columns


@dataclass(frozen=True, slots=True)
class AuxiliaryFormat:
    """How the rows of a set become chats."""

    columns: tuple[str, ...]
    optional: tuple[str, ...]
    result: str  # for the table in the docs
    to_messages: Callable[[Row], list[Message] | str]


def one_turn(user: object, assistant: object) -> list[Message] | str:
    """Make a chat of one turn."""
    return keep_messages({"messages": [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]})


def keep_messages(row: Row) -> list[Message] | str:
    """Keep a chat as it is: a system prompt if there is one, then user and assistant in turn, a reply last."""
    messages = row["messages"]
    system = messages[:1] if isinstance(messages, list) and messages and has_role(messages[0], "system") else []
    if problem := next((invalid_reason(message["content"]) for message in system), ""):
        return problem
    turns = parse_messages(messages[len(system) :] if system else messages)
    if isinstance(turns, str):
        return turns
    if not all(message["content"].strip() for message in messages):
        return "empty_message"
    return [{"role": message["role"], "content": message["content"]} for message in messages]


def has_role(message: object, role: str) -> bool:
    """Whether a value is a message of this role."""
    return isinstance(message, dict) and message.get("role") == role


def ask_question(row: Row) -> list[Message] | str:
    """Make one turn of two texts."""
    return one_turn(row["question"], row["answer"])


def ask_multiple_choice(row: Row) -> list[Message] | str:
    """Ask a question with lettered choices; answer with the letter and the choice."""
    index = parse_answer(row["choices"], row["answer"])
    if isinstance(index, str):
        return index
    if problem := invalid_reason(row["question"]):
        return problem
    if not row["question"].strip() or not row["choices"][index].strip():
        return "empty_message"
    lettered = [f"{letter}. {choice}" for letter, choice in zip(ascii_uppercase, row["choices"], strict=False)]
    return one_turn("\n".join([row["question"], *lettered]), lettered[index])


def parse_answer(choices: object, answer: object) -> int | str:
    """Return the index of the choice that an answer names, by an index from 0 or a letter; or the reason if none."""
    if not isinstance(choices, list) or not choices:
        return "no_choices"
    if len(choices) > len(ascii_uppercase):
        return "too_many_choices"
    if problem := next(filter(None, map(invalid_reason, choices)), ""):
        return problem
    if isinstance(answer, str) and len(answer) == 1:
        answer = ascii_uppercase.find(answer.upper())
    if not isinstance(answer, int) or isinstance(answer, bool) or not 0 <= answer < len(choices):
        return "answer_is_no_choice"
    return answer


def ask_jeopardy(row: Row) -> list[Message] | str:
    """Give a clue as an instruction with its category as the input; answer in words, without the letter.

    The chat that corresponds to Axolotl's type `jeopardy` for the same columns. A set without choices answers in words.
    """
    question, category, answer = row["question"], row["category"] or "", row["answer"]
    if "choices" in row:
        index = parse_answer(row["choices"], answer)
        if isinstance(index, str):
            return index
        answer = row["choices"][index]
    if problem := invalid_reason(question) or invalid_reason(category) or invalid_reason(answer):
        return problem
    if not question.strip() or not answer.strip():
        return "empty_message"
    hint = ", and its category is the input" if category else ""
    clue = f"This is a quiz clue{hint}. Say briefly what it asks for.\n\n### Instruction:\n{question}"
    return one_turn(f"{clue}\n\n### Input:\n{category}" if category else clue, f"what is {answer}")


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
