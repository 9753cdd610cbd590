"""The two-turn questions that compared models answer (paper, sec. 3.2)."""

from pathlib import Path
from typing import Any, TypeVar

from stages.lib.console.errors import UserError
from stages.lib.core.text import is_blank
from stages.lib.core.types import Row
from stages.lib.readers.chats import to_content
from stages.lib.readers.files import list_data_files
from stages.lib.readers.parquet_rows import Columns
from stages.lib.readers.reasons import Reason, UnreadableRows
from stages.lib.readers.rows import read_numbered
from stages.lib.readers.values import to_label, to_whole_number

COLUMNS = ("question_id", "category", "turns", "reference")
SCALARS = COLUMNS[:2]
T = TypeVar("T")
MAX_ID_CHARS = 20


def read_questions(path: Path) -> list[dict[str, Any]]:
    """Read questions from JSON lines or parquet; raise UserError naming a row that is not a question, or repeats one.

    `reference`, a good reply to each turn, is empty if it is absent, as in MT-Bench's file.
    """
    questions: dict[int, Row] = {}
    for file in list_data_files(path):
        unreadable = UnreadableRows()
        for number, row in read_numbered(file, choose_columns, unreadable):
            question = parse_question(row, f"{file}:{number}")
            if question["question_id"] in questions:
                raise UserError(f"{file}:{number}: there is a question {question['question_id']} already")
            questions[question["question_id"]] = question
        for name, places in unreadable.places.items():
            if name != "blank_line":
                raise UserError(f"{places[0]}: needs question_id, category and turns (it is {name})")
    return [*questions.values()]


def choose_columns(present: list[str]) -> Columns:
    """Choose the columns of a file of questions."""
    return Columns({name: name for name in COLUMNS if name in present}, (), SCALARS)


def parse_question(row: Row, where: str) -> Row:
    """Parse one question; raise UserError that begins with `where` if it is not one."""

    def need(name: str, value: T | Reason) -> T:
        if isinstance(value, Reason):
            raise UserError(f"{where}: needs question_id, category and turns ({name}: {value.name})")
        return value

    turns = need("turns", to_texts(row.get("turns")))
    need("turns", Reason("empty") if not turns or any(map(is_blank, turns)) else turns)
    reference = row.get("reference") or []
    references = need("reference", to_texts([reference] if isinstance(reference, str) else reference))
    return {
        "question_id": need("question_id", to_question_id(row.get("question_id"))),
        "category": need("category", to_label(row.get("category")) or Reason("missing")),
        "turns": turns,
        "reference": [*references, *([""] * len(turns))][: len(turns)],
    }


def to_question_id(value: object) -> int | Reason:
    """Return a whole number of 64 bits of any type of number, or a text that is one."""
    is_digits = isinstance(value, str) and value.isascii() and value.strip().isdigit() and len(value) < MAX_ID_CHARS
    number = int(value) if is_digits else to_whole_number(value)  # type: ignore[call-overload]
    return number if isinstance(number, Reason) or abs(number) < 2**63 else Reason("not_a_whole_number")


def to_texts(value: object) -> list[str] | Reason:
    """Return a list of texts, a null one empty; or why it is none."""
    if not isinstance(value, list):
        return Reason("missing" if value is None else "not_a_list")
    texts = ["" if text is None else to_content(text) for text in value]
    return next((text for text in texts if isinstance(text, Reason)), [text for text in texts if isinstance(text, str)])
