"""The steps that a pipeline may take: an allow-list. Templates, queries, files, commands and requests are none of them.

Source: pySigma documentation, "Processing Pipelines", "Transformations".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from threatmatrix.detect.sigma.conditions import Branch
from threatmatrix.detect.sigma.drafts import Draft, Gate, Transformation, Vars, changed
from threatmatrix.detect.sigma.pipeline_conditions import LOGSOURCE
from threatmatrix.detect.sigma.searches import Group, Item, Search, SearchReader
from threatmatrix.detect.sigma.settings import Settings
from threatmatrix.detect.sigma.value_steps import VALUE_STEPS
from threatmatrix.detect.sigma.values import AnyOf, FieldRef, Value

__all__ = ["TRANSFORMATIONS"]


Names = Callable[[str], tuple[str, ...] | None]


# --- names of fields ------------------------------------------------------------------------------------------------


def _renaming(names: Names) -> Transformation:
    """Renames the fields of items, those that ``fieldref`` names, and those that go along with the draft."""

    def apply(draft: Draft, gate: Gate) -> Draft:
        def mapped(name: str) -> tuple[str, ...]:
            return (names(name) or (name,)) if gate.field(name) else (name,)

        def change(item: Item) -> Search:
            if not gate.lets(item):
                return item
            values = tuple(_referring(value, mapped) for value in item.values)
            fields = mapped(item.field) if item.field is not None else (None,)
            items = tuple(replace(item, field=field, values=values) for field in fields)
            return items[0] if len(items) == 1 else Group(items, False, item.path)

        fields = dict.fromkeys(name for field in draft.fields for name in mapped(field))
        return replace(changed(draft, change), fields=tuple(fields))

    return apply


def _referring(value: Value, mapped: Callable[[str], tuple[str, ...]]) -> Value:
    if not isinstance(value, FieldRef):
        return value
    references = tuple(replace(value, field=name) for name in mapped(value.field))
    return references[0] if len(references) == 1 else AnyOf(references)


def _mapping(settings: Settings, _vars: Vars) -> Transformation:
    return _renaming(settings.mapping("mapping").get)


def _prefix_mapping(settings: Settings, _vars: Vars) -> Transformation:
    mapping = settings.mapping("mapping")

    def names(name: str) -> tuple[str, ...] | None:
        prefix = next((one for one in mapping if name.startswith(one)), None)
        return None if prefix is None else tuple(one + name[len(prefix) :] for one in mapping[prefix])

    return _renaming(names)


def _prefix(settings: Settings, _vars: Vars) -> Transformation:
    prefix = settings.text("prefix")
    return _renaming(lambda name: (prefix + name,))


def _suffix(settings: Settings, _vars: Vars) -> Transformation:
    suffix = settings.text("suffix")
    return _renaming(lambda name: (name + suffix,))


# --- items and rules ------------------------------------------------------------------------------------------------


def _drop(settings: Settings, _vars: Vars) -> Transformation:
    return lambda draft, gate: changed(draft, lambda item: None if gate.lets(item) else item)


def _item_failure(settings: Settings, _vars: Vars) -> Transformation:
    message = settings.text("message")

    def apply(draft: Draft, gate: Gate) -> Draft:
        for item in draft.items():
            if gate.lets(item):
                raise draft.document.refuse(f"refused by a pipeline: {message}", *item.path)
        return draft

    return apply


def _rule_failure(settings: Settings, _vars: Vars) -> Transformation:
    message = settings.text("message")

    def apply(draft: Draft, gate: Gate) -> Draft:
        raise draft.document.refuse(f"refused by a pipeline: {message}")

    return apply


def _change_logsource(settings: Settings, _vars: Vars) -> Transformation:
    logsource = {key: settings.text(key) for key in LOGSOURCE if settings.get(key) is not None}
    return lambda draft, gate: replace(draft, logsource=logsource)


def _add_condition(settings: Settings, _vars: Vars) -> Transformation:
    """The rule, and (or: and not) what stands under ``conditions``, which is written as in a rule."""
    negated = settings.flag("negated")
    # ``$`` in a name: no search identifier of a rule can be called so.
    name = "$" + settings.text("name", "") + "/".join(str(part) for part in settings.path)
    search = SearchReader(settings.document).read(settings.get("conditions"), (*settings.path, "conditions"))

    def apply(draft: Draft, gate: Gate) -> Draft:
        added = Branch("not", (name,)) if negated else name
        condition = Branch("and", (added, draft.condition))
        return replace(draft, searches={**draft.searches, name: search}, condition=condition)

    return apply


TRANSFORMATIONS: Mapping[str, Callable[[Settings, Vars], Transformation]] = MappingProxyType(
    {
        **VALUE_STEPS,
        "add_condition": _add_condition,
        "change_logsource": _change_logsource,
        "detection_item_failure": _item_failure,
        "drop_detection_item": _drop,
        "field_name_mapping": _mapping,
        "field_name_prefix": _prefix,
        "field_name_prefix_mapping": _prefix_mapping,
        "field_name_suffix": _suffix,
        "rule_failure": _rule_failure,
    }
)
