"""What each DGM has answered so far, validated as it was flushed: each segment of the store is read once."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from commands.pilot.forecasting.pace import count_replicas, read_replicas
from commands.pilot.job import PROMPTS, Settings, read_prompts_of
from commands.pilot.note import PilotNote, digest_asked, read_note
from stages.lib.engines.request import RequestConfig, dgm_config, identity, with_reply_format
from stages.lib.generation.costs import gpu_hours, money
from stages.lib.generation.store import Store, matches_limits, read_segment
from stages.lib.models.catalogue import MODELS, Model, load_model
from stages.lib.statistics.intervals import share_interval
from stages.lib.validation.check_input import CheckInput
from stages.lib.validation.verdicts import make_verdict

SHOWN = {"cut": "finish_length", "refused": "refusal", "looping": "loop", "dropped": ""}  # reasons; "": any that drops
NUM_RECENT = 5  # segments, from which the speed of now is taken


@dataclass(frozen=True, slots=True)
class Share:
    """A share of the conversations so far."""

    name: str
    count: int
    total: int
    interval: list[float] | None
    pilot: list[float] | None  # the pilot's interval
    has_left: bool  # the pilot's interval, by more than chance

    @property
    def value(self) -> float:
        """The share."""
        return self.count / self.total if self.total else 0.0


class Flush(NamedTuple):
    """What a segment added: how many conversations, and what they took."""

    conversations: int
    completion_tokens: int
    seconds: float


@dataclass
class Dgm:
    """The conversations of one DGM so far, under the params as they are."""

    model: Model
    config: RequestConfig
    settings: Settings
    store: Store
    total: int  # prompts
    note: PilotNote | None
    counts: Counter[str] = field(default_factory=Counter)  # of SHOWN
    flushes: list[Flush] = field(default_factory=list)
    hardware: str = ""
    _seen: set[str] = field(default_factory=set)  # identities
    _read: set[Path] = field(default_factory=set)

    def update(self) -> None:
        """Read and validate the segments that are new."""
        for segment in self.store.segments():
            if segment not in self._read:
                self._read.add(segment)
                table = read_segment(segment) if segment.exists() else None
                if table is not None and table.num_rows:
                    self._add(table)

    def _add(self, table: pa.Table) -> None:
        """Count the rows of a segment that `generate` would use."""
        hits = matches_limits(table["turns"].combine_chunks(), self.config.max_tokens, self.config.window)
        rows = table.filter(pa.array(np.asarray(hits)))
        prompts = {row["conversation_hash"]: row for row in read_prompts_of(rows["conversation_hash"].combine_chunks())}
        before, tokens, seconds = len(self._seen), 0, 0.0
        for row in rows.to_pylist():
            prompt = prompts.get(row["conversation_hash"])
            engine = self.settings.generate.engine
            if prompt is None or row["identity"] in self._seen:
                continue
            if row["identity"] != identity(prompt, self.model, self.config, engine):
                continue
            self._seen.add(row["identity"])
            tokens, seconds = tokens + row["completion_tokens"], seconds + row["seconds"]
            self.hardware = row["hardware"] or self.hardware
            verdict = make_verdict(CheckInput(row, prompt, self.settings.validate, self.model, self.config))
            self.counts.update(name for name, reason in SHOWN.items() if reason in verdict["reasons"])
            self.counts["dropped"] += not verdict["keep"]
        if len(self._seen) > before:
            self.flushes.append(Flush(len(self._seen) - before, tokens, seconds))

    @property
    def done(self) -> int:
        """How many conversations are finished."""
        return len(self._seen)

    @property
    def replicas(self) -> int:
        """How many engines answer side by side, as far as the params and the pilot tell."""
        return count_replicas(self.settings.runtime, self.model, read_replicas(self.store.folder))

    @property
    def seconds(self) -> float:
        """The wall time so far."""
        return sum(flush.seconds for flush in self.flushes) / self.replicas

    @property
    def seconds_to_go(self) -> float | None:
        """The wall time that the others take at the pace so far; None where it is not known."""
        return self.seconds * (self.total - self.done) / self.done if self.done and self.seconds else None

    @property
    def tokens_per_second(self) -> float | None:
        """The output tokens per second of the last segments."""
        recent = self.flushes[-NUM_RECENT:]
        seconds = sum(flush.seconds for flush in recent) / self.replicas
        return sum(flush.completion_tokens for flush in recent) / seconds if seconds else None

    def cost(self, seconds: float | None) -> float | None:
        """Return the price of a wall time; None on a CPU, and without a price of GPU-hours."""
        if seconds is None or not self.hardware:
            return None
        hours = gpu_hours((seconds, seconds), self.replicas * self.model.tensor_parallel, self.hardware)
        value = money(hours, self.settings.price_per_gpu_hour)
        return value[0] if value else None

    @property
    def shares(self) -> list[Share]:
        """The shares so far, beside the pilot's."""
        return [measure(name, self.counts[name], self.done, self.note) for name in SHOWN]


def measure(name: str, count: int, total: int, note: PilotNote | None) -> Share:
    """Measure a share, and whether it has left the pilot's interval.

    It has when it lies outside, and the pilot's share outside its own interval: so chance alone rarely warns.
    """
    interval = share_interval(count, total)
    if note is None or not note.conversations or interval is None:
        return Share(name, count, total, interval, None, has_left=False)
    counted = note.dropped if name == "dropped" else note.found.get(SHOWN[name], 0)
    pilot = share_interval(counted, note.conversations)
    assert pilot is not None, "the pilot has conversations"
    share, pilot_share = count / total, counted / note.conversations
    is_outside = not pilot[0] <= share <= pilot[1]
    return Share(name, count, total, interval, pilot, is_outside and not interval[0] <= pilot_share <= interval[1])


def open_dgm(name: str, settings: Settings, store: Path) -> Dgm | None:
    """Return a DGM that generates; None for an import, and before its model and the prompts are there."""
    if not (MODELS / name / "model.json").exists() or not PROMPTS.exists():
        return None
    model = load_model(name)
    if model.kind == "import":
        return None
    engine = settings.generate.engine
    config = with_reply_format(dgm_config(model, settings.generate), model, engine)
    total = sum(pq.read_metadata(file).num_rows for file in PROMPTS.glob("*.parquet"))
    note = read_note(store / name, digest_asked(model, config, settings.validate))
    return Dgm(model, config, settings, Store(store, name), total, note)
