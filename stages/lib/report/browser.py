"""The browser, a page that shows the replies of two models to the same prompts side by side; it works offline.

There is one for conversations and one for the rows of benchmarks. The page is `browser.html` with its style and its
script. A model's conversations are a file that the page loads when the model is chosen: one call with a list of
strings, each the JSON of one conversation. The page trusts one script only, its own, by its hash, and the scripts which
that one adds ('strict-dynamic'): browsers agree on this, but not on the origin of a local file.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from markupsafe import Markup, escape

from stages.lib.core.types import Row
from stages.lib.records.pairings import TIE
from stages.lib.report.conversations import Choice, Collection, Conversation, Turn, list_labels
from stages.lib.report.page import hash_script, render, render_markdown

CONVERSATIONS, SAMPLES = "conversations", "samples"  # the pages, and the folders beside them with what they load
WHAT = {CONVERSATIONS: "conversations", SAMPLES: "benchmarks, row by row"}  # is on a page
READ_WHERE = {CONVERSATIONS: "data/responses, data/answers", SAMPLES: "data/evaluations/<model>/samples"}
HERE = Path(__file__)
SCRIPTS = ("state", "files", "matches", "list", "conversation", "controls")  # parts of the page's script, in order


@dataclass
class _Prompt:
    group: str = ""
    users: list[str] = field(default_factory=list)
    system: str = ""
    target: str = ""


@dataclass
class _Prompts:
    """The prompts, in the order in which they first occur in the models' conversations."""

    positions: dict[tuple[str, int], int] = field(default_factory=dict)  # by key and how often a model answered it
    prompts: list[_Prompt] = field(default_factory=list)

    def add(self, key: str, occurrence: int, known: _Prompt | None = None) -> int:
        """Add a prompt, or what is not yet known of it, and return its position."""
        new = known or _Prompt()
        position = self.positions.setdefault((key, occurrence), len(self.positions))
        if position == len(self.prompts):
            self.prompts.append(_Prompt())
        prompt = self.prompts[position]
        for name in ("group", "system", "target"):
            setattr(prompt, name, getattr(prompt, name) or getattr(new, name))
        prompt.users = [old or user for old, user in zip_longest(prompt.users, new.users, fillvalue="")]
        return position

    def rows(self) -> Iterator[Row]:
        """Yield the prompts for the page. A model's second reply to the same prompt has a prompt of its own."""
        for (key, occurrence), prompt in zip(self.positions, self.prompts, strict=True):
            name = key if occurrence == 1 else f"{key} ({occurrence})"
            more = {"system": prompt.system, "target": prompt.target}
            yield {"key": name, "group": prompt.group, **{k: v for k, v in more.items() if v}, "users": prompt.users}


def write_browser(
    folder: Path,
    collections: Sequence[Collection],
    title: str,
    name: str = CONVERSATIONS,
    colours: Mapping[str, str] | None = None,
) -> None:
    """Write a page, such as conversations.html, and the folder of its name into a folder that has neither.

    Each side of the page has the colour of its model; without `colours`, the left and the right one have their own.
    Equal collections give equal bytes. Memory holds the prompts, the choices, and one conversation.
    """
    (folder / name).mkdir()
    sets = [
        _write_collection(folder / name, collection, number)
        | {"colours": [colours[model] for model in collection.models] if colours else []}
        for number, collection in enumerate(collections)
    ]
    script = read_script()
    page = {
        "title": f"{title}: {WHAT[name]}",
        "read_where": READ_WHERE[name],
        "sets": Markup(json.dumps(sets, ensure_ascii=False).replace("<", "\\u003c")),  # noqa: S704  (JSON, no tag)
        "script": Markup(script),  # noqa: S704  (our own)
        "script_hash": hash_script(script),
        "data": name,
    }
    (folder / f"{name}.html").write_text(render(HERE.with_suffix(".html"), page), encoding="utf-8", newline="\n")


