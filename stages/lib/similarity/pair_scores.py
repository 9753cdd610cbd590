"""The scores of all pairs of models, prompt by prompt, on all cores and in bounded memory."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice, zip_longest
from typing import NamedTuple

from stages.lib.console.errors import UserError
from stages.lib.core.types import Json
from stages.lib.core.workers import start_workers
from stages.lib.records.shards import chunks
from stages.lib.similarity.measures import PairScores, score_replies

PAIRS_FILE = ".pairs.json"  # in the folder of the scores, which are rows

TURNS_IN_MEMORY = 500
TURNS_PER_TASK = 5  # that a process takes at a time
PAIRS_PER_PROCESS = 5_000  # pairs of replies from which on another process is worth its start


class TurnReplies(NamedTuple):
    """One turn and every model's reply to it."""

    conversation: str
    turn: int  # from 1
    texts: list[str]


def align_replies(rows: dict[str, Iterable[Json]], num_prompts: int, all_turns: bool) -> Iterator[TurnReplies]:
    """Yield each turn of the first prompts, or only the first turn, with the replies of all models.

    `rows` are the models' conversations, those of one prompt at the same place in each; a missing reply is "". Raises
    UserError when the places differ.
    """
    for conversations in zip_longest(*(islice(model_rows, num_prompts) for model_rows in rows.values())):
        prompts = {row["conversation_hash"] if row else None for row in conversations}
        if len(prompts) > 1:
            raise UserError(
                f"data/responses: {' and '.join(rows)} do not hold the same prompts in the same order: run `dvc repro`"
            )
        turns = [row["turns"] for row in conversations]
        for number in range(max(map(len, turns)) if all_turns else 1):
            texts = [own[number]["assistant"] or "" if number < len(own) else "" for own in turns]
            yield TurnReplies(conversations[0]["conversation_hash"], number + 1, texts)


def score_turn(turn: TurnReplies, use_synonyms: bool) -> PairScores:
    """Score all pairs of replies to one turn."""
    return score_replies(turn.texts, use_synonyms)


def score_turns(
    turns: Iterable[TurnReplies], use_synonyms: bool, num_processes: int = 1
) -> Iterator[tuple[TurnReplies, PairScores]]:
    """Yield turns with their scores, in the order of `turns`, whatever the number of processes.

    Raises MachineError when a process was killed.
    """
    score = partial(score_turn, use_synonyms=use_synonyms)
    with start_workers(num_processes, "scored replies") as map_in_order:
        for batch in chunks(turns, TURNS_IN_MEMORY):
            yield from zip(batch, map_in_order(score, batch, TURNS_PER_TASK), strict=True)
