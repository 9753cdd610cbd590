"""The prompts stage: the rows that are kept, and the reasons for which others are left out."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.lib.console.errors import UserError
from stages.lib.settings.sections import Prompts
from stages.prompts import read_source, select_prompts
from tests.support.project import conversation

PROMPTS = Prompts(source="x.parquet", max_prompts=10, max_turns=2, languages=[], exclude_toxic=False, seed=1)


def messages(*contents: str | None) -> list[dict[str, Any]]:
    roles = ("user", "assistant")
    return [{"role": roles[number % 2], "content": content} for number, content in enumerate(contents)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (conversation(1, 3), "too_many_turns"),
        (conversation(1, 1, conversation_hash=None), "null_hash"),
        (conversation(1, 1, conversation=[]), "no_messages"),
        (conversation(1, 1, conversation=None), "no_messages"),
        (conversation(1, 1, conversation=messages(" \n", "x")), "empty_user_turn"),
        (conversation(1, 1, conversation=messages(None, "x")), "null_content"),
        (conversation(1, 1, conversation=messages("a", "b")[::-1]), "roles_do_not_alternate"),
    ],
)
def test_a_row_that_cannot_be_asked_is_counted_under_its_reason(row: dict[str, Any], reason: str) -> None:
    assert select_prompts([row], PROMPTS) == ([], {reason: 1})


def test_a_second_row_with_the_same_hash_and_filtered_rows_are_counted() -> None:
    rows = [
        conversation(1, 1),
        conversation(1, 2),
        conversation(2, 1, toxic=True),
        conversation(3, 1, language="German"),
    ]
    prompts = PROMPTS.model_copy(update={"languages": ["English"], "exclude_toxic": True})
    kept, left_out = select_prompts(rows, prompts)
    assert [row["conversation_hash"] for row in kept] == [f"{1:032x}"]
    assert left_out == {"duplicate_hash": 1, "other_language": 1, "toxic": 1}


def test_user_text_is_kept_byte_for_byte() -> None:
    text = "  <|eot_id|>\r\n\u200b tail \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16") + " "
    kept, _ = select_prompts([conversation(1, 1, conversation=messages(text, "reply"))], PROMPTS)
    assert kept[0]["turns"] == [{"user": text, "reference": "reply"}]


def test_fewer_prompts_are_a_prefix_of_more_in_any_order_of_the_file() -> None:
    rows = [conversation(number, 1) for number in range(20)]
    many, _ = select_prompts(rows, PROMPTS.model_copy(update={"max_prompts": 15}))
    few, left_out = select_prompts(rows[::-1], PROMPTS.model_copy(update={"max_prompts": 5}))
    assert few == many[:5] and left_out == {"over_max_prompts": 15}


def test_a_prompt_file_that_is_not_parquet_or_lacks_a_column_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("hello")
    with pytest.raises(UserError, match=r"x.parquet is not readable as parquet"):
        read_source(tmp_path / "x.parquet")
    pq.write_table(pa.table({"conversation_hash": ["a"], "text": ["b"]}), tmp_path / "y.parquet")
    with pytest.raises(UserError, match=r"no column 'conversation'; .* this file has conversation_hash, text"):
        read_source(tmp_path / "y.parquet")
    with pytest.raises(UserError, match=r"z.parquet: no parquet file there"):
        read_source(tmp_path / "z.parquet")
