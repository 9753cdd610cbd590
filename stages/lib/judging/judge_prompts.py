"""The judge's prompts: two Jinja templates of a folder, `single.txt` for a score and `pair.txt` for a choice."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from stages.lib.console.errors import UserError
from stages.lib.records.responses import Turn

Kind = Literal["single", "pair"]


class JudgePrompts:
    """Render the judge's prompts. The templates are sandboxed: they can only print what they are given."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader(folder), undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
        )

    def single(self, turns: Sequence[Turn], reference: str) -> str:
        """Render the prompt that asks for a score of the last reply in `turns`; `reference` may be empty."""
        return self._render("single", turns=turns, reference=reference)

    def pair(self, first: Sequence[Turn], second: Sequence[Turn], reference: str) -> str:
        """Render the prompt that asks which of two models replied better to the last user turn, the same for both."""
        replies = [[turn["assistant"] for turn in turns] for turns in (first, second)]
        users = [turn["user"] for turn in first]
        return self._render("pair", users=users, first=replies[0], second=replies[1], reference=reference)

    def _render(self, kind: Kind, **values: object) -> str:
        try:
            return self._environment.get_template(f"{kind}.txt").render(values).strip()
        except (TemplateError, OSError, UnicodeDecodeError) as error:
            path = self._folder / f"{kind}.txt"
            raise UserError(f"judge.prompts: {path}: {type(error).__name__}: {error}") from None
