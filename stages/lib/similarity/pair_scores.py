"""The scores of all pairs of models, prompt by prompt, on all cores and in bounded memory."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import islice, zip_longest
from multiprocessing import get_context
from typing import NamedTuple

from stages.lib.console.errors import MachineError, UserError
from stages.lib.console.interrupts import without_ctrl_c
from stages.lib.core.types import Json
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
    with start_workers(num_processes) as map_in_order:
        for batch in chunks(turns, TURNS_IN_MEMORY):
            yield from zip(batch, map_in_order(partial(score_turn, use_synonyms=use_synonyms), batch), strict=True)


@contextmanager
def start_workers(num_processes: int) -> Iterator[Callable[..., Iterable[PairScores]]]:
    """Yield a `map` that uses `num_processes`.

    They are spawned: forked ones would share their place in WordNet's open files.
    """
    if num_processes == 1:
        yield map
        return
    executor = ProcessPoolExecutor(num_processes, mp_context=get_context("spawn"))

    def map_in_order(task: Callable[[TurnReplies], PairScores], batch: list[TurnReplies]) -> Iterable[PairScores]:
        with without_ctrl_c():  # a pool of which a process is interrupted is broken, and can hang (Python 3.11)
            return executor.map(task, batch, chunksize=TURNS_PER_TASK)

    try:
        yield map_in_order
    except BrokenProcessPool:
        raise MachineError("a process that scored replies was killed, perhaps for its memory: run it again") from None
    finally:
        executor.shutdown(cancel_futures=True)


def choose_num_processes(num_pairs: int) -> int:
    """Return how many processes to use for `num_pairs` of replies: one per core, but fewer for little work."""
    return min(len(os.sched_getaffinity(0)), 1 + num_pairs // PAIRS_PER_PROCESS)
