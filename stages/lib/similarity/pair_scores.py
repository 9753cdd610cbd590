"""How alike the replies of all pairs of models are, prompt by prompt, on all cores and in bounded memory."""

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import islice, zip_longest
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.lib.console.errors import UserError
from stages.lib.core.types import Floats, Json
from stages.lib.records.shards import chunks
from stages.lib.similarity.meteor import meteor, no_synonyms, words
from stages.lib.similarity.rouge import rouge, tokens
from stages.lib.similarity.wordnet import synonyms

PAIRS_FILE = ".pairs.json"  # the file of all pairs' scores

METRICS = ("rouge1", "rougeL", "meteor", "meteor_reversed")  # reversed: the pair's first model is the reference
REASONS = ("", "no_reply", "no_token")  # why a pair has no score: a reply is blank; it has no token of ROUGE's
BATCH = 500  # turns that are in memory at a time
TASK = 5  # turns that a process takes at a time
WORTH_A_PROCESS = 5_000  # pairs of replies


class TurnReplies(NamedTuple):
    """One turn and every model's reply to it."""

    conversation: str
    turn: int  # from 1
    texts: list[str]


class Scores(NamedTuple):
    """Of one turn, for the pairs of models in the order of itertools.combinations."""

    values: Floats  # [metric, pair]; NaN where there is no score
    reasons: NDArray[np.int8]  # [pair], of REASONS


def align_replies(rows: dict[str, Iterable[Json]], num_prompts: int, all_turns: bool) -> Iterator[TurnReplies]:
    """Each turn of the first prompts, or only the first turn, with the replies of all models; "" where there is none.

    `rows` are the models' conversations, those of one prompt at the same place in each. Raises UserError where not.
    """
    for together in zip_longest(*(islice(of, num_prompts) for of in rows.values())):
        names = {row["conversation_hash"] if row else None for row in together}
        if len(names) > 1:
            raise UserError(
                f"data/responses: {' and '.join(rows)} do not hold the same prompts in the same order: run `dvc repro`"
            )
        turns = [row["turns"] for row in together]
        for number in range(max(map(len, turns)) if all_turns else 1):
            texts = [of[number]["assistant"] or "" if number < len(of) else "" for of in turns]
            yield TurnReplies(together[0]["conversation_hash"], number + 1, texts)


def score(asked: TurnReplies, use_synonyms: bool) -> Scores:
    """ROUGE-1, ROUGE-L and METEOR of all pairs of replies to one turn."""
    of_rouge, of_meteor = [tokens(text) for text in asked.texts], [words(text) for text in asked.texts]
    values = [*rouge(of_rouge), *meteor(of_meteor, synonyms if use_synonyms else no_synonyms)]
    one, other = np.triu_indices(len(asked.texts), 1)
    replied, scored = (np.array([bool(reply) for reply in replies]) for replies in (of_meteor, of_rouge))
    reasons = np.where(replied[one] & replied[other], np.where(scored[one] & scored[other], 0, 2), 1)
    return Scores(np.array(values), reasons.astype(np.int8))


def score_all(
    asked: Iterable[TurnReplies], use_synonyms: bool, processes: int = 1
) -> Iterator[tuple[TurnReplies, Scores]]:
    """Turns with their scores, in the order of `asked`, whatever the number of processes.

    Raises UserError when a process was killed.
    """
    with mapper(processes) as in_order:
        for batch in chunks(asked, BATCH):
            yield from zip(batch, in_order(partial(score, use_synonyms=use_synonyms), batch), strict=True)


@contextmanager
def mapper(processes: int) -> Iterator[Callable[..., Iterable[Scores]]]:
    """A `map` that uses so many processes; they start anew, since a fork would share the place in WordNet's files."""
    if processes == 1:
        yield map
        return
    executor = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))

    def in_order(task: Callable[[TurnReplies], Scores], batch: list[TurnReplies]) -> Iterable[Scores]:
        with deaf_to_interrupts():
            return executor.map(task, batch, chunksize=TASK)

    try:
        yield in_order
    except BrokenProcessPool:
        raise UserError("a process that scored replies was killed, perhaps for its memory: run it again") from None
    finally:
        executor.shutdown(cancel_futures=True)


@contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """Processes that start in this block are for their parent to end: Ctrl-C, which reaches all, would break the pool.

    A broken pool whose tasks are then cancelled can hang (Python 3.11). The parent hears after the block.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def processes_for(comparisons: int) -> int:
    """How many processes to use for so many pairs of replies: the cores that there are, but for little work one."""
    return min(len(os.sched_getaffinity(0)), 1 + comparisons // WORTH_A_PROCESS)
