"""The two-turn questions that compared models answer (paper, sec. 3.2)."""

import json
from pathlib import Path
from typing import Any

from stages.lib.console.errors import UserError


def read_questions(path: Path) -> list[dict[str, Any]]:
    """Read questions from JSON lines; raise UserError naming a line that is not a question, or repeats one.

    `reference`, a good reply to each turn, is empty if it is absent, as in MT-Bench's file.
    """
    questions: list[dict[str, Any]] = []
    ids: list[Any] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        question = parse_question(line, f"{path}:{number}")
        if question["question_id"] in ids:
            raise UserError(f"{path}:{number}: there is a question {question['question_id']} already")
        ids.append(question["question_id"])
        questions.append(question)
    return questions


def parse_question(line: str, where: str) -> dict[str, Any]:
    """Parse one question; raise UserError that begins with `where` if it is not one."""
    try:
        row = json.loads(line)
        question = {"question_id": row["question_id"], "category": row["category"], "turns": row["turns"]}
        references = [*(row.get("reference") or []), *([""] * len(row["turns"]))][: len(row["turns"])]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError(f"{where}: needs question_id, category and turns ({error!r})") from None
    return question | {"reference": references}
