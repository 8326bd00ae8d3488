"""The fast scan, in two steps, for the rules of one category: which records concern any rule, and which rules match.

Each text is folded once. A gate (``detect.sql.prefilter``) is one search for the literals of many rules; what lies
behind it is evaluated on the records that hold one, and no others: CASE goes on with a selection of the records.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp

from threatmatrix.detect.sigma.ir import leaves
from threatmatrix.detect.sigma.schema import Schema
from threatmatrix.detect.sql.conditions import Renderer, column, folded_fields, folded_name, joined
from threatmatrix.detect.sql.dialects import call, dialect_named
from threatmatrix.detect.sql.prefilter import Gate

__all__ = ["RULES", "candidates", "matching", "passing", "read_by", "some_texts"]

RULES = "rules that match"  # the spaces keep it apart from every field name
_KEPT = "kept"
_META = frozenset("\\.+*?()|[]{}^$")


def candidates(gates: Sequence[Gate], source: str, schema: Schema, carry: Sequence[str]) -> str:
    """SELECT carry… of the records of ``source`` (a relation) that may match a rule of ``gates``, and few others."""
    renderer = _renderer(schema)
    kept = exp.Case().when(
        joined(exp.Or, [_concerned(gate, renderer) for gate in gates]), exp.array(exp.Literal.number(1)), copy=False
    )
    tested = _over_records(gates, source, schema, carry, exp.alias_(kept, _KEPT, quoted=True, copy=False))
    # UNNEST leaves out what has no list. A WHERE would be pushed below, and each text folded once for each gate.
    rows = exp.alias_(exp.Explode(this=column(_KEPT)), _KEPT, quoted=True)
    chosen = exp.select(*map(column, carry), rows).from_(tested.subquery("tested", copy=False), copy=False)
    return (
        exp.select(*map(column, carry))
        .from_(chosen.subquery("chosen", copy=False), copy=False)
        .sql("duckdb", copy=False)
    )


def passing(gates: Sequence[Gate], source: str, schema: Schema, carry: Sequence[str]) -> str:
    """SELECT carry…, RULES: as :func:`matching`, with the numbers of the gates that a record passes."""
    renderer = _renderer(schema)
    numbers: list[exp.Expression] = [
        exp.Case().when(_concerned(gate, renderer), exp.Literal.number(at), copy=False) for at, gate in enumerate(gates)
    ]
    return _unnested(gates, source, schema, carry, _without_null(numbers))


def _concerned(gate: Gate, renderer: Renderer) -> exp.Expression:
    """Whether a record may match a rule of the gate; where many pass it, whether one does."""
    if gate.atoms and not gate.frequent:
        return joined(exp.Or, list(_searches(gate, renderer)))
    matches = joined(exp.Or, list(_conditions(gate, renderer)))
    # CASE and not AND, which would evaluate both sides for all.
    return exp.Case().when(joined(exp.Or, list(_searches(gate, renderer))), matches) if gate.atoms else matches


def matching(gates: Sequence[Gate], source: str, schema: Schema, carry: Sequence[str]) -> str:
    """SELECT carry…, RULES of the records of ``source`` (a relation): one row for each record and rule that match.

    All rules are of one category; RULES is the number of a rule.
    """
    return _unnested(gates, source, schema, carry, _found(gates, _renderer(schema)))


def _unnested(gates: Sequence[Gate], source: str, schema: Schema, carry: Sequence[str], found: exp.Expression) -> str:
    tested = _over_records(gates, source, schema, carry, exp.alias_(found, RULES, quoted=True, copy=False))
    rows = exp.alias_(exp.Explode(this=column(RULES)), RULES, quoted=True)
    chosen = exp.select(*map(column, carry), rows).from_(tested.subquery("tested", copy=False), copy=False)
    return chosen.sql("duckdb", copy=False)


def some_texts(fields: Sequence[str], source: str, category: str, schema: Schema, records: int) -> str:
    """SELECT the folded texts of ``fields`` of the first ``records`` records of one category."""
    fold = dialect_named("duckdb").fold
    folded = [exp.alias_(fold(column(name)), name, quoted=True) for name in fields]
    return _of_category(folded, source, category, schema).limit(records).sql("duckdb")


def read_by(gates: Sequence[Gate], schema: Schema) -> list[str]:
    """The columns that the rules of these gates need, the one of routing among them."""
    read = {name for gate in gates for _, rule in gate.rules for name in rule.reads}
    return sorted(read | {schema.category} | {atom.field for gate in gates for atom in gate.atoms})


def _renderer(schema: Schema) -> Renderer:
    return Renderer(schema, dialect_named("duckdb"), folded=True)


def _over_records(
    gates: Sequence[Gate], source: str, schema: Schema, carry: Sequence[str], tested: exp.Expr
) -> exp.Select:
    """SELECT carry…, tested over the records of the rules' category, with their folded texts."""
    fold = dialect_named("duckdb").fold
    rules = [rule for gate in gates for _, rule in gate.rules]
    texts = {name for rule in rules for leaf in leaves(rule.condition) for name in folded_fields(leaf, schema)}
    texts |= {atom.field for gate in gates for atom in gate.atoms}
    columns: list[exp.Expr] = [column(name) for name in sorted({*read_by(gates, schema), *carry})]
    columns += [exp.alias_(fold(column(name)), folded_name(name), quoted=True) for name in sorted(texts)]
    records = _of_category(columns, source, rules[0].category, schema)
    selected = exp.select(*map(column, carry)).select(tested, copy=False)
    return selected.from_(records.subquery("records"), copy=False)


