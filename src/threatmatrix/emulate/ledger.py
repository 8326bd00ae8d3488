"""The query ledger: a hard budget that is charged before a row is sent, and one rate for all who share it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from threatmatrix.model.errors import BudgetExhausted

__all__ = ["QueryLedger"]

_TURN = threading.Lock()  # of all ledgers: held for an addition, and a ledger of its own could not go to a process


@dataclass(slots=True)
class QueryLedger:
    """Rows and reads sent against a limit. Several clients may share one: the scope's limit and rate are for all.

    ``rps``: requests a second of all clients together; None until a client brings its scope's.
    """

    limit: int
    rps: float | None = None
    spent: int = 0
    _next: float = field(default=0.0, init=False, repr=False, compare=False)

    @property
    def left(self) -> int:
        return self.limit - self.spent

    def take(self, rows: int) -> None:
        """Charge rows; raises BudgetExhausted, and charges nothing, where they do not fit."""
        if rows > self.left:
            raise BudgetExhausted(
                f"{rows} more queries would exceed the limit of {self.limit} ({self.spent} are spent)",
                hint="Raise max_queries in the scope, or attack fewer samples",
            )
        self.spent += rows

    def keep_rate(self, rps: float) -> None:
        """Keep to ``rps`` requests a second, unless the rate is lower already."""
        self.rps = rps if self.rps is None else min(self.rps, rps)

    def wait(self) -> bool:
        """Sleep until the next request may go out, by the monotonic clock. True if it had to."""
        waited = False
        while self.rps is not None and self.rps > 0:
            with _TURN:
                now = time.monotonic()
                left = self._next - now
                if left <= 0:
                    self._next = now + 1.0 / self.rps
                    break
            time.sleep(left)
            waited = True
        return waited
