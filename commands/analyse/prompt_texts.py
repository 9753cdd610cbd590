"""The prompts of a source: the users' texts, language and toxicity, from the rows that tell most about them."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from commands.analyse.columns import to_text
from stages.lib.core.types import Row
from stages.lib.generation.imports import ImportedReplies
from stages.lib.generation.reply_formats import ROWS_PER_BATCH
from stages.lib.readers.values import to_bool
from stages.lib.records.hashing import keyed_hash
from stages.lib.records.messages import ParsedTurn
from stages.lib.records.prompts import PROMPT
from stages.lib.records.shards import chunks, write_rows

Completeness = tuple[bool, int]  # whether all texts of the user are known, and the number of turns


class PromptTexts:
    """Keeps the prompts' texts in memory, packed as Arrow."""

    def __init__(self) -> None:
        # Of a prompt that was added several times the last texts count, and only more complete ones are added.
        self._texts = ImportedReplies()
        self._completeness: dict[str, Completeness] = {}
        self._pending: list[Row] = []
        self._labels: dict[str, tuple[str, bool]] = {}  # language, and whether toxic; absent: neither is known

    def add(self, key: str, turns: list[ParsedTurn], row: Row) -> None:
        """Keep the user's texts if they are more complete than before, and the language and toxicity of the row."""
        completeness = all(turn["user"] for turn in turns), len(turns)
        if completeness > self._completeness.get(key, (False, 0)):
            self._completeness[key] = completeness
            users = [{"user": turn["user"] or "", "reply": None, "finish": None} for turn in turns]
            self._pending.append({"conversation_hash": key, "turns": users})
        if len(self._pending) == ROWS_PER_BATCH:
            self.flush()
        language, is_toxic = self._labels.get(key, ("", False))
        labels = language or to_text(row.get("language")), is_toxic or to_bool(row.get("toxic")) is True
        if any(labels):
            self._labels[key] = labels

    def flush(self) -> None:
        """Pack the pending texts."""
        self._texts.add(self._pending)
        self._pending.clear()

    def rows(self, source: str) -> Iterator[Row]:
        """Yield rows of PROMPT in keyed-hash order: the first ones are a fair sample, whatever the file's order."""
        for key in sorted(self._completeness, key=lambda key: keyed_hash(0, key)):
            language, is_toxic = self._labels.get(key, ("", False))
            turns = [{"user": turn["user"], "reference": ""} for turn in self._texts.turns_of(key)]
            yield {"conversation_hash": key, "source": source, "language": language, "toxic": is_toxic, "turns": turns}


def write_prompts(folder: Path, prompts: Iterable[Row]) -> Counter[str]:
    """Write rows of PROMPT; return how many have how many turns."""
    by_turns = Counter[str]()
    for number, chunk in enumerate(chunks(prompts)):
        write_rows(folder, number, chunk, PROMPT)
        by_turns.update(str(len(row["turns"])) for row in chunk)
    return by_turns