def _of_category(columns: Sequence[exp.Expr], source: str, category: str, schema: Schema) -> exp.Select:
    chosen = exp.select(*columns).from_(exp.table_(source, quoted=True))
    return chosen.where(exp.EQ(this=column(schema.category), expression=exp.Literal.string(category)))


def _found(gates: Sequence[Gate], renderer: Renderer) -> exp.Expression:
    """A list of the rules behind these gates that match; NULL is an empty one."""
    found = [_behind(gate, renderer) for gate in gates]
    return found[0] if len(found) == 1 else call("list_concat", *found)


def _behind(gate: Gate, renderer: Renderer) -> exp.Expression:
    inner = _found(gate.inner, renderer) if gate.inner else _evaluated(gate, renderer)
    if not gate.atoms:
        return inner
    return exp.Case().when(joined(exp.Or, list(_searches(gate, renderer))), inner, copy=False)


def _evaluated(gate: Gate, renderer: Renderer) -> exp.Expression:
    conditions = zip(gate.rules, _conditions(gate, renderer), strict=True)
    numbers: list[exp.Expression] = [
        exp.Case().when(test, exp.Literal.number(number), copy=False) for (number, _), test in conditions
    ]
    return _without_null(numbers)


def _without_null(numbers: list[exp.Expression]) -> exp.Expression:
    exists = exp.Not(this=exp.Is(this=exp.column("x"), expression=exp.Null()))
    only = exp.Lambda(this=exists, expressions=[exp.to_identifier("x")])
    return call("list_filter", exp.Array(expressions=numbers), only)


def _conditions(gate: Gate, renderer: Renderer) -> Iterator[exp.Expression]:
    return (renderer.render(rule.condition) for _, rule in gate.rules)


def _searches(gate: Gate, renderer: Renderer) -> Iterator[exp.Expression]:
    for field, texts in gate.literals().items():
        folded = column(folded_name(field))
        if len(texts) == 1:
            yield renderer.dialect.contains(folded, exp.Literal.string(texts[0]))
        else:
            yield renderer.dialect.search(folded, exp.Literal.string("|".join(map(_escaped, texts))))


def _escaped(text: str) -> str:
    return "".join("\\" + char if char in _META else char for char in text)
