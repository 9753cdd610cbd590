"""What is wrong with the two templates of the judge's prompts."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from jinja2 import TemplateSyntaxError
from jinja2.defaults import DEFAULT_NAMESPACE
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from stages.lib.console.errors import UserError
from stages.lib.console.faults import suggest
from stages.lib.judging.judge_prompts import JudgePrompts
from stages.lib.records.responses import Turn

NAMES = {"single": ("turns", "reference"), "pair": ("users", "first", "second", "reference")}  # that each is given


def find_prompt_faults(folder: Path) -> Iterator[tuple[Path, int, str]]:
    """Yield what is wrong with the templates of a folder: the file, the line (0: the whole file) and the problem.

    Each must be Jinja, name only what it is given, and show the last user turn and the last reply.
    """
    turns = [Turn(user=f"user {number}", assistant=f"reply {number}") for number in (1, 2)]  # type: ignore[typeddict-item]
    prompts = JudgePrompts(folder)
    renders = {"single": lambda: prompts.single(turns, ""), "pair": lambda: prompts.pair(turns, turns, "")}
    for kind, render in renders.items():
        path = folder / f"{kind}.txt"
        faults = list(find_template_faults(path, NAMES[kind]))
        yield from ((path, line, problem) for line, problem in faults)
        if not faults:
            yield from ((path, 0, problem) for problem in find_shown_faults(render))


def find_template_faults(path: Path, known: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield the lines in which a template is not valid Jinja, or names what it is not given."""
    try:
        text = path.read_text(encoding="utf-8")
        tree = ImmutableSandboxedEnvironment().parse(text)
    except FileNotFoundError:
        yield 0, f"{path} is not there: the folder must hold single.txt and pair.txt"
    except (OSError, UnicodeDecodeError) as error:
        yield 0, f"cannot be read ({error})"
    except TemplateSyntaxError as error:
        yield error.lineno, f"is not valid Jinja: {error.message}"
    else:
        given = {*known, *DEFAULT_NAMESPACE}
        for name in sorted(find_undeclared_variables(tree) - given):
            rows = enumerate(text.splitlines(), 1)
            line = next(number for number, row in rows if re.search(rf"\b{name}\b", row))
            yield line, f"there is no {name} to show{suggest(name, known)}"


def find_shown_faults(render: Callable[[], str]) -> Iterator[str]:
    """Yield why a template cannot be rendered, or what it does not show of a chat of two turns."""
    try:
        prompt = render()
    except UserError as error:
        yield str(error).partition(".txt: ")[2]
        return
    for text, what in (("user 2", "the last user turn"), ("reply 2", "the last reply")):
        if text not in prompt:
            yield f"does not show {what}: the judge would not see it"
