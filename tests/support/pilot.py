"""A pilot's job, its prompts and the replies to them."""

from pathlib import Path
from typing import Any

from commands.pilot.job import Job, Settings
from commands.pilot.quality import Quality
from commands.pilot.review import count, find_verdicts
from stages.lib.core.sections import PARAMS
from stages.lib.core.types import Row
from stages.lib.generation.store import Store
from stages.lib.records.responses import Turn
from stages.lib.settings.reading import load
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import Gate, Generate, Validate
from stages.lib.validation.verdicts import VerdictCounts
from tests.support.conversations import CONFIG, MODEL, answered_row
from tests.support.project import ROOT


def review(rows: list[Row], prompts: list[Row], job: Job) -> tuple[Quality, VerdictCounts]:
    """Validate conversations and count what their replies are like, as the pilot does."""
    return count(rows, prompts, find_verdicts(rows, prompts, job), job)


def turn(prompt_tokens: int, completion_tokens: int, **changes: Any) -> Turn:
    known = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "finish_reason": "stop"}
    return {"user": "", "assistant": "", **known, **changes}  # type: ignore[typeddict-item]


def make_settings(price: float = 0.0, **runtime: Any) -> Settings:
    """The settings of this checkout with the echo engine, a price per GPU-hour and changes to `runtime`."""
    path = ROOT / PARAMS
    generate = load(Generate, path).model_copy(update={"engine": "echo"})
    return Settings(
        generate=generate,
        validate=load(Validate, path),
        gate=load(Gate, path),
        runtime=load(Runtime, path).model_copy(update=runtime),
        price_per_gpu_hour=price,
    )


def make_job(folder: Path) -> Job:
    """A job with an empty store in a folder, and no prompts."""
    return Job(MODEL, CONFIG, make_settings(), Store(folder, "m"), {})


def make_prompt(name: str, user: str = "Hi?", language: str = "English") -> Row:
    return {"conversation_hash": name, "language": language, "turns": [{"user": user, "reference": ""}]}


def answer(prompt: Row, **changes: Any) -> Row:
    """The echo's answer to a prompt of one turn, with changes to the turn."""
    row = answered_row(prompt)
    row["turns"] = [row["turns"][0] | changes]
    return row
