"""What conversations cost for each that is kept: the time of the others counts, their tokens do not (sec. 2.2)."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.console.errors import UserError
from stages.lib.core.types import Floats
from stages.lib.statistics.intervals import share_interval

KEEP = "keep"  # the column of verdicts


@dataclass(frozen=True, slots=True)
class KeptCost:
    """How many of some conversations are kept, and what they took."""

    kept: int
    share: float | None  # of all conversations; None without any
    share_ci95: list[float] | None
    tokens_per_second: float | None  # valid tokens: in and out of the kept, over the time of all; None without a time
    seconds: float | None  # of all, for each that is kept; None without a time, or when none is kept
    stderr: float | None  # of these seconds; None for a single conversation


def mark_kept(ledger: pa.Table, verdicts: pa.Table, dgm: str) -> pa.Table:
    """Add to a ledger whether each conversation is kept; raise UserError for verdicts on other conversations."""
    if ledger["identity"].to_pylist() != verdicts["identity"].to_pylist():
        raise UserError(
            f"data/ledger/{dgm} and data/verdicts/{dgm} are of different conversations: run `dvc repro gate@{dgm}`"
        )
    return ledger.append_column(KEEP, verdicts[KEEP])


def measure_kept(costs: pa.Table) -> KeptCost:
    """Measure rows of a ledger that say whether they are kept."""
    seconds, keep = (costs[name].to_numpy().astype(np.float64) for name in ("seconds", KEEP))
    tokens = pc.add(costs["prompt_tokens"], costs["completion_tokens"]).to_numpy()
    total, kept = float(seconds.sum()), int(keep.sum())
    is_known = total > 0 and kept > 0
    return KeptCost(
        kept=kept,
        share=kept / len(keep) if len(keep) else None,
        share_ci95=share_interval(kept, len(keep)),
        tokens_per_second=float(tokens @ keep) / total if total else None,
        seconds=total / kept if is_known else None,
        stderr=ratio_stderr(seconds, keep) if is_known else None,
    )


def ratio_stderr(values: Floats, counts: Floats) -> float | None:
    """Return the standard error of sum(values) / sum(counts) over a random sample (Cochran 1977, sec. 2.11)."""
    if len(values) < 2:
        return None
    residuals = values - values.sum() / counts.sum() * counts
    return sqrt(float(residuals @ residuals) * len(values) / (len(values) - 1)) / float(counts.sum())
