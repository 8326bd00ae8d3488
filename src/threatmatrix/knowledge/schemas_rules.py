"""JSON Schemas of Sigma documents as far as they run here: rules and correlations, suppressions, pipelines.

They help an editor while somebody writes; what a rule means, and what of it is refused, is decided by ``detect.sigma``.
Tests hold the words of the two to each other. Source: Sigma specification 2.1 (rules, correlations, filters).
"""

from __future__ import annotations

from typing import Any

from threatmatrix.model.detection import Severity
from threatmatrix.model.event import CATEGORIES, EVENT_COLUMNS

__all__ = ["MODIFIERS", "TRANSFORMATIONS", "pipeline_schema", "rule_schema", "suppression_schema"]

MODIFIERS = (
    *("all", "base64", "base64offset", "cased", "cidr", "contains", "day", "dotall", "endswith", "exists", "expand"),
    *("fieldref", "gt", "gte", "hour", "i", "ignorecase", "lt", "lte", "m", "minute", "month", "multiline", "neq"),
    *("re", "s", "startswith", "utf16", "utf16be", "utf16le", "week", "wide", "windash", "year"),
)
TRANSFORMATIONS = (
    *("add_condition", "case", "change_logsource", "convert_type", "detection_item_failure", "drop_detection_item"),
    *("field_name_mapping", "field_name_prefix", "field_name_prefix_mapping", "field_name_suffix", "map_string"),
    *("replace_string", "rule_failure", "set_value", "value_placeholders", "wildcard_placeholders"),
)
_TYPES = (
    *("event_count", "value_count", "temporal", "temporal_ordered"),
    *("value_sum", "value_avg", "value_percentile", "value_median"),
)
_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
_TEXTS: dict[str, Any] = {"type": "array", "items": _TEXT}
_ONE_OR_MORE: dict[str, Any] = {"oneOf": [_TEXT, {**_TEXTS, "minItems": 1}]}
_DAY: dict[str, Any] = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
_OFFSET: dict[str, Any] = {"type": "string", "pattern": "^[0-9]{1,9}(\\.[0-9]{1,6})?(ms|[smhdw])$"}
_NUMBERED: dict[str, Any] = {"const": "{n}"}
_KINDS: dict[str, dict[str, Any]] = {
    "VARCHAR": {"type": ["string", "null"]},
    "BIGINT": {"oneOf": [{"type": ["integer", "null"]}, _NUMBERED]},
    "DOUBLE": {"oneOf": [{"type": ["number", "null"]}, _NUMBERED]},
    "DOUBLE[]": {"type": ["array", "null"], "items": {"type": "number"}},
}


def rule_schema() -> dict[str, Any]:
    """rules/*.yml: a rule or a correlation."""
    rule = {"logsource": {"$ref": "#/$defs/logsource"}, "detection": _detection()}
    correlation = {"correlation": _correlation(), "generate": {"type": "boolean"}}
    head = ("title", "id", "description", "level")
    return {
        "description": "A Sigma rule or correlation, as far as it runs here (docs/rules.md). "
        "What else Sigma has is refused by name.",
        "oneOf": [
            _document("Sigma rule", _head() | rule, (*head, "logsource", "detection")),
            _document("Sigma correlation", _head() | correlation, (*head, "correlation")),
        ],
        "$defs": {"selection": _selection(), "logsource": _logsource(), "test": _test()},
    }


def suppression_schema() -> dict[str, Any]:
    """suppressions/*.yml: a Sigma filter with an owner and an end."""
    keys = ("title", "id", "author", "date", "modified", "references", "taxonomy")
    head = {key: value for key, value in (_head() | {"taxonomy": _TEXT}).items() if key in keys}
    own = {
        "description": {**_TEXT, "description": "Why these events are known to be harmless."},
        "owner": {**_TEXT, "description": "Who answers for it."},
        "expires": {**_DAY, "description": "From the beginning of this day (UTC) on, nothing is set aside any more."},
        "logsource": {"$ref": "#/$defs/logsource"},
        "filter": {
            **_detection(),
            "required": ["rules", "condition"],
            "minProperties": 3,
            "properties": {
                "rules": {**_ONE_OR_MORE, "description": "Ids or names of rules, threatmatrix.<technique>, or any."},
                "condition": {**_TEXT, "description": "Which events the rules may still see: not selection."},
            },
        },
    }
    return {
        "description": "A suppression: a Sigma filter with an owner and an end (docs/suppressions.md).",
        **_document("Sigma filter", head | own, ("title", "description", "owner", "expires", "logsource", "filter")),
        "$defs": {"selection": _selection(), "logsource": _logsource()},
    }


