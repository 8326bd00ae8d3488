"""The SQL that a rule becomes, for people to read: ``rules show --sql``."""

from __future__ import annotations

import sqlglot
from sqlglot import exp

from threatmatrix.detect.sigma.compile import RuleSet
from threatmatrix.detect.sigma.needs import without_unknown
from threatmatrix.detect.sigma.rules import Correlation, EventRule
from threatmatrix.detect.sql.conditions import column, condition
from threatmatrix.detect.sql.correlations import episodes

__all__ = ["rule_sql"]

_DIALECT = "duckdb"


def rule_sql(ruleset: RuleSet, rule: EventRule | Correlation) -> dict[str, str]:
    """Title → statement in DuckDB's SQL, indented: the rule, and before it every rule that it is made of.

    An event rule selects from ``events``; a correlation from ``occurrences``, the matches of its rules, in which
    ``slot`` is the place of a rule in the correlation, ``g0`` … its groups and ``v0`` … its values.
    """
    known: dict[str, EventRule | Correlation] = {each.meta.key: each for each in ruleset.rules}
    known |= {each.meta.key: each for each in ruleset.correlations}
    found: dict[str, str] = {}
    if isinstance(rule, Correlation):
        for key in rule.rules:
            found |= rule_sql(ruleset, known[key])
        statement = sqlglot.parse_one(episodes(rule, "occurrences", _DIALECT), dialect=_DIALECT)
    else:
        where = exp.EQ(this=column(ruleset.schema.category), expression=exp.Literal.string(rule.category))
        seen = without_unknown(rule.condition, ruleset.schema.fields)  # as engines run it
        statement = exp.select("*").from_("events").where(where, condition(seen, ruleset.schema, _DIALECT))
    sql = statement.sql(_DIALECT, pretty=True)
    title = rule.meta.title
    return {**found, title if found.get(title, sql) == sql else f"{title} ({rule.meta.key})": sql}
