"""The files of the conversation browser."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from stages.lib.report.browser import to_script, write_browser
from stages.lib.report.conversations import (
    Conversation,
)
from tests.support.browser import (
    HOSTILE,
    collection,
    conversation,
    example_collections,
    hostile_collections,
    read_data_file,
    turn,
)


def test_hostile_text_is_inert_in_every_file(tmp_path: Path) -> None:
    write_browser(tmp_path, hostile_collections(), HOSTILE)
    page = (tmp_path / "conversations.html").read_text(encoding="utf-8")
    assert page.count("</script>") == page.count("<script") == 2 and "pwned = 1</script>" not in page
    for file in (tmp_path / "conversations").iterdir():
        text = file.read_text(encoding="utf-8")
        assert "</" not in text and "\u2028" not in text and "\u2029" not in text and "\x00" not in text
    assert read_data_file(tmp_path / "conversations" / "prompts-0.js")[0]["users"] == [HOSTILE]


def test_text_survives_a_data_file_unchanged(tmp_path: Path) -> None:
    row = {"text": "a 'b' \"c\" \\ \\n \n \u2028 </script> 漢字 \U0001f44d"}
    (tmp_path / "x.js").write_text(f'receive("x", [\n{to_script(row)},\n]);\n', encoding="utf-8")
    assert read_data_file(tmp_path / "x.js") == [row]


def test_equal_conversations_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_browser(tmp_path / name, example_collections(), "Rewild")
    one, two = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("one", "two")
    )
    assert one == two and len(one) == 10


def test_a_model_name_never_becomes_a_file_name(tmp_path: Path) -> None:
    write_browser(
        tmp_path,
        [collection(**{"../../x": [conversation("a", "A")], "<b>": [conversation("a", "B")]})],
        "Rewild",
    )
    assert sorted(path.name for path in tmp_path.rglob("*.js")) == ["prompts-0.js", "prompts-1.js", "prompts-2.js"]


def test_a_prompt_is_taken_from_any_model_that_has_it_and_a_different_one_is_kept(tmp_path: Path) -> None:
    imported = Conversation("a", "", [turn("", "I.")], "ok")
    other = conversation("a", "O.", user="Not that.")
    write_browser(tmp_path, [collection(imported=[imported], asked=[conversation("a", "A.")], other=[other])], "Rewild")
    data = tmp_path / "conversations"
    assert read_data_file(data / "prompts-0.js") == [{"key": "a", "group": "English", "users": ["Tell me of a."]}]
    replies = [read_data_file(data / f"prompts-{number}.js")[0]["turns"][0].get("asked") for number in (1, 2, 3)]
    assert replies == [None, None, "Not that."]


def test_the_system_message_of_a_prompt_is_kept_once_and_only_where_there_is_one(tmp_path: Path) -> None:
    asked = [replace(conversation("a", "A."), system="Be brief. </script>"), conversation("b", "B.")]
    write_browser(tmp_path, [collection(one=asked, other=asked)], "Rewild")
    prompts = read_data_file(tmp_path / "conversations" / "prompts-0.js")
    assert [row.get("system") for row in prompts] == ["Be brief. </script>", None]
    assert "</script>" not in (tmp_path / "conversations" / "prompts-0.js").read_text(encoding="utf-8")


def test_a_second_reply_to_a_prompt_is_kept(tmp_path: Path) -> None:
    write_browser(
        tmp_path,
        [
            collection(
                m=[conversation("a", "1"), conversation("a", "2")],
                n=[conversation("b", "3"), conversation("a", "4")],
            )
        ],
        "Rewild",
    )
    data = tmp_path / "conversations"
    assert [row["key"] for row in read_data_file(data / "prompts-0.js")] == ["a", "a (2)", "b"]
    assert [row["at"] for row in read_data_file(data / "prompts-2.js")] == [2, 0]


def test_conversations_are_written_one_by_one(tmp_path: Path) -> None:
    seen = []

    def stream() -> Iterator[Conversation]:
        for number in range(2_000):
            yield conversation(str(number), "word " * 50)
            seen.append((tmp_path / "conversations" / "prompts-1.js").stat().st_size)

    write_browser(tmp_path, [collection(m=stream())], "Rewild")
    assert seen[-1] > 1900 / 2000 * (tmp_path / "conversations" / "prompts-1.js").stat().st_size