def pipeline_schema() -> dict[str, Any]:
    """pipelines/*.yml: a Sigma processing pipeline, its transformations those of the allow-list."""
    step = {
        "type": "object",
        "required": ["type"],
        "properties": {"id": _TEXT, "type": {"enum": list(TRANSFORMATIONS)}},
    }
    return {
        "description": "A Sigma processing pipeline that maps rules of others to our telemetry (docs/rules.md).",
        "type": "object",
        "required": ["transformations"],
        "properties": {
            "name": _TEXT,
            "priority": {"type": "integer"},
            "vars": {"type": "object"},
            "transformations": {"type": "array", "items": step},
        },
    }


def _document(title: str, properties: dict[str, Any], required: tuple[str, ...]) -> dict[str, Any]:
    return {
        "title": title,
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": properties,
    }


def _head() -> dict[str, Any]:
    tag = {"type": "string", "pattern": "^[a-z][a-z0-9_-]*\\.[a-z0-9._-]+$"}
    return {
        "title": _TEXT,
        "id": {"type": "string", "format": "uuid"},
        "name": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
        "status": {"enum": ["stable", "test", "experimental", "deprecated", "unsupported"]},
        "description": {**_TEXT, "description": "The first sentence explains a finding of this rule."},
        "references": _TEXTS,
        "author": {"type": "string"},
        "date": {"type": "string"},
        "modified": {"type": "string"},
        "tags": {"type": "array", "items": tag, "description": "attack.*, atlas.*, threatmatrix.<technique>"},
        "falsepositives": _TEXTS,
        "level": {"enum": [level.name for level in Severity]},
        "license": {"type": "string"},
        "fields": {"type": "array", "items": {"enum": list(EVENT_COLUMNS)}, "description": "What an analyst looks at."},
        "tests": {"type": "array", "minItems": 1, "maxItems": 50, "items": {"$ref": "#/$defs/test"}},
    }


def _logsource() -> dict[str, Any]:
    """A rule of ours names a category of events; another's is mapped to one by a pipeline."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["category"],
        "properties": {"category": {"enum": list(CATEGORIES)}, "definition": {"type": "string"}},
    }


def _detection() -> dict[str, Any]:
    search = {"$ref": "#/$defs/selection"}
    keywords = {"type": "array", "items": {"oneOf": [search, {"type": ["string", "number"]}]}, "minItems": 1}
    return {
        "type": "object",
        "required": ["condition"],
        "minProperties": 2,
        "properties": {"condition": {"oneOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}},
        "additionalProperties": {"oneOf": [search, keywords]},
    }


def _selection() -> dict[str, Any]:
    """Field, with its modifiers, to value or values."""
    value = {"type": ["string", "number", "boolean", "null"]}
    return {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": f"^[A-Za-z0-9_.-]*(\\|({'|'.join(MODIFIERS)}))*$"},
        "additionalProperties": {"oneOf": [value, {"type": "array", "items": value, "minItems": 1}]},
    }


def _correlation() -> dict[str, Any]:
    bounds: dict[str, Any] = {name: {"type": "number"} for name in ("gte", "gt", "lte", "lt", "eq", "neq")}
    bounds |= {"field": _ONE_OR_MORE, "percentile": {"type": "number", "minimum": 0, "maximum": 100}}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["type", "rules", "timespan"],
        "properties": {
            "type": {"enum": list(_TYPES)},
            "rules": _ONE_OR_MORE,
            "group-by": _ONE_OR_MORE,
            "timespan": {"type": "string", "pattern": "^[1-9][0-9]*[smhdwMQy]$"},
            "condition": {
                "oneOf": [
                    {"type": "object", "minProperties": 1, "additionalProperties": False, "properties": bounds},
                    {**_TEXT, "description": "Of the temporal kinds: a condition over the rules, such as a and not b."},
                ]
            },
            "aliases": {
                "type": "object",
                "additionalProperties": {"type": "object", "additionalProperties": _TEXT},
            },
            "generate": {"type": "boolean"},
        },
    }


def _test() -> dict[str, Any]:
    event: dict[str, Any] = {
        "at": {**_OFFSET, "description": "After 2026-01-05 09:00:00 UTC, a Monday."},
        "every": {**_OFFSET, "description": "From one copy to the next."},
        "repeat": {"type": "integer", "minimum": 1, "maximum": 10_000},
    }
    for name, kind in EVENT_COLUMNS.items():
        if name not in {"event_id", "time"} and kind in _KINDS:
            event[name] = _KINDS[kind]
    event["category"] = {"enum": list(CATEGORIES)}
    event["outcome"] = {"enum": ["success", "failure", None]}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "fires", "events"],
        "properties": {
            "name": {**_TEXT, "description": "What happens, in words."},
            "fires": {"type": "boolean", "description": "Whether the rule makes a finding."},
            "events": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "object", "additionalProperties": False, "properties": event},
            },
        },
    }
