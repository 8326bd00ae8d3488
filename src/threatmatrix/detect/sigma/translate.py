"""One rule for single events: from its document to a condition.

pySigma reads and validates what a rule says about itself. What it says about events is read here: its versions 1.5
and 2.0 disagree on selectors, identifiers, Base64, UTF-16, placeholders and regular expressions, and a rule may not
mean one thing today and another after an update. The conformance corpus holds the result to pySigma's own backend.
"""

from __future__ import annotations

from dataclasses import replace

from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule, SigmaRuleBase

from threatmatrix.detect.sigma.comparisons import Comparisons
from threatmatrix.detect.sigma.conditions import Branch, Tree, names_in, parse_condition
from threatmatrix.detect.sigma.documents import Document
from threatmatrix.detect.sigma.drafts import Draft
from threatmatrix.detect.sigma.guard import check_detection, check_logsource, read_logsource
from threatmatrix.detect.sigma.ir import And, Node, Not, Or
from threatmatrix.detect.sigma.pipelines import NONE, Pipelines
from threatmatrix.detect.sigma.rules import EventRule, Meta
from threatmatrix.detect.sigma.schema import EVENTS, Schema
from threatmatrix.detect.sigma.searches import MAX_LEAVES, SearchReader, items_of, size_of

__all__ = ["PARSE_ERRORS", "event_rule", "field_of", "first_line", "meta_of"]

# What pySigma raises on a document that passed the guard but not pySigma's own checks.
PARSE_ERRORS = (SigmaError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_ANY_DETECTION = {"any": {"field": "value"}, "condition": "any"}


def event_rule(document: Document, schema: Schema = EVENTS, pipelines: Pipelines = NONE) -> EventRule:
    """Translate a rule for single events. Raises RuleError, naming what is refused."""
    drafted = _draft(document, schema)
    try:
        rule = SigmaRule.from_dict({**document.raw, "detection": _ANY_DETECTION})
    except PARSE_ERRORS as error:
        raise document.refuse(first_line(error)) from error
    meta = meta_of(document, rule)
    draft = pipelines.apply(replace(drafted, fields=meta.fields))
    category = check_logsource(document, draft.logsource, schema)
    _check_size(draft, schema)
    return EventRule(meta=replace(meta, fields=draft.fields), category=category, condition=_condition(draft, schema))


def field_of(document: Document, name: str, schema: Schema = EVENTS, pipelines: Pipelines = NONE) -> str:
    """The field that ``name`` stands for in the rule of ``document``: what its pipelines map it to.

    For the ``group-by``, ``field`` and ``aliases`` of correlations. Raises RuleError where it would become several.
    """
    if not pipelines.steps:
        return name
    fields = pipelines.apply(replace(_draft(document, schema), fields=(name,))).fields
    if len(fields) != 1:
        raise document.refuse(f"a pipeline maps {name!r} to several fields: {', '.join(fields)}", "detection")
    return fields[0]


def _draft(document: Document, schema: Schema) -> Draft:
    detection = check_detection(document)
    logsource = read_logsource(document, schema)
    reader = SearchReader(document)
    searches = {
        name: reader.read(definition, ("detection", name))
        for name, definition in detection.items()
        if name != "condition"
    }
    return Draft(document, logsource, searches, parse_condition(document, detection.get("condition"), searches))


def _check_size(draft: Draft, schema: Schema) -> None:
    sizes = {
        name: sum(
            sum(map(size_of, item.values)) * (len(schema.keywords) if item.field is None else 1)
            for item in items_of(search)
        )
        for name, search in draft.searches.items()
    }
    if sum(sizes[name] for name in names_in(draft.condition)) > MAX_LEAVES:
        problem = f"the condition writes out to more than {MAX_LEAVES} comparisons"
        raise draft.document.refuse(problem, "detection", "condition")


def _condition(draft: Draft, schema: Schema) -> Node:
    comparisons = Comparisons(draft.document, schema)
    nodes = {name: comparisons.node(search) for name, search in draft.searches.items()}

    def node(tree: Tree) -> Node:
        if not isinstance(tree, Branch):
            return nodes[tree]
        items = tuple(node(item) for item in tree.items)
        return Not(items[0]) if tree.op == "not" else And(items) if tree.op == "and" else Or(items)

    return node(draft.condition)


def first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def meta_of(document: Document, rule: SigmaRuleBase) -> Meta:
    for key in ("fields", "falsepositives"):
        if not all(isinstance(item, str) for item in document.raw.get(key) or ()):
            raise document.refuse("is a list of texts", key)
    return Meta(
        key=str(rule.id or rule.name or rule.title),
        title=rule.title,
        technique=document.source.technique,
        file=document.source.file,
        description=rule.description or "",
        level=str(rule.level or ""),
        name=rule.name or "",
        status=str(rule.status or ""),
        tags=tuple(str(tag) for tag in rule.tags),
        fields=tuple(rule.fields),
        falsepositives=tuple(rule.falsepositives),
    )
