"""A model that judges replies: its prompts as files, its verdicts paid for once, those that are none counted."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.engines.request import comparison_config
from stages.lib.evaluation.results import Status, status_by_missing
from stages.lib.generation.cached import ask
from stages.lib.generation.store import Store, store_folder
from stages.lib.models.catalogue import load_model
from stages.lib.records.hashing import content_hash
from stages.lib.records.responses import UNANSWERED, Turn
from stages.lib.settings.sections import Judge

SCORE = re.compile(r"\[\[\s*(\d+(?:\.\d+)?)\s*\]\]")
CHOICE = re.compile(r"\[\[\s*([ABC])\s*\]\]")
LOWEST, HIGHEST = 1, 10
EXAMPLE_CHARS = 80
STORE_SUFFIX = ".verdicts"  # after a judge's id, which has no dot: its place in the store

Kind = Literal["single", "pair"]


class JudgeReply(NamedTuple):
    """What the judge said to one prompt."""

    text: str
    reason: str  # why there is no verdict, as far as the engine knows; else empty


class JudgePrompts:
    """The judge's prompts: Jinja templates that can do nothing but print what they are given."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader(folder), undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
        )

    def single(self, turns: Sequence[Turn], reference: str) -> str:
        """Ask for a score of the last of these turns."""
        return self._render("single", turns=turns, reference=reference)

    def pair(self, first: Sequence[Turn], second: Sequence[Turn], reference: str) -> str:
        """Ask which of two models replied better to the last of the same user turns."""
        replies = [[turn["assistant"] for turn in turns] for turns in (first, second)]
        users = [turn["user"] for turn in first]
        return self._render("pair", users=users, first=replies[0], second=replies[1], reference=reference)

    def _render(self, kind: Kind, **values: object) -> str:
        try:
            return self._environment.get_template(f"{kind}.txt").render(values).strip()
        except (TemplateError, OSError, UnicodeDecodeError) as error:
            where = self._folder / f"{kind}.txt"
            raise UserError(f"judge.prompts: {where}: {type(error).__name__}: {error}") from None


def check_prompts(folder: Path) -> None:
    """Raise UserError unless a folder has both prompts, and each shows what it is about."""
    turns = [Turn(user=f"user {number}", assistant=f"reply {number}") for number in (1, 2)]  # type: ignore[typeddict-item]
    prompts = JudgePrompts(folder)
    for kind, text in (("single", prompts.single(turns, "")), ("pair", prompts.pair(turns, turns, ""))):
        if missing := [said for said in ("user 2", "reply 2") if said not in text]:
            raise UserError(f"judge.prompts: {folder / kind}.txt does not show the last turn ({', '.join(missing)})")


def ask_judge(prompts: Sequence[str], judge: Judge) -> list[JudgeReply]:
    """What the judge says to each prompt; equal ones are asked once, and what it said before is in the store.

    What it could not be asked before is asked again.
    """
    if not prompts:
        return []
    model = load_model(judge.model)
    if model.kind == "import":
        raise UserError(f"judge.model: {judge.model} is an import, which cannot be asked")
    names = [content_hash([{"role": "user", "content": prompt}]) for prompt in prompts]
    rows = [
        {"conversation_hash": name, "turns": [{"user": prompt, "reference": ""}]}
        for name, prompt in dict(zip(names, prompts, strict=True)).items()
    ]
    store = Store(store_folder(), judge.model + STORE_SUFFIX)
    with store.held():
        config = comparison_config(model, judge)
        places = ask(lambda: iter(rows), model, config, judge.engine, store, unit="verdicts", again=True)
        found = store.read(list(places.values()), ["turns", "reason"]).to_pylist()
    said = {name: to_judge_reply(row["turns"][0], row["reason"]) for name, row in zip(places, found, strict=True)}
    return [said[name] for name in names]


def to_judge_reply(turn: Turn, reason: str) -> JudgeReply:
    """What the judge said in the one turn of a conversation."""
    why = {
        "failed": reason or "the judge could not be asked",
        "context_overflow": "the replies do not fit the judge's context window",
    }
    return JudgeReply(turn["assistant"], why.get(turn["finish_reason"], ""))


def read_score(verdict: JudgeReply) -> tuple[float | None, str]:
    """The last score in double brackets, or why there is none."""
    found = SCORE.findall(verdict.text)
    if verdict.reason or not found:
        return None, verdict.reason or "no score in double brackets"
    score = float(found[-1])
    if not LOWEST <= score <= HIGHEST:
        return None, f"a score that is not from {LOWEST} to {HIGHEST}"
    return score, ""


def read_choice(verdict: JudgeReply) -> tuple[Literal["A", "B", "C"] | None, str]:
    """The last choice in double brackets (C: a tie), or why there is none."""
    found = CHOICE.findall(verdict.text)
    if verdict.reason or not found:
        return None, verdict.reason or "no choice in double brackets"
    return found[-1], ""


def judge_rows(rows: Sequence[dict[str, Any]], judge: Judge) -> list[JudgeReply | None]:
    """What the judge says to the `prompt` of each row; None for a row that has none."""
    verdicts = iter(ask_judge([row["prompt"] for row in rows if row["prompt"] is not None], judge))
    return [None if row["prompt"] is None else next(verdicts) for row in rows]


def count_statuses(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """How many rows of JUDGMENT or PAIRING have each status."""
    return {name: sum(row["status"] == name for row in rows) for name in ("ok", "failed", "unanswered")}


def is_answered(turns: Sequence[Turn], number: int) -> bool:
    """Whether a conversation has a reply to the turn of that number (from 1)."""
    return len(turns) >= number and turns[number - 1]["finish_reason"] not in UNANSWERED


def judging_status(rows: Sequence[dict[str, Any]], stage: str) -> tuple[Status, str | None]:
    """How far these verdicts (rows of JUDGMENT or PAIRING) can be trusted, and why no further; say what is missing.

    Raises UserError when none of them could be read.
    """
    asked = [row for row in rows if row["status"] != "unanswered"]
    if rows and not asked:
        return "failed", "there is no reply to judge"
    failed = [row for row in asked if row["status"] == "failed"]
    if not failed:
        return "ok", None
    [(most, count)] = Counter(row["reason"] for row in failed).most_common(1)
    example = next((" ".join(row["text"].split())[:EXAMPLE_CHARS] for row in failed if row["text"]), "")
    reason = f"{len(failed)} of {len(asked)} verdicts are missing, {count} of them because: {most}"
    seen = f" (such as {example!r})" if example else ""
    if len(failed) == len(asked):
        raise UserError(f"{stage}: no verdict could be read: {most}{seen}; is this a model that can judge?")
    status = status_by_missing(len(failed), len(asked))
    log_line(f"{stage}: {reason}{seen}; status {status}")
    if any(not row["text"] for row in failed):
        log_line(
            f"`dvc repro --force --single-item {stage}` asks again for what was not answered, and for nothing else"
        )
    return status, None if status == "ok" else reason
