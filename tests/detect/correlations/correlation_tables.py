"""Correlations and tables of occurrences for tests, in DuckDB and in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import duckdb
from tests.detect.correlations.correlation_oracle import Episode, Firing, Occurrence

from threatmatrix.detect.sigma.expressions import named_in, parse
from threatmatrix.detect.sigma.rules import Bound, Compare, Correlation, Kind, Meta
from threatmatrix.detect.sql.correlations import episodes, firing

DIALECTS = ("duckdb", "sqlite")
META = Meta(key="c", title="C", technique="t", file="c.yml")
Rows = list[tuple[Any, ...]]


def correlation(
    kind: Kind,
    bounds: Sequence[tuple[Compare, float]] = (),
    *,
    rules: int = 1,
    expression: str = "",
    timespan: int = 10,
    group_by: int = 1,
    **more: Any,
) -> Correlation:
    tree = parse(expression) if expression else None
    return Correlation(
        meta=META,
        kind=kind,
        rules=named_in(tree) if tree is not None else tuple("abcdefgh"[:rules]),
        group_by=tuple(f"key{at}" for at in range(group_by)),
        timespan=timespan,
        timespan_text=f"{timespan}us",
        bounds=tuple(Bound(op, number) for op, number in bounds),
        expression=tree,
        **more,
    )


class Tables:
    """One table ``occurrences`` in either database, filled anew for every question."""

    def __init__(self, group: str = "VARCHAR", value: str = "BIGINT", groups: int = 1, values: int = 1) -> None:
        self._duckdb = duckdb.connect(config={"threads": 1})
        self._sqlite = sqlite3.connect(":memory:")
        columns = ["event BIGINT", "slot INTEGER", "time BIGINT"]
        columns += [f"g{at} {group}" for at in range(groups)] + [f"v{at} {value}" for at in range(values)]
        self._queries: dict[Any, str] = {}
        self._groups, self._width = groups, len(columns)
        for con in (self._duckdb, self._sqlite):
            con.execute(f"CREATE TABLE occurrences ({', '.join(columns)})")

    def close(self) -> None:
        self._duckdb.close()
        self._sqlite.close()

    def fill(self, occurrences: Iterable[Occurrence]) -> None:
        rows = [(one.event, one.slot, one.time, *one.group, *one.values) for one in occurrences]
        places = f"({', '.join('?' * self._width)})"
        insert = f"INSERT INTO occurrences VALUES {', '.join([places] * len(rows))}"
        for con in (self._duckdb, self._sqlite):
            con.execute("DELETE FROM occurrences")
            if rows:
                con.execute(insert, [value for row in rows for value in row])

    def firings(self, rule: Correlation, dialect: str, until: int | None = None) -> list[Firing]:
        return sorted(
            Firing(row[: self._groups], *row[self._groups :]) for row in self._run(firing, rule, dialect, until)
        )

    def episodes(self, rule: Correlation, dialect: str, until: int | None = None) -> list[Episode]:
        found = self._run(episodes, rule, dialect, until)
        return sorted(Episode(row[: self._groups], *row[self._groups :]) for row in found)

    def _run(self, query: Any, rule: Correlation, dialect: str, until: int | None) -> Rows:
        con: Any = self._duckdb if dialect == "duckdb" else self._sqlite
        asked = (query, rule, dialect, until)
        if asked not in self._queries:
            self._queries[asked] = query(rule, "occurrences", dialect, until=until)
        rows: Rows = con.execute(self._queries[asked]).fetchall()
        return rows


@contextmanager
def tables(**shape: Any) -> Iterator[Tables]:
    with closing(Tables(**shape)) as held:
        yield held
