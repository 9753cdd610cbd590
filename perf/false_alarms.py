"""Count what each check of validation flags, in files of good conversations by language and of bare replies by model.

python -m perf.false_alarms FILE... [--flagged FOLDER]

A file with a column `conversation` holds prompts with their own replies, which are taken to be good: what is flagged
is a false alarm. `exchanged` counts `off_topic` when each first message has the reply to another one of its language. A
file with a column `response` holds replies without prompts, by the column `dgm`: checks that need a message are not
made. The bound is the upper end of the exact 95 % interval (Clopper-Pearson). FOLDER gets ten flagged rows of a check.
"""

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
from scipy.stats import binomtest

from stages.lib.core.types import Row
from stages.lib.engines.request import dgm_config
from stages.lib.generation.imports import to_imported_turn
from stages.lib.models.catalogue import Model
from stages.lib.settings.reading import load
from stages.lib.settings.sections import Generate, Validate
from stages.lib.validation.check_input import CheckInput
from stages.lib.validation.checks import find_reasons

PEER = Model(
    id="peer", name="peer", location="reference", kind="import", commit="x", parameters_billions=0, context_window=0
)
NUM_FLAGGED = 10
Pairs = list[tuple[str, str]]  # messages and replies


class Group(NamedTuple):
    """What is counted together."""

    name: str  # a language or a model
    conversations: list[Pairs]


def read_groups(path: Path) -> Iterator[Group]:
    """Yield the conversations of a file by language, or its replies by model."""
    groups: dict[str, list[Pairs]] = defaultdict(list)
    columns = set(pq.read_schema(path).names)
    if "conversation" in columns:
        for row in pq.read_table(path, columns=["language", "conversation"]).to_pylist():
            texts = [message["content"] for message in row["conversation"]]
            groups[row["language"]].append(list(zip(texts[::2], texts[1::2], strict=True)))
    else:
        for row in pq.read_table(path, columns=["dgm", "response"]).to_pylist():
            groups[row["dgm"]].append([("", row["response"] or "")])
    return (Group(name, conversations) for name, conversations in sorted(groups.items()))


def find_faults(pairs: Pairs, settings: Validate, generate: Generate) -> list[str]:
    """Return the reasons that a conversation gives as an imported one."""
    turns = [to_imported_turn(user, reply) for user, reply in pairs]
    row: Row = {"identity": "", "conversation_hash": "", "dgm": "peer", "turns": turns, "status": "ok", "engine": ""}
    prompt = {"turns": [{"user": user} for user, _ in pairs]}
    return find_reasons(CheckInput(row, prompt, settings, PEER, dgm_config(PEER, generate)))


def exchange(conversations: list[Pairs]) -> list[Pairs]:
    """Give each first message the first reply of the conversation half a list away."""
    half = len(conversations) // 2
    return [
        [(pairs[0][0], conversations[(number + half) % len(conversations)][0][1])]
        for number, pairs in enumerate(conversations)
    ]


def show(label: str, count: int, total: int) -> str:
    """Return a count with its share and the exact upper bound of that."""
    bound = binomtest(count, total).proportion_ci(method="exact").high
    return f"  {label:17} {count:5} of {total:5}  {count / total:7.2%}  at most {bound:7.2%}"


def main() -> None:
    """Print the table of each file, and write flagged rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--flagged", type=Path, help="folder for flagged rows, a file for each check")
    asked = parser.parse_args()
    settings, generate = load(Validate), load(Generate)
    flagged: dict[str, list[str]] = defaultdict(list)
    for path in asked.files:
        for group in read_groups(path):
            counts = Counter[str]()
            for pairs in group.conversations:
                reasons = find_faults(pairs, settings, generate)
                counts.update(reasons)
                for reason in reasons:
                    flagged[f"{path.stem}-{reason}"].append(json.dumps([group.name, *pairs], ensure_ascii=False))
            print(f"{path.name}: {group.name}, {len(group.conversations)} conversations")
            for reason, count in sorted(counts.items()):
                print(show(reason, count, len(group.conversations)))
            print(show("any other check", 0, len(group.conversations)))
            if group.conversations[0][0][0] and len(group.conversations) > 1:
                found = (find_faults(pairs, settings, generate) for pairs in exchange(group.conversations))
                print(show("exchanged", sum("off_topic" in reasons for reasons in found), len(group.conversations)))
    if asked.flagged:
        asked.flagged.mkdir(parents=True, exist_ok=True)
        for name, rows in flagged.items():
            step = max(1, len(rows) // NUM_FLAGGED)
            text = "\n".join(rows[::step][:NUM_FLAGGED]) + "\n"
            (asked.flagged / f"{name}.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
