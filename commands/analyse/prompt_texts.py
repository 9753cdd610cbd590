"""The prompts of a source: the texts of system and users, language and toxicity, from the rows that tell most."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from commands.analyse.columns import Labels
from stages.lib.core.types import Row
from stages.lib.generation.imports import ImportedReplies
from stages.lib.readers.chats import Chat
from stages.lib.readers.drafts import MAX_CHARS
from stages.lib.readers.keys import hash64
from stages.lib.records.hashing import keyed_hash
from stages.lib.records.prompts import PROMPT
from stages.lib.records.shards import ROWS_PER_GROUP, chunks, write_rows


class Rank(NamedTuple):
    """By which the texts of a prompt are chosen among those of several rows: the highest, in any order of the rows."""

    is_known: bool  # whether all texts of the user are known
    num_turns: int
    has_system: bool
    digest: int


class PromptTexts:
    """Keeps the prompts' texts in memory, packed as Arrow."""

    def __init__(self) -> None:
        # Of a prompt that was added several times the last texts count, and only those of a higher rank are added.
        self._texts = ImportedReplies()
        self._ranks: dict[str, Rank] = {}
        self._systems: dict[str, str] = {}  # absent: none
        self._pending: list[Row] = []
        self._pending_chars = 0
        self._labels: dict[str, Labels] = {}  # absent: none are known

    def add(self, key: str, chat: Chat, labels: Labels) -> None:
        """Keep the texts if they tell more than those before; of several languages the first by name."""
        users = [turn["user"] or "" for turn in chat.turns]
        rank = Rank(all(users), len(users), bool(chat.system), hash64("\x1e".join([chat.system, *users])))
        if key not in self._ranks or rank > self._ranks[key]:
            self._ranks[key] = rank
            self._systems |= {key: chat.system} if chat.system or key in self._systems else {}
            turns = [{"user": user, "reply": None, "finish": None} for user in users]
            self._pending.append({"conversation_hash": key, "turns": turns})
            self._pending_chars += sum(map(len, users))
        if len(self._pending) == ROWS_PER_GROUP or self._pending_chars > MAX_CHARS:
            self.flush()
        known = self._labels.get(key, Labels())
        language = min(filter(None, (known.language, labels.language)), default="")
        if any(both := Labels(language, known.is_toxic or labels.is_toxic)):
            self._labels[key] = both

    def flush(self) -> None:
        """Pack the pending texts."""
        self._texts.add(self._pending)
        self._pending.clear()
        self._pending_chars = 0

    def rows(self, source: str) -> Iterator[Row]:
        """Yield rows of PROMPT in keyed-hash order: the first ones are a fair sample, whatever the file's order."""
        for key in sorted(self._ranks, key=lambda key: keyed_hash(0, key)):
            known = self._labels.get(key, Labels())
            turns = [{"user": turn["user"], "reference": ""} for turn in self._texts.turns_of(key)]
            labels = {"source": source, "language": known.language, "toxic": known.is_toxic}
            yield {"conversation_hash": key, **labels, "system": self._systems.get(key, ""), "turns": turns}


def write_prompts(folder: Path, prompts: Iterable[Row]) -> Counter[str]:
    """Write rows of PROMPT; return how many have how many turns."""
    by_turns = Counter[str]()
    for number, chunk in enumerate(chunks(prompts)):
        write_rows(folder, number, chunk, PROMPT)
        by_turns.update(str(len(row["turns"])) for row in chunk)
    return by_turns
