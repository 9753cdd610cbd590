"""The two-turn questions that compared models answer (paper, sec. 3.2)."""

import json
from pathlib import Path
from typing import Any

from stages.lib.console.errors import UserError


def read_questions(path: Path) -> list[dict[str, Any]]:
    """Read questions; raise UserError naming the line that is not one.

    `reference`, a good reply to each turn, may be absent, as in MT-Bench's file: it is then empty.
    """
    questions: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            question = {"question_id": row["question_id"], "category": row["category"], "turns": row["turns"]}
            references = [*(row.get("reference") or []), *([""] * len(row["turns"]))][: len(row["turns"])]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise UserError(f"{path}:{number}: needs question_id, category and turns ({error!r})") from None
        if any(question["question_id"] == known["question_id"] for known in questions):
            raise UserError(f"{path}:{number}: there is a question {question['question_id']} already")
        questions.append(question | {"reference": references})
    return questions
