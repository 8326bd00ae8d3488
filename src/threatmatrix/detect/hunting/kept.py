"""What outlives a day: the matches of rules that correlations count, with the few columns that these need.

One row for each match, with the fields that correlations over its rule read (the others are NULL); one row for each
event, with what findings say of it; and a table of firing events for each correlation that others count. All of it lies
in DuckDB's temporary space: beyond the memory limit on disk.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import duckdb
from sqlglot import exp

from threatmatrix.detect.engines.counting.chains import Plan
from threatmatrix.detect.engines.counting.occurrences import columns_of
from threatmatrix.detect.sigma.rules import TEMPORAL, VALUED, Correlation
from threatmatrix.model.event import EVENT_COLUMNS

__all__ = ["EVIDENCE", "KEPT_EVENTS", "KeptMatches", "quoted"]

KEPT_EVENTS = "hunt_kept_events"
"""event (a number), and EVIDENCE."""

EVIDENCE = ("time", "row", "event_id", "system", "principal", "model")
_KEPT = "hunt_kept"


def quoted(name: str) -> str:
    """A column of an event as SQL."""
    return exp.column(name, quoted=True).sql("duckdb")


class KeptMatches:
    """The matches that the correlations of ``plans`` count, and the firing events of those that others count.

    ``rules``: the keys of all event rules; ``always``: fields that are kept of every match.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        plans: Sequence[Plan],
        rules: Sequence[str],
        always: Collection[str] = (),
    ) -> None:
        self._connection = connection
        self._inner = {plan.rule.meta.key: plan.rule for plan in plans}
        self.numbers = {key: number for number, key in enumerate((*rules, *self._inner))}
        self._matches: Counter[int] | None = None  # number of a rule → its matches, once somebody has asked
        self._fired: set[str] = set()  # keys of correlations whose firing events are kept
        self._always = {key for plan in plans if plan.rule.kind in TEMPORAL for key in plan.rule.rules}
        self._reads: dict[str, set[str]] = {}
        for plan in plans:
            for key in set(plan.rule.rules) - self._inner.keys():
                self._reads.setdefault(key, set(always)).update(*columns_of(plan.rule, key))
        self.columns = tuple(sorted({"time"}.union(*self._reads.values()) & EVENT_COLUMNS.keys()))
        self._create(_KEPT, ["rule INTEGER"], self.columns)
        self._create(KEPT_EVENTS, [], EVIDENCE)

    def _create(self, table: str, own: Sequence[str], columns: Iterable[str]) -> None:
        typed = [*own, "event BIGINT", *(f"{quoted(name)} {EVENT_COLUMNS[name]}" for name in columns)]
        self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} ({', '.join(typed)})")

    def add(self, table: str, keys: Iterable[str], *, rule: int, event: int) -> None:
        """Keep the matches of these rules; ``rule`` and ``event`` are added to the numbers that ``table`` has."""
        numbers = {self.numbers[key] - rule: self._reads[key] for key in keys if key in self._reads}
        if not numbers:
            return
        self._matches = None
        columns = ", ".join(_where_read(name, numbers) for name in self.columns)
        counted = f"FROM {table} WHERE rule IN ({_listed(numbers)})"
        told = ", ".join(map(quoted, EVIDENCE))
        self._connection.execute(f"INSERT INTO {_KEPT} SELECT rule + {rule}, event + {event}, {columns} {counted}")
        self._connection.execute(
            f"INSERT INTO {KEPT_EVENTS} SELECT DISTINCT ON (event) event + {event}, {told} {counted}"
        )

    def add_firing(self, one: Correlation, where: str, first: str, always: str) -> None:
        """Keep the firing events of ``one``: of several at one moment the last, which surely fires; of an absence all.

        ``where``: as in :meth:`occurrences`; ``first`` and ``always``: queries for (g0 …, time) where one of its
        episodes begins to fire, and where it fires at all.
        """
        groups = [f"g{at}" for at in range(len(one.group_by))]
        same = "".join(f" AND o.{name} = m.{name}" for name in groups)
        moment = ", ".join(f"o.{name}" for name in (*groups, "time"))
        begins = f"({moment}) IN ({first})" if groups else f"o.time IN ({first})"
        moments = always if one.meta.key in self._always else first
        last = f'QUALIFY row_number() OVER (PARTITION BY {moment} ORDER BY k."row" DESC, k.event_id DESC) = 1'
        if one.waits:
            last = ""  # what did not follow one of them followed none
        self._connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {self._table(one.meta.key)} AS SELECT o.event, {moment}, {begins} AS first "  # noqa: S608
            f"FROM ({self.occurrences(one, where)}) AS o JOIN ({moments}) AS m ON o.time = m.time{same} "
            f"JOIN {KEPT_EVENTS} AS k ON k.event = o.event {last}"
        )
        self._fired.add(one.meta.key)

    def numbers_of(self, one: Correlation) -> dict[int, float]:
        """Slot → how many matches ``one`` could count at most; infinite where that is not known without looking."""
        if self._matches is None:
            counts = self._connection.execute(f"SELECT rule, count(*) FROM {_KEPT} GROUP BY rule")  # noqa: S608
            self._matches = Counter(dict(counts.fetchall()))
        fired = {slot: math.inf for slot, key in enumerate(one.rules) if key in self._fired}
        return {slot: self._matches[self.numbers[key]] for slot, key in enumerate(one.rules)} | fired

    def occurrences(self, one: Correlation, where: str) -> str:
        """A query: event, slot, time, g0 …, v0 … of all that ``one`` counts; ``where``: SQL, true of those it may."""
        slots = [self._slot(one, slot, where) for slot, key in enumerate(one.rules) if self._is_there(key)]
        return " UNION ALL ".join(slots)

    def _is_there(self, key: str) -> bool:
        return key in self._fired or key not in self._inner

    def _table(self, key: str) -> str:
        return f"hunt_fired_{self.numbers[key]}"

    def _slot(self, one: Correlation, slot: int, where: str) -> str:
        key = one.rules[slot]
        values = one.field if one.kind in VALUED else ()
        if key in self._inner:
            groups = [self._told(key, one.column(name, key)) for name in one.group_by]
            named = [_any_value(one, self._told(key, one.column(name, key))) for name in values]
            # what counts firing events looks where those looked; a temporal correlation counts every one
            source, limit = self._table(key), "true" if one.kind in TEMPORAL else "first"
        else:
            groups = [_group(one.column(name, key)) for name in one.group_by]
            named = [_value(one, one.column(name, key)) for name in values]
            source, limit = _KEPT, f"rule = {self.numbers[key]} AND {where}"
        columns = "".join(f", {sql} AS g{at}" for at, sql in enumerate(groups))
        columns += "".join(f", {sql} AS v{at}" for at, sql in enumerate(named))
        present = "".join(f" AND {sql} IS NOT NULL" for sql in groups)
        return f'SELECT event, {slot}::INTEGER AS slot, "time"{columns} FROM {source} WHERE {limit}{present}'  # noqa: S608

    def _told(self, key: str, name: str) -> str:
        """What a firing event of a correlation says: the values of its group, by the names that it groups by."""
        groups = self._inner[key].group_by
        return f"g{groups.index(name)}" if name in groups else "NULL"


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _where_read(name: str, numbers: Mapping[int, Collection[str]]) -> str:
    """The column of the matches of those rules of which somebody reads it."""
    reading = [number for number, reads in numbers.items() if name in reads or name == "time"]
    if len(reading) == len(numbers):
        return quoted(name)
    return f"CASE WHEN rule IN ({_listed(reading)}) THEN {quoted(name)} END" if reading else "NULL"


def _group(name: str) -> str:
    """A value of a group as a stream has it: bytes in hex, because an id is text; not a number is no value."""
    kind = EVENT_COLUMNS.get(name)
    if kind == "BLOB":
        return f"lower(hex({quoted(name)}))"
    return f"CASE WHEN NOT isnan({quoted(name)}) THEN {quoted(name)} END" if kind == "DOUBLE" else quoted(name)


def _value(one: Correlation, name: str) -> str:
    """A value that is counted, or a finite number that is summed."""
    if one.kind == "value_count":
        return _group(name)
    kind = EVENT_COLUMNS.get(name)
    if kind == "DOUBLE":
        return f"CASE WHEN isfinite({quoted(name)}) THEN {quoted(name)} END"
    return quoted(name) if kind == "BIGINT" else "NULL::DOUBLE"


def _any_value(one: Correlation, name: str) -> str:
    """The same of a value whose type is that of a group."""
    if one.kind == "value_count":
        return name
    return f"CASE WHEN typeof({name}) IN ('BIGINT', 'DOUBLE') THEN TRY_CAST({name} AS DOUBLE) END"
