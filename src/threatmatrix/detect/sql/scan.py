"""The intermediate form → SQL, built as an SQLGlot tree: no value or name is ever pasted into text.

``scan`` answers every rule of one category in a single pass over the events; each text column that is compared
without case is folded once, however many values it is compared with. ``episodes`` is the sliding count. Both are
plain SQL but for the leaves, which come from the dialect's table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlglot import exp

from threatmatrix.detect.sigma.ir import And, Leaf, Node, Not, Or, leaves
from threatmatrix.detect.sigma.rules import Correlation, EventRule
from threatmatrix.detect.sql.dialects import Dialect, dialect_named
from threatmatrix.model.event import EVENT_COLUMNS

__all__ = ["condition", "episodes", "scan"]

_FOLDED = "folded "  # prefix of a folded column; the space keeps it apart from every field name


def condition(node: Node, dialect: str = "duckdb") -> exp.Expression:
    """One rule's condition over columns named as the fields: an SQLGlot expression that is never NULL."""
    return _two_valued(_render(node, dialect_named(dialect), folded=False))


def scan(rules: Sequence[EventRule], table: str, position: str, dialect: str = "duckdb") -> str:
    """SELECT position, r0, r1, … of the events that match any of ``rules`` (all of one category).

    ``position`` is the column that names an event; ``r0`` … are booleans in the order of ``rules``.
    """
    table_of = dialect_named(dialect)
    used = sorted({leaf.field for rule in rules for leaf in leaves(rule.condition)})
    fold = sorted({leaf.field for rule in rules for leaf in leaves(rule.condition) if _folds(leaf)})
    columns = [exp.alias_(_column(position), "position", quoted=True), *(_column(name) for name in used)]
    columns += [exp.alias_(table_of.fold(_column(name)), _FOLDED + name, quoted=True) for name in fold]
    events = exp.select(*columns).from_(exp.to_table(table))
    events = events.where(exp.EQ(this=_column("category"), expression=exp.Literal.string(rules[0].category)))
    tests = [_two_valued(_render(rule.condition, table_of, folded=True)) for rule in rules]
    named = [exp.alias_(test, f"r{index}", quoted=True, copy=False) for index, test in enumerate(tests)]
    # A rule may hold thousands of values: nothing here is copied.
    tested = exp.select(_column("position"), *named, copy=False).from_(events.subquery("events"), copy=False)
    flags = [_column(f"r{index}") for index in range(len(rules))]
    matched = exp.select(_column("position"), *flags).from_(tested.subquery("tested", copy=False), copy=False)
    return matched.where(_joined(exp.Or, [flag.copy() for flag in flags]), copy=False).sql(table_of.name, copy=False)


def episodes(rule: Correlation, table: str, group: Sequence[str], dialect: str = "duckdb") -> str:
    """SELECT group…, started, fired, last of the episodes of a sliding count over ``table`` (group…, time).

    An event fires where the one ``minimum - 1`` before it is at most ``timespan`` older (both ends included). Firing
    events at most ``timespan`` apart make one episode: ``started`` is the oldest event of its first window, ``fired``
    its first and ``last`` its last firing event. ``time`` is BIGINT µs. For a table at rest, in one query; a stream is
    counted by ``detect.engines.episodes``, and tests hold the two to each other.
    """
    keys = [_column(name) for name in group]
    time, started, gap, episode = (_column(name) for name in ("time", "started", "gap", "episode"))
    span = exp.Literal.number(rule.timespan)
    assert rule.minimum is not None
    windows = exp.select(*keys, time, exp.alias_(_lag(time, rule.minimum - 1, keys), "started", quoted=True))
    fired = exp.LTE(this=exp.Sub(this=time, expression=started), expression=span)
    firing = exp.select(
        *keys, time, started, exp.alias_(exp.Sub(this=time, expression=_lag(time, 1, keys)), "gap", quoted=True)
    ).from_(windows.from_(exp.to_table(table)).subquery("windows"))
    joined = exp.LTE(this=gap, expression=span)
    starts = exp.Case().when(joined, exp.Literal.number(0)).else_(exp.Literal.number(1))
    numbered = exp.select(*keys, time, started, exp.alias_(_running_sum(starts, time, keys), "episode", quoted=True))
    numbered = numbered.from_(firing.where(fired).subquery("firing"))
    figures = [
        exp.alias_(function(this=column), name, quoted=True)
        for function, column, name in ((exp.Min, started, "started"), (exp.Min, time, "fired"), (exp.Max, time, "last"))
    ]
    result = exp.select(*keys, *figures).from_(numbered.subquery("numbered")).group_by(*keys, episode)
    return result.sql(dialect=dialect_named(dialect).name)


