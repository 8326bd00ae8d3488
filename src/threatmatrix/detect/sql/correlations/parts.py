"""What every correlation's SQL is built of: columns, frames, and the doubled rows that let a window slide.

A frame ``RANGE BETWEEN n PRECEDING AND CURRENT ROW`` would say "the window" in one line, but its cost grows with the
size of the largest group: on 3.5M rows of which one group has half, DuckDB 2.0 took 5 to 14 s where what stands here
takes 2 (docs/decisions/0012). So every occurrence stands twice, once when it comes and once, ``gone``, when it leaves
the window; running sums and latest values over both are the window's figures, in one pass over the sorted rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from threatmatrix.detect.sigma.rules import Correlation
from threatmatrix.model.errors import UnknownNameError

__all__ = [
    "DIALECTS",
    "DOUBLED",
    "Parts",
    "add",
    "case",
    "column",
    "is_last",
    "named",
    "number",
    "or_else",
    "select",
    "so_far",
    "subtract",
]

DIALECTS = ("duckdb", "sqlite")  # those that the tests hold to the oracle
_IGNORES_NULLS = frozenset({"duckdb"})  # where the last value that is no NULL is cheaper than the greatest


def column(name: str) -> exp.Column:
    return exp.column(name, quoted=True)


def named(value: exp.Expr, name: str) -> exp.Expr:
    return exp.alias_(value, name, quoted=True, copy=False)


def select(*columns: exp.Expr, rows: exp.Expr, where: Sequence[exp.Expr] = ()) -> exp.Select:
    """SELECT … FROM … WHERE …; nothing is copied, so that deep queries are built as quickly as flat ones."""
    if isinstance(rows, exp.Select):
        rows = rows.subquery("rows", copy=False)
    query = exp.select(*columns, copy=False).from_(rows, copy=False)
    return query.where(*where, copy=False) if where else query


def number(value: int | float) -> exp.Expr:
    literal = exp.Literal.number(abs(value))
    return exp.Neg(this=literal) if value < 0 else literal


def add(left: exp.Expr, right: exp.Expr | int) -> exp.Expr:
    return exp.Add(this=left, expression=number(right) if isinstance(right, int) else right)


def subtract(left: exp.Expr, right: exp.Expr | int) -> exp.Expr:
    return exp.Sub(this=left, expression=number(right) if isinstance(right, int) else exp.paren(right))


def case(when: exp.Expr, then: exp.Expr, other: exp.Expr | None = None) -> exp.Case:
    result = exp.Case().when(when, then, copy=False)
    return result if other is None else result.else_(other, copy=False)


def or_else(value: exp.Expr, other: exp.Expr) -> exp.Expr:
    return exp.Coalesce(this=value, expressions=[other])


# What leaves at a time does so before anything comes, the row with the latest next one last.
DOUBLED = (column("at"), exp.Ordered(this=column("gone"), desc=True), column("next"))


@dataclass(frozen=True, slots=True)
class Parts:
    """One correlation over one table of occurrences, in one dialect. Raises UnknownNameError."""

    correlation: Correlation
    table: str
    dialect: str
    until: int | None = None  # the newest time of the data (µs); without it, that of the table
    keys: tuple[str, ...] = field(init=False)  # g0, g1, …: the group

    def __post_init__(self) -> None:
        if self.dialect not in DIALECTS:
            raise UnknownNameError("SQL dialect", self.dialect, DIALECTS)
        object.__setattr__(self, "keys", tuple(f"g{index}" for index in range(len(self.correlation.group_by))))

    @property
    def span(self) -> int:
        return self.correlation.timespan

    @property
    def values(self) -> tuple[str, ...]:
        """v0, v1, …: the values that are counted or summed."""
        return tuple(f"v{index}" for index in range(len(self.correlation.field)))

    def groups(self) -> list[exp.Expr]:
        return [column(key) for key in self.keys]

    def occurrences(self) -> exp.Expr:
        """The table as it is: one row for each rule that an event matches."""
        return exp.to_table(self.table)

    def events(self) -> exp.Expr:
        """One row for each event (and value): one that several rules match counts once."""
        if len(self.correlation.rules) == 1:
            return self.occurrences()
        columns = [column(name) for name in ("event", "time", *self.keys, *self.values)]
        return select(*columns, rows=self.occurrences()).distinct(copy=False).subquery("events", copy=False)

    def over(
        self,
        call: exp.Expr,
        *order: exp.Expr,
        within: Sequence[str] = (),
        frame: exp.WindowSpec | None = None,
    ) -> exp.Window:
        """``call`` over the rows of a group (and of the same values of ``within``) in ``order``."""
        partition = [column(key) for key in (*self.keys, *within)]
        ordered = exp.Order(expressions=[item if isinstance(item, exp.Ordered) else _up(item) for item in order])
        return exp.Window(this=call, partition_by=partition, order=ordered, spec=frame)

    def latest(self, value: exp.Expr, order: Sequence[exp.Expr]) -> exp.Window:
        """The greatest value so far, of values that never fall from row to row in ``order``."""
        call: exp.Expr = exp.Max(this=value)
        if self.dialect in _IGNORES_NULLS:
            call = exp.IgnoreNulls(this=exp.LastValue(this=value))
        return self.over(call, *order, frame=so_far())

    def following(self, order: Sequence[exp.Expr]) -> exp.Expr:
        """``following``: the time of the next row."""
        return named(self.over(exp.Lead(this=column("at")), *order), "following")

    def doubled(self, rows: exp.Expr, *columns: exp.Expr) -> exp.Select:
        """Every row twice: as it comes (``gone`` 0) and as it leaves the window (1); ``at`` is the time of it."""
        comes, goes = (exp.select(named(number(side), "gone"), copy=False) for side in (0, 1))
        sides = exp.union(comes, goes, distinct=False, copy=False).subquery("sides", copy=False)
        at = add(column("time"), exp.Mul(this=column("gone"), expression=number(self.span + 1)))
        moves = select(*self.groups(), named(at, "at"), column("gone"), column("next"), *columns, rows=rows)
        return moves.join(sides, join_type="cross", copy=False)

    def oldest(self) -> exp.Expr:
        """``started``: of doubled rows with the ``next`` occurrence of each, the oldest one in the window."""
        left = self.latest(case(exp.EQ(this=column("gone"), expression=number(1)), column("next")), DOUBLED)
        first = self.over(exp.FirstValue(this=column("at")), *DOUBLED, frame=so_far())
        return named(or_else(left, first), "started")

    def next_one(self) -> exp.Expr:
        """``next``: the time of the group's next occurrence."""
        return named(self.over(exp.Lead(this=column("time")), column("time")), "next")

    def sql(self, query: exp.Query) -> str:
        return query.sql(dialect=self.dialect)


def so_far() -> exp.WindowSpec:
    return exp.WindowSpec(kind="ROWS", start="UNBOUNDED", start_side="PRECEDING", end="CURRENT ROW")


def is_last() -> exp.Expr:
    """Of several rows of one time, the last has seen all others."""
    following = column("following")
    none = exp.Is(this=following, expression=exp.Null())
    return exp.paren(exp.or_(none, exp.NEQ(this=following, expression=column("at")), copy=False))


def _up(item: exp.Expr) -> exp.Ordered:
    return exp.Ordered(this=item)
