"""The query ledger: hard budgets, charged before a row is sent, and one rate for all who share it."""

from __future__ import annotations

import math
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
    ``seconds``: of wall time from the first request on, by the monotonic clock; None for no end.
    """

    limit: int
    rps: float | None = None
    seconds: float | None = None
    spent: int = 0
    failed: bool = False  # a client has stopped: a 5xx, a lost connection
    taken_back: int = 0  # rows of taking back: counted, and held against no budget
    _next: float = field(default=0.0, init=False, repr=False, compare=False)
    _began: float | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def left(self) -> int:
        return self.limit - self.spent

    @property
    def seconds_left(self) -> float:
        """Of wall time; infinite without a limit. The first question starts the clock."""
        if self.seconds is None:
            return math.inf
        now = time.monotonic()
        if self._began is None:
            self._began = now
        return self._began + self.seconds - now

    def afford(self, rows: int) -> None:
        """Charge nothing; raises BudgetExhausted where the rows do not fit, or the time is up."""
        if self.seconds_left <= 0:
            raise BudgetExhausted(
                f"the {self.seconds:g} seconds of wall time are used up ({self.spent} queries are spent)",
                hint="Allow more seconds, or attack fewer samples",
            )
        if rows > self.left:
            raise BudgetExhausted(
                f"{rows} more queries would exceed the limit of {self.limit} ({self.spent} are spent)",
                hint="Raise max_queries in the scope, or attack fewer samples",
            )

    def take(self, rows: int) -> None:
        """Charge rows; raises BudgetExhausted, and charges nothing, where they do not fit or the time is up."""
        self.afford(rows)
        self.spent += rows

    def outlast(self, seconds: float) -> None:
        """Raises BudgetExhausted where the wall time ends before so many seconds have passed."""
        if seconds >= self.seconds_left:
            raise BudgetExhausted(
                f"waiting {seconds:g} seconds would outlast the {self.seconds:g} seconds of wall time",
                hint="Allow more seconds, or leave the variant out that waits",
            )

    def keep_rate(self, rps: float) -> None:
        """Keep to ``rps`` requests a second, unless the rate is lower already."""
        self.rps = rps if self.rps is None else min(self.rps, rps)

    def wait(self, *, past_the_end: bool = False) -> bool:
        """Sleep until the next request may go out, by the monotonic clock. True if it had to.

        Raises BudgetExhausted, without sleeping, where that is after the end of the wall time, unless ``past_the_end``.
        """
        waited = False
        while self.rps is not None and self.rps > 0:
            with _TURN:
                now = time.monotonic()
                left = self._next - now
                if left <= 0:
                    self._next = now + 1.0 / self.rps
                    break
            if not past_the_end and left >= self.seconds_left:
                raise BudgetExhausted(f"the {self.seconds:g} seconds of wall time end before the next request is due")
            time.sleep(left)
            waited = True
        return waited
