"""What Evalchemy needs on this machine: its clone and environment, a model that it can run, and a judge."""

import pytest

from stages.lib.evaluation.evalchemy import installation
from stages.lib.evaluation.evalchemy.installation import (
    COMMIT,
    JudgeServer,
    check_judge,
    copy_clone,
    find_evalchemy,
    find_judge,
)
from stages.lib.evaluation.evalchemy.mtbench import MTBENCH
from stages.lib.evaluation.evalchemy.runner import SHARED_FILES
from tests.support.evalchemy import JUDGE, TUNED, commit_all, judgment, serving, write


def test_a_clone_without_the_pinned_commit_is_not_used(evalchemy_folder, monkeypatch):
    monkeypatch.setattr(installation, "COMMIT", COMMIT)
    assert "has no commit 6ed674159b37: run `make evalchemy`" in str(find_evalchemy(TUNED, JUDGE))


@pytest.mark.usefixtures("evalchemy_folder")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": "server"}, "rewild has no weights here"),
        ({"trust_remote_code": True}, "rewild runs code of its own"),
        ({"quantization": "fp8"}, r"quantized \(fp8\), which Evalchemy's transformers cannot run"),
        ({}, "there is no judge: set OPENAI_API_KEY"),
    ],
)
def test_what_cannot_be_evaluated_here_is_skipped_with_the_reason(changes, reason):
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(find_evalchemy(TUNED.model_copy(update=changes), None))


def test_the_clone_is_read_at_the_commit_and_never_written_to(evalchemy_folder):
    home = evalchemy_folder / "clone"
    dirty = home / "eval/chat_benchmarks/MTBench/fastchat/llm_judge/data/mt_bench/model_judgment"
    write(dirty / "gpt-4_single.jsonl", judgment(81, 1, 1))
    (home / "eval/eval.py").write_text("changed")
    commit_all(home)
    (home / "eval/eval.py").write_text("changed again")
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    paths = [*SHARED_FILES, *(str(MTBENCH.folder / name) for name in MTBENCH.files)]
    copy_clone(home, installation.COMMIT, paths, evalchemy_folder / "copy")
    assert (evalchemy_folder / "copy/eval/eval.py").read_text() == ""
    assert not list(evalchemy_folder.glob("copy/**/*.jsonl"))
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_the_address_is_shown_without_its_password():
    assert JUDGE.host == "127.0.0.1:9"


def test_the_judge_is_a_model_behind_a_server_or_named_by_the_environment(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.delenv("REWILD_API_KEY", raising=False)
    assert find_judge("small", None) == JudgeServer("small", "https://api.openai.com/v1", "sk-1")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://here/v1")
    assert find_judge("small", None) == JudgeServer("small", "http://here/v1", "EMPTY")  # OpenAI's key is for OpenAI
    server = TUNED.model_copy(update={"kind": "server", "location": "http://there/v1", "served_name": "large"})
    assert find_judge("small", server) == JudgeServer("large", "http://there/v1", "EMPTY")


def test_a_judge_that_answers_passes_and_a_dead_or_broken_one_is_one_plain_line(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as address:
        check_judge(JudgeServer("stub", address, "EMPTY"))
    with pytest.raises(ValueError, match=r"^the judge stub at 127\.0\.0\.1:\d+ does not answer \(APIConnectionError\)"):
        check_judge(JudgeServer("stub", address, "EMPTY"))
    with serving(broken=1.0) as address, pytest.raises(ValueError, match=r"\(InternalServerError 500\): is it running"):
        check_judge(JudgeServer("stub", address, "EMPTY"))
