"""The query ledger: a hard budget that is charged before a row is sent."""

from __future__ import annotations

from dataclasses import dataclass

from threatmatrix.model.errors import BudgetExhausted

__all__ = ["QueryLedger"]


@dataclass(slots=True)
class QueryLedger:
    """Rows and reads sent against a limit. Several clients may share one: the scope's limit is for all."""

    limit: int
    spent: int = 0

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