def read_script() -> str:
    """Return the script of the page, joined from its parts."""
    return "\n".join(HERE.with_suffix(f".{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)


def _write_collection(folder: Path, collection: Collection, number: int) -> Row:
    """Write the files of one collection, and return what the page knows of it before it loads them."""
    stem = name_files(collection.name, number)
    prompts, models = _Prompts(), list(collection.models)
    num_replies = [
        _write_rows(folder, f"{stem}-{model}", _reply_rows(conversations, prompts, collection.is_rows))
        for model, conversations in enumerate(collection.models.values(), start=1)
    ]
    pairs, num_others = _group_by_pair(collection.choices, models)
    for (one, other), choices in pairs.items():
        _write_rows(folder, f"{stem}-{one}-{other}", _choice_rows(choices, models, prompts))
    _write_rows(folder, f"{stem}-0", prompts.rows())
    return {
        "name": collection.name,
        "files": stem,
        "title": collection.title,
        "group": collection.group,
        "models": models,
        "replies": num_replies,
        "pairs": sorted(pairs),
        "prompts": len(prompts.prompts),
        "other_choices": num_others,
        "rows": collection.is_rows,
        "note": collection.note,
    }


def name_files(collection: str, number: int) -> str:
    """Return the beginning of the names of a collection's files: its own name, or what is safe of it and a number."""
    if re.fullmatch(r"[a-z]+", collection):
        return collection
    return f"{re.sub('[^a-z0-9_]', '', collection.lower())}.{number}"


def _reply_rows(conversations: Iterable[Conversation], prompts: _Prompts, as_written: bool) -> Iterator[Row]:
    """Yield a model's conversations for the page, each with the position of its prompt."""
    occurrences = Counter[str]()
    for conversation in conversations:
        occurrences[conversation.key] += 1
        users = [turn.user for turn in conversation.turns]
        prompt = _Prompt(conversation.group, users, conversation.system, conversation.target)
        position = prompts.add(conversation.key, occurrences[conversation.key], prompt)
        known = prompts.prompts[position].users
        turns = [_to_reply(turn, user, as_written) for turn, user in zip(conversation.turns, known, strict=False)]
        yield {"at": position, "labels": list_labels(conversation), "turns": turns}


def _to_reply(turn: Turn, user: str, as_written: bool) -> Row:
    """Return one turn for the page, without empty values; `user` is the message that the page shows for all models."""
    reply = {
        "html": escape(turn.assistant) if as_written else render_markdown(turn.assistant),
        "chars": len(turn.assistant),
        "end": turn.finish_reason,
        "score": turn.score,
        "judge": turn.judgment,
        "unscored": turn.unscored,
        "asked": turn.user if turn.user != user else "",
    }
    answer = {} if turn.answer is None else {"answer": turn.answer}
    return {name: value for name, value in reply.items() if value not in ("", None)} | answer


def _group_by_pair(choices: Iterable[Choice], models: list[str]) -> tuple[dict[tuple[int, int], list[Choice]], int]:
    """Group choices by the numbers of their two models, and count those with a model that is not shown."""
    numbers = {model: number for number, model in enumerate(models, start=1)}
    pairs: dict[tuple[int, int], list[Choice]] = {}
    num_others = 0
    for choice in choices:
        if choice.one in numbers and choice.other in numbers:
            one, other = sorted((numbers[choice.one], numbers[choice.other]))
            pairs.setdefault((one, other), []).append(choice)
        else:
            num_others += 1
    return pairs, num_others


def _choice_rows(choices: list[Choice], models: list[str], prompts: _Prompts) -> Iterator[Row]:
    """Yield the choices on each prompt for the page: models by their numbers, 0 for a tie."""
    numbers: dict[str | None, int | None] = {model: number for number, model in enumerate(models, start=1)}
    numbers |= {TIE: 0, None: None}
    by_prompt: dict[int, list[Row]] = {}
    for choice in choices:
        row: Row = {"turn": choice.turn, "first": numbers[choice.first], "winner": numbers[choice.winner]}
        row |= {"text": choice.text} | ({"reason": choice.reason} if choice.reason else {})
        by_prompt.setdefault(prompts.add(choice.key, 1), []).append(row)
    yield from ({"at": position, "choices": rows} for position, rows in by_prompt.items())


def _write_rows(folder: Path, name: str, rows: Iterable[Row]) -> int:
    """Write a data file row by row, and return the number of rows."""
    with (folder / f"{name}.js").open("w", encoding="utf-8", newline="\n") as file:
        file.write(f'receive("{name}", [\n')
        count = sum(1 for row in rows if file.write(f"{to_script(row)},\n"))
        file.write("]);\n")
    return count


def to_script(row: Row) -> str:
    """Return a row as a JavaScript string literal of its JSON, which is inert in a script file and in a page."""
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":")).replace("\\", "\\\\").replace("'", "\\'")
    return "'" + text.replace("</", "<\\/").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029") + "'"
