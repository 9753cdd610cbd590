"""Questions and the compared models' replies to them, as the page shows them."""

from itertools import zip_longest
from typing import Any

from stages.lib.report.page import render_markdown

NOTES = {"stop": "", "length": "cut at the token limit", "context_overflow": "did not fit the context window"}


def reply(model: str, turn: dict[str, Any] | None) -> dict[str, Any]:
    """One model's reply as the page shows it, with what is odd about it in words."""
    if turn is None:
        return {"model": model, "html": "", "note": "not asked: the conversation had ended"}
    note = NOTES.get(turn["finish_reason"], turn["finish_reason"])
    if not turn["assistant"].strip():
        note = ", ".join(filter(None, ["no text", note]))
    return {"model": model, "html": render_markdown(turn["assistant"]), "note": note}


def examples(answers: dict[str, list[dict[str, Any]]], num_examples: int) -> list[dict[str, Any]]:
    """Questions spread evenly over the set, and every model's reply to each of their turns."""
    questions = {model: {row["question_id"]: row for row in rows} for model, rows in answers.items()}
    ids = list(next(iter(questions.values()), {}))
    count = min(num_examples, len(ids))
    chosen = [ids[number * len(ids) // count] for number in range(count)]
    return [example([rows.get(name) for rows in questions.values()], list(questions)) for name in chosen]


def example(rows: list[dict[str, Any] | None], models: list[str]) -> dict[str, Any]:
    """One question: its turns, and below each the replies of the models, side by side."""
    turns = [
        {
            "user": next(turn["user"] for turn in together if turn),
            "replies": [reply(model, turn) for model, turn in zip(models, together, strict=True)],
        }
        for together in zip_longest(*(row["turns"] if row else [] for row in rows))
    ]
    return {"category": next(row["category"] for row in rows if row), "turns": turns}