def _column(name: str) -> exp.Column:
    return exp.column(name, quoted=True)


def _lag(column: exp.Expression, rows: int, keys: Sequence[exp.Expression]) -> exp.Expression:
    call = exp.Lag(this=column.copy(), offset=exp.Literal.number(rows))
    return exp.Window(this=call, partition_by=[key.copy() for key in keys], order=_ordered(column))


def _running_sum(value: exp.Expression, time: exp.Expression, keys: Sequence[exp.Expression]) -> exp.Expression:
    rows = exp.WindowSpec(kind="RANGE", start="UNBOUNDED", start_side="PRECEDING", end="CURRENT ROW")
    partition = [key.copy() for key in keys]
    return exp.Window(this=exp.Sum(this=value), partition_by=partition, order=_ordered(time), spec=rows)


def _ordered(column: exp.Expression) -> exp.Order:
    return exp.Order(expressions=[exp.Ordered(this=column.copy())])


def _two_valued(expression: exp.Expression) -> exp.Expression:
    """NULL (a field that the event does not have) becomes false."""
    return exp.Coalesce(this=expression, expressions=[exp.false()])


def _joined(kind: Callable[..., exp.Expression], items: Sequence[exp.Expression]) -> exp.Expression:
    """A balanced tree: thousands of values must not nest thousands of levels deep."""
    if len(items) == 1:
        return items[0]
    half = len(items) // 2
    return exp.paren(kind(this=_joined(kind, items[:half]), expression=_joined(kind, items[half:])), copy=False)


def _render(node: Node, dialect: Dialect, *, folded: bool) -> exp.Expression:
    if isinstance(node, Leaf):
        return _leaf(node, dialect, folded)
    if isinstance(node, Not):
        # Only a negation can turn NULL into a match, so only here must it become false.
        return exp.Not(this=_two_valued(_render(node.item, dialect, folded=folded)))
    if isinstance(node, And):
        return _joined(exp.And, [_render(item, dialect, folded=folded) for item in node.items])
    return _joined(exp.Or, _alternatives(node, dialect, folded=folded))


def _alternatives(node: Or, dialect: Dialect, *, folded: bool) -> list[exp.Expression]:
    """The items of an OR, where values that one column may equal become one IN: thousands of values stay quick."""
    equal: dict[tuple[str, bool, bool], list[Leaf]] = {}
    others: list[Node] = []
    for item in node.items:
        if isinstance(item, Leaf) and item.op == "equals":
            equal.setdefault((item.field, item.cased, _folds(item)), []).append(item)
        else:
            others.append(item)
    result = [_render(item, dialect, folded=folded) for item in others]
    for alike in equal.values():
        sides = [_sides(leaf, dialect, folded=folded) for leaf in alike]
        if len(sides) == 1:
            result.append(_leaf(alike[0], dialect, folded))
        else:
            result.append(exp.In(this=sides[0][0], expressions=[value for _, value in sides]))
    return result


def _folds(leaf: Leaf) -> bool:
    text = EVENT_COLUMNS.get(leaf.field) == "VARCHAR"
    return text and not leaf.cased and leaf.op != "present" and leaf.value != ""


def _leaf(leaf: Leaf, dialect: Dialect, folded: bool) -> exp.Expression:
    column, value = _sides(leaf, dialect, folded=folded)
    return dialect.leaves[leaf.op](column, value)


def _sides(leaf: Leaf, dialect: Dialect, *, folded: bool) -> tuple[exp.Expression, exp.Expression]:
    """What is compared with what: the column, folded or as text where that is asked for, and the value."""
    column: exp.Expression = _column(leaf.field)
    if not isinstance(leaf.value, str):
        return column, exp.Literal.number(leaf.value)
    value: exp.Expression = exp.Literal.string(leaf.value)
    if EVENT_COLUMNS.get(leaf.field) == "BIGINT" and leaf.op != "present":
        column = dialect.text(column)
    elif _folds(leaf):
        column = _column(_FOLDED + leaf.field) if folded else dialect.fold(column)
        value = dialect.fold(value)
    return column, value
