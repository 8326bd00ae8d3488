"""How many events each suppression sets aside: what is not judged is counted, never silently gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import TracebackType

import duckdb

from threatmatrix.detect.engines.scanning.scanner import Scanner
from threatmatrix.detect.sigma.compile import RuleSet
from threatmatrix.model.event import Event

__all__ = ["SuppressedEvents"]


class SuppressedEvents:
    """Counts, beside the rule engine, the events that a rule would have matched and a suppression took from it.

    It runs the suppressions' hidden rules, once for each batch; without suppressions it costs nothing. An event that
    two suppressions set aside counts for both.
    """

    def __init__(self, ruleset: RuleSet) -> None:
        self.counts: Counter[str] = Counter()  # key of a suppression → events
        self._keys = {one.hidden.meta.key: one.key for one in ruleset.suppressions}
        self._connection: duckdb.DuckDBPyConnection | None = None
        if self._keys:
            self._connection = duckdb.connect(":memory:")
            hidden = [one.hidden for one in ruleset.suppressions]
            self._scanner = Scanner(hidden, ruleset.schema, self._connection)

    def __enter__(self) -> SuppressedEvents:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.close()

    def feed(self, events: Sequence[Event]) -> None:
        """Count what is set aside of these."""
        if self._connection is None or not events:
            return
        for key, positions in self._scanner.match(events).items():
            self.counts[self._keys[key]] += len(positions)
