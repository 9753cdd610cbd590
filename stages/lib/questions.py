"""The two-turn questions that compared models answer (paper, sec. 3.2)."""

import json
from pathlib import Path
from typing import Any

from stages.lib.params import UserError


def read_questions(path: Path) -> list[dict[str, Any]]:
    """Read questions; raise UserError naming the line that is not one.

    `reference`, a good reply to each turn, may be absent, as in MT-Bench's file: it is then empty.
    """
    questions = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            question = {"question_id": row["question_id"], "category": row["category"], "turns": row["turns"]}
            references = [*(row.get("reference") or []), *([""] * len(row["turns"]))][: len(row["turns"])]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise UserError(f"{path}:{number}: needs question_id, category and turns ({error!r})") from None
        questions.append(question | {"reference": references})
    return questions
