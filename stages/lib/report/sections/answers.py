"""Conversations: some questions with the compared models' replies to them, and the way to all conversations."""

from itertools import zip_longest

from stages.lib.core.types import Json
from stages.lib.report.inputs import Inputs
from stages.lib.report.page import NOTES, render_markdown
from stages.lib.report.section import Content, Section


def build(inputs: Inputs) -> Content:
    """Read the compared models' answers."""
    files = inputs.files
    answers = {model: files.read_rows(files.find_compared(model, "answers")) for model in inputs.compare}
    has_models = any(collection.models for collection in inputs.collections)
    return Content(
        values={"examples": choose_examples(answers, inputs.num_examples)},
        skipped="" if has_models else "there is no model to show",
    )


def choose_examples(answers: dict[str, list[Json]], num_examples: int) -> list[Json]:
    """Return questions spread evenly over the set, with every model's reply to each of their turns."""
    questions = {model: {row["question_id"]: row for row in rows} for model, rows in answers.items()}
    ids = list(next(iter(questions.values()), {}))
    count = min(num_examples, len(ids))
    chosen = [ids[number * len(ids) // count] for number in range(count)]
    return [make_example([rows.get(id_) for rows in questions.values()], list(questions)) for id_ in chosen]


def make_example(rows: list[Json | None], models: list[str]) -> Json:
    """Return one question: its turns, and below each the replies of the models, side by side."""
    turns = [
        {
            "user": next(turn["user"] for turn in together if turn),
            "replies": [make_reply(model, turn) for model, turn in zip(models, together, strict=True)],
        }
        for together in zip_longest(*(row["turns"] if row else [] for row in rows))
    ]
    return {"category": next(row["category"] for row in rows if row), "turns": turns}


def make_reply(model: str, turn: Json | None) -> Json:
    """Return one model's reply as the page shows it, with a note where it is unusual."""
    if turn is None:
        return {"model": model, "html": "", "note": "not asked: the conversation had ended"}
    note = NOTES.get(turn["finish_reason"], turn["finish_reason"])
    if not turn["assistant"].strip():
        note = ", ".join(filter(None, ["no text", note]))
    return {"model": model, "html": render_markdown(turn["assistant"]), "note": note}


SECTION = Section(
    name="answers",
    title="Conversations",
    question="What do the replies read like?",
    sources={"responses": "responses", "verdicts": "their status", "answers": "answers"},
    build=build,
)
