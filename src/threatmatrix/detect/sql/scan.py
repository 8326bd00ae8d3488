"""The intermediate form → SQL, built as an SQLGlot tree: no value or name is ever pasted into text.

``scan`` answers every rule of one category in a single pass over the events; each text column that is compared
without case is folded once, however many values it is compared with. It is plain
SQL but for the leaves, which come from the dialect's table. ``detect.sql.hits`` finds the same, faster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp

from threatmatrix.detect.sigma.ir import Leaf, leaves
from threatmatrix.detect.sigma.rules import EventRule
from threatmatrix.detect.sigma.schema import EVENTS, Schema
from threatmatrix.detect.sql.conditions import Renderer, column, condition, folded_fields, folded_name, joined
from threatmatrix.detect.sql.dialects import dialect_named

__all__ = ["condition", "scan"]


def scan(
    rules: Sequence[EventRule], table: str, position: str, dialect: str = "duckdb", *, schema: Schema = EVENTS
) -> str:
    """SELECT position, r0, r1, … of the events that match any of ``rules`` (all of one category).

    ``position`` is the column that names an event; ``r0`` … are booleans in the order of ``rules``.
    """
    table_of = dialect_named(dialect)
    used = sorted({name for leaf in _leaves(rules) for name in leaf.fields})
    fold = sorted({name for leaf in _leaves(rules) for name in folded_fields(leaf, schema)})
    columns = [exp.alias_(column(position), "position", quoted=True), *(column(name) for name in used)]
    columns += [exp.alias_(table_of.fold(column(name)), folded_name(name), quoted=True) for name in fold]
    events = exp.select(*columns).from_(exp.to_table(table))
    events = events.where(exp.EQ(this=column(schema.category), expression=exp.Literal.string(rules[0].category)))
    renderer = Renderer(schema, table_of, folded=True)
    named = [
        exp.alias_(renderer.test(rule.condition), f"r{at}", quoted=True, copy=False) for at, rule in enumerate(rules)
    ]
    # A rule may hold thousands of values: nothing here is copied.
    tested = exp.select(column("position"), *named, copy=False).from_(events.subquery("events"), copy=False)
    flags = [column(f"r{index}") for index in range(len(rules))]
    matched = exp.select(column("position"), *flags).from_(tested.subquery("tested", copy=False), copy=False)
    return matched.where(joined(exp.Or, [flag.copy() for flag in flags]), copy=False).sql(table_of.name, copy=False)


def _leaves(rules: Sequence[EventRule]) -> Iterator[Leaf]:
    return (leaf for rule in rules for leaf in leaves(rule.condition))
