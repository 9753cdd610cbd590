"""Conversations that an engine could not answer, counted and compared with the share that is allowed."""

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line

NUM_EXAMPLES = 3


class Failures:
    """The failed conversations of one DGM."""

    def __init__(self, dgm: str, total: int) -> None:
        self._dgm, self._total = dgm, total
        self._reasons = Counter[str]()
        self._examples: list[str] = []

    def count(self, table: pa.Table) -> None:
        """Count the failed ones among rows of RESPONSE."""
        failed = table.filter(pc.equal(table["status"], "failed"))
        self._reasons.update(failed["reason"].to_pylist())
        self._examples += failed["conversation_hash"].to_pylist()[: NUM_EXAMPLES - len(self._examples)]

    def check(self, max_share: float) -> None:
        """Print how many failed, if any; raise UserError when their share is above `max_share`."""
        if not (num_failed := self._reasons.total()):
            return
        [(reason, count)] = self._reasons.most_common(1)
        share = num_failed / self._total
        message = (
            f"{self._dgm}: {num_failed} of {self._total} conversations failed ({share:.1%}, allowed {max_share:.1%}), "
            f"{count} of them because {reason}, as {', '.join(name[:12] for name in self._examples)}"
        )
        retry = f"`make retry DGM={self._dgm}` generates them again"
        if share > max_share:
            raise UserError(f"{message}. {retry}; the others are kept in the store")
        log_line(f"{message}. `validate` drops them; {retry}")
