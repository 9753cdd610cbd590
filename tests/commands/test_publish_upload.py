"""`make publish … UPLOAD=yes`: private first, tagged with the commit, resumed by being run again, the token nowhere."""

from pathlib import Path

import pytest

from commands.publish.command import main
from stages.lib.console.errors import UserError
from tests.support.project import BIN, Project
from tests.support.publish import FakeHub, use_hub

TOKEN = "hf_planted" + "x" * 24
WORDS = ["--repo", "owner/chats", "--dgm", "rich", "--upload", "yes"]
OUT = Path("publication/chats")


@pytest.fixture(autouse=True)
def without_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment of the tests has."""
    monkeypatch.delenv("HF_TOKEN", raising=False)


@pytest.fixture
def hub(checkout: Project, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    """A hub that takes the token."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return use_hub(monkeypatch)


def head(checkout: Project) -> str:
    """The commit of the project."""
    return checkout.run("git", "rev-parse", "HEAD").strip()


def test_the_repository_is_private_and_has_the_folder_and_a_tag(checkout: Project, hub: FakeHub) -> None:
    main(WORDS)
    assert hub.calls == ["create_repo", "upload_folder", "create_tag"]
    assert hub.private == {"owner/chats": True} and hub.tokens == {TOKEN}
    files = {path.relative_to(OUT).as_posix(): path.read_bytes() for path in OUT.rglob("*") if path.is_file()}
    assert hub.files["owner/chats"] == files
    assert [*hub.tags["owner/chats"]] == [head(checkout)]


def test_a_gate_is_closed_before_anything_is_uploaded(checkout: Project, hub: FakeHub) -> None:
    main([*WORDS, "--gated", "yes"])
    assert hub.calls[:3] == ["create_repo", "update_repo_settings", "upload_folder"]
    assert hub.gated == {"owner/chats": "auto"}


@pytest.mark.parametrize(
    ("call", "line"),
    [
        ("create_repo", "owner/chats was not made"),
        ("upload_folder", "owner/chats was not uploaded as a whole"),
        ("create_tag", "owner/chats was uploaded, but not tagged"),
    ],
)
def test_when_the_network_breaks_the_same_command_goes_on(
    checkout: Project, hub: FakeHub, call: str, line: str
) -> None:
    hub.fails_at = call
    with pytest.raises(UserError, match=rf"{line} \(no route .*\); the folder is complete: run the same command"):
        main(WORDS)
    assert (OUT / "provenance.json").exists()
    main(WORDS)
    assert [*hub.tags["owner/chats"]] == [head(checkout)]


def test_other_rows_of_the_same_commit_move_the_tag_and_say_so(
    checkout: Project, hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    main(WORDS)
    main(WORDS)
    assert "delete_tag" not in hub.calls
    main([*WORDS[:3], "plain", *WORDS[4:]])
    assert hub.calls[-2:] == ["delete_tag", "create_tag"]
    assert "moves here from" in capsys.readouterr().err


def test_without_a_token_the_folder_is_complete_and_one_line_says_what_is_left(checkout: Project) -> None:
    with pytest.raises(UserError, match=r"nothing was uploaded: HF_TOKEN is not set; publication/chats is complete"):
        main(WORDS)
    assert (OUT / "provenance.json").exists()


def test_without_upload_the_screen_says_what_is_left_to_do(
    checkout: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    main(WORDS[:4])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("publication/chats: 5 files, ")
    assert "Nothing was uploaded. What is left to do:" in lines
    assert any("export HF_TOKEN=" in line and "UPLOAD=yes" in line for line in lines)
    assert any("no licence is stated" in line and "license in dgms/rich.yaml" in line for line in lines)


def test_changes_that_are_not_committed_are_not_uploaded(checkout: Project, hub: FakeHub) -> None:
    checkout.edit("params.yaml", "max_turns: 5", "max_turns: 4")
    with pytest.raises(UserError, match="commit your changes first"):
        main(WORDS)
    assert not hub.calls
    main(WORDS[:4])
    assert "with changes that were not committed" in (OUT / "README.md").read_text()


def test_a_planted_token_is_in_no_file_and_no_line(
    checkout: Project, hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.fails_at = "upload_folder"
    with pytest.raises(UserError) as failed:
        main(WORDS)
    assert "asked with …" in str(failed.value)
    main(WORDS)
    shown = capsys.readouterr()
    assert TOKEN not in str(failed.value) + shown.out + shown.err
    files = [path for path in checkout.root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert not any(TOKEN.encode() in path.read_bytes() for path in files)


def test_the_make_command_runs_offline_and_fails_in_one_line(checkout: Project) -> None:
    Path(".venv").mkdir()
    offline = {"HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "1", "PATH": f"{BIN}:/usr/bin:/bin"}
    output = checkout.run("python", "-m", "commands.publish", *WORDS, code=1, **offline)
    assert output.splitlines()[-1].startswith("publish: owner/chats was not made (")
    assert TOKEN not in output and (OUT / "provenance.json").exists()
