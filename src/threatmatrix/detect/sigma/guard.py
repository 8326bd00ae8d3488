"""What kinds of document are refused, by name, before anything of them is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from threatmatrix.detect.sigma.documents import Document
from threatmatrix.detect.sigma.schema import Schema

__all__ = ["check_detection", "check_document", "check_logsource", "read_logsource"]

TAXONOMIES = ("sigma", "threatmatrix")
ROUTING = ("category", "product", "service")
_HINT = "A pipeline with change_logsource maps it"


def check_document(document: Document) -> None:
    """Refuse what is no rule, correlation or filter that can run."""
    raw = document.raw
    if "action" in raw:
        raise document.refuse("rule collections (action) are not supported", "action", hint="Write each rule out")
    taxonomy = raw.get("taxonomy", "sigma")
    if taxonomy not in TAXONOMIES:
        raise document.refuse(f"taxonomy {taxonomy!r} is not supported", "taxonomy", choices=TAXONOMIES)
    if raw.get("status") == "unsupported":
        raise document.refuse("the rule calls itself unsupported", "status")
    for key in ("title", "id", "name", "description", "level"):
        if key in raw and not isinstance(raw[key], str):
            raise document.refuse("must be text", key)


def check_detection(document: Document) -> dict[str, Any]:
    """The detection, where there is one that could be read."""
    if "filter" in document.raw:
        raise document.refuse("a Sigma filter is no rule", "filter", hint="Put it among the suppressions")
    detection = document.raw.get("detection")
    if not isinstance(detection, dict):
        raise document.refuse("a rule has a detection: a mapping of search identifiers and a condition", "detection")
    if "timeframe" in detection:
        raise document.refuse("timeframe is obsolete", "detection", "timeframe", hint="Write a correlation")
    return detection


def read_logsource(document: Document, schema: Schema) -> dict[str, str]:
    """Category, product and service, as far as the rule names them."""
    logsource = document.raw.get("logsource")
    if not isinstance(logsource, dict):
        raise document.refuse("a rule has a logsource with a category", "logsource", choices=schema.categories)
    for key, value in logsource.items():
        if key not in {*ROUTING, "definition"}:
            problem = f"logsource.{key} is not supported: nothing would obey it"
            raise document.refuse(problem, "logsource", key, choices=(*ROUTING, "definition"))
        if key in ROUTING and not isinstance(value, str):
            raise document.refuse("must be text", "logsource", key)
    return {key: logsource[key] for key in ROUTING if key in logsource}


def check_logsource(document: Document, logsource: Mapping[str, str], schema: Schema) -> str:
    """The category of events that the rule reads; refuse what pipelines have left over."""
    category = logsource.get("category")
    if category not in schema.categories:
        named = ", ".join(f"{key} {value!r}" for key, value in logsource.items() if key != "category")
        of_them = f" ({named})" if named else ""
        problem = f"there are no events of category {category!r}{of_them}"
        raise document.refuse(problem, "logsource", "category", choices=schema.categories, hint=_HINT)
    for key in ("product", "service"):
        if key in logsource:
            problem = f"logsource.{key} is not supported: events are told apart by category alone"
            raise document.refuse(problem, "logsource", key, hint=_HINT)
    return category
