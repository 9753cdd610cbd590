"""Reading replies that exist already: each form is recognised, and each row is used or counted."""

import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from commands.analyse.columns import FORMS, ROLES, assign_roles, parse_judgment, read_by_role
from commands.analyse.ingest import IngestedRows, assign_ids, ingest
from stages.lib.console.errors import UserError
from stages.lib.readers.reasons import UnreadableRows
from tests.support.replies import FLAT, Row, chat, response, response_turn, write_rows

Conversations = list[tuple[str, list[tuple[str | None, str | None]]]]


def take(tmp_path: Path, rows: list[Row], name: str = "x.parquet") -> IngestedRows:
    """Ingest rows from a file."""
    return take_from(write_rows(tmp_path / name, rows), tmp_path / "scratch")


def take_from(source: Path, scratch: Path) -> IngestedRows:
    """Ingest the rows of a file or folder."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    unreadable = UnreadableRows()
    return ingest(read_by_role(source, unreadable), scratch, source.name, unreadable)


def conversations(ingested: IngestedRows) -> dict[str, Conversations]:
    """Per model: the key and (user, reply) of each of its conversations."""
    keys = [row["conversation_hash"] for row in ingested.prompts.rows("x")]
    return {
        name: [
            (key, [(turn["user"], turn["reply"]) for turn in model.replies().turns_of(key)])
            for key in sorted(keys)
            if model.replies().turns_of(key)
        ]
        for name, model in ingested.models.items()
    }


class TestForms:
    @pytest.mark.parametrize("name", ["x.parquet", "x.jsonl"])
    def test_one_reply_per_row_with_its_prompt_and_finish_reason_if_known(self, tmp_path: Path, name: str) -> None:
        rows = [
            {"generator": "m", "id": 7, "instruction": "Hi?", "output": "Hello.", "finish_reason": "length"},
            {"generator": "m", "id": 8, "instruction": None, "output": "So.", "finish_reason": None},
        ]
        ingested = take(tmp_path, rows, name)
        assert conversations(ingested) == {"m": [("7", [("Hi?", "Hello.")]), ("8", [(None, "So.")])]}
        assert [ingested.models["m"].replies().turns_of(key)[0]["finish"] for key in "78"] == ["length", "imported"]

    @pytest.mark.parametrize("column", ["conversation", "messages"])
    def test_chats_of_messages_with_role_and_content(self, tmp_path: Path, column: str) -> None:
        rows = [{"model": "m", "conversation_hash": "k", column: chat("Hi?", "Hello.", "And?", "So.")}]
        assert conversations(take(tmp_path, rows)) == {"m": [("k", [("Hi?", "Hello."), ("And?", "So.")])]}

    def test_rows_of_the_pipelines_own_responses_keep_their_failed_turns(self, tmp_path: Path) -> None:
        rows = [
            response("m", "k", [response_turn("Hi?", "Hello."), response_turn("And?", "", "failed")], "failed"),
            response("m", "absent", [response_turn("Hi?", "")], "not_imported"),
        ]
        ingested = take(tmp_path, rows)
        assert conversations(ingested) == {"m": [("k", [("Hi?", "Hello."), ("And?", "")])]}
        assert ingested.all_left_out() == {"not_imported": 1}

    def test_a_folder_with_a_subfolder_per_model_needs_no_column_for_the_model(self, tmp_path: Path) -> None:
        """As the published WildChat-50m sets are, which hold much that is not read."""
        for name in ("set-one", "set-two"):
            messages = chat("Hi?", f"I am {name}.")
            messages[1]["content_token_ids"] = [1, 2, 3]
            write_rows(
                tmp_path / "sets" / name / "data" / "train-0.parquet",
                [{"conversation_hash": "k", "conversation": messages}],
            )
        ingested = take_from(tmp_path / "sets", tmp_path / "scratch")
        assert conversations(ingested)["set-two"] == [("k", [("Hi?", "I am set-two.")])] and len(ingested.models) == 2

    def test_without_a_key_the_prompts_text_is_its_key(self, tmp_path: Path) -> None:
        rows = [{"model": model, "prompt": "Hi?", "answer": model} for model in "ab"]
        assert len(list(take(tmp_path, rows).prompts.rows("x"))) == 1

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (
                ["x"],
                r"\(response, output, .*, messages, conversations or turns\) and for the prompt's id",
            ),
            (
                ["dgm", "response"],
                r"f has the columns dgm, response; .* for the prompt's id \(conversation_hash,",
            ),
            (["id", "response"], r"for the model \(dgm, model or generator\)$"),
            ([], r"f has the columns \(none\); "),
        ],
    )
    def test_a_missing_column_is_one_error_with_the_names_that_it_may_have(
        self, names: list[str], message: str
    ) -> None:
        with pytest.raises(UserError, match=message) as error:
            assign_roles(names, Path("f"), needs_model=True)
        assert "\n" not in str(error.value)

    def test_of_several_columns_for_one_role_the_first_known_one_is_used(self) -> None:
        names = ["id", "model", "dgm", "prompt_id", "answer", "output", "turns", "judge_score", "judge_why"]
        assert assign_roles(names, Path("f"), needs_model=True) == {
            "model": "dgm", "key": "prompt_id", "reply": "output", "score": "judge_score", "judge_why": "judge_why"
        }  # fmt: skip

    def test_a_column_for_the_model_takes_precedence_over_the_folder(self, tmp_path: Path) -> None:
        write_rows(tmp_path / "sets" / "folder" / "x.parquet", FLAT)
        assert list(take_from(tmp_path / "sets", tmp_path / "scratch").models) == ["a", "b"]

    def test_every_form_and_the_columns_that_only_it_has_are_roles(self) -> None:
        assert {role for form, own in FORMS.items() for role in (form, *own)} <= set(ROLES)


class TestLeftOutRows:
    def test_each_row_is_used_or_counted_under_a_reason(self, tmp_path: Path) -> None:
        rows: list[Row] = [
            {"model": "a", "id": "1", "conversation": chat("Hi?", None)},
            {"model": "a", "id": "1", "conversation": chat("Hi?", "First.")},
            {"model": "a", "id": "1", "conversation": chat("Hi?", "Again.")},
            {"model": "a", "id": None, "conversation": chat("Hi?", "Yes.")},
            {"model": "a", "id": "2", "conversation": chat("Hi?", "Yes.")[::-1]},
            {"model": "a", "id": "3", "conversation": chat("Hi?")},
            {"model": "a", "id": "4", "conversation": None},
            {"model": " ", "id": "5", "conversation": chat("Hi?", "Yes.")},
            {"model": "b", "id": "1", "conversation": chat("Hi?", None)},
        ]
        ingested = take(tmp_path, rows)
        [(key, [(user, reply)])] = conversations(ingested)["a"]
        assert (key, user) == ("1", "Hi?") and reply in {"First.", "Again."}
        assert ingested.models_without_replies == ["b"]
        assert ingested.models["a"].summary() == {
            "rows": 7, "imported": 1, "left_out": {
                "null_content": 1, "conflict_conversation": 1, "null_hash": 1, "roles_do_not_alternate": 1,
                "last_reply_missing": 1, "no_messages": 1,
            },
        }  # fmt: skip
        assert ingested.all_left_out() == {**ingested.models["a"].left_out, "null_content": 2, "no_model": 1}
        assert ingested.rows == 1 + sum(ingested.all_left_out().values())

    def test_half_a_character_is_counted_and_the_other_rows_are_kept(self, tmp_path: Path) -> None:
        file = tmp_path / "x.jsonl"
        good = '{"model": "m", "id": "k", "response": "Yes."}\n'
        file.write_text(good + '{"model": "m\\ud800", "id": "k\\ud800", "response": "Yes."}\n')
        ingested = take_from(file, tmp_path / "scratch")
        assert (list(ingested.models), ingested.all_left_out()) == (["m"], {"lone_surrogate": 1})
        assert ingested.rows == 2

    def test_a_file_without_any_reply_is_an_error_with_the_reasons(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"x.parquet: none of its 1 rows has a reply to analyse: null_content 1$"):
            take(tmp_path, [{"model": "a", "id": "1", "response": None}])

    def test_a_column_that_does_not_name_models_is_an_error_at_501_names(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="more than 500 models, such as 'm500'"):
            take(tmp_path, [{"model": f"m{n}", "id": "1", "response": "Yes."} for n in range(501)])


class TestPrompts:
    def test_a_prompt_has_the_most_complete_texts_and_any_language_and_toxicity(self, tmp_path: Path) -> None:
        rows: list[Row] = [
            {"model": "a", "id": "k", "messages": chat("Hi?", "Yes."), "language": None, "toxic": False},
            {
                "model": "b",
                "id": "k",
                "messages": chat("Hi?", "No.", "And?", "So."),
                "language": "Dutch",
                "toxic": True,
            },
        ]
        (prompt,) = take(tmp_path, rows).prompts.rows("file")
        assert prompt == {
            "conversation_hash": "k", "source": "file", "language": "Dutch", "toxic": True, "system": "",
            "turns": [{"user": "Hi?", "reference": ""}, {"user": "And?", "reference": ""}],
        }  # fmt: skip

    def test_the_order_of_prompts_does_not_depend_on_the_order_of_rows(self, tmp_path: Path) -> None:
        rows = [{"model": "a", "id": f"{n}", "response": "Yes."} for n in range(20)]
        one = take(tmp_path, rows)
        assert list(one.prompts.rows("x")) == list(take(tmp_path, rows[::-1]).prompts.rows("x"))


def test_ids_are_names_of_folders_and_equal_ones_are_numbered() -> None:
    names = ["meta/Llama 3.1", "meta_Llama_3.1", "META/llama 3.1", "../../etc", "..", "模型", "x.tmp", "y" * 300]
    ids = assign_ids(names)
    assert ids["META/llama 3.1"] == "META_llama_3.1" and ids["meta/Llama 3.1"] == "meta_Llama_3.1-2"
    assert ids["meta_Llama_3.1"] == "meta_Llama_3.1-3"
    assert (ids["../../etc"], ids[".."], ids["模型"], ids["x.tmp"]) == ("etc", "model", "model-2", "x_tmp")
    assert len(ids["y" * 300]) == 100


@pytest.mark.parametrize(
    ("score", "number"), [(Decimal("8.50"), 8.5), ("8", 8.0), (7, 7.0), (True, None), ("8/10", None)]
)
def test_a_judges_score_is_a_number_of_any_type_or_none(score: object, number: float | None) -> None:
    assert parse_judgment({"score": score})["score"] == number


@pytest.mark.parametrize("toxic", [True, 1, 1.0, "true"])
def test_toxicity_is_known_in_every_form(tmp_path: Path, toxic: object) -> None:
    [prompt] = take(tmp_path, [{**FLAT[0], "toxic": toxic}]).prompts.rows("x")
    assert prompt["toxic"] is True
