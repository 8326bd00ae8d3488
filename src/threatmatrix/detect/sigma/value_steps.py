"""The steps of a pipeline that change values: replaced, mapped, converted, put in for placeholders."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product
from types import MappingProxyType

from threatmatrix.detect.sigma.chains import Unfit
from threatmatrix.detect.sigma.drafts import Draft, Gate, Transformation, Vars, changed
from threatmatrix.detect.sigma.ir import Wild
from threatmatrix.detect.sigma.pipeline_conditions import plainly, scalar_value, text_or_pattern
from threatmatrix.detect.sigma.regexes import replaced
from threatmatrix.detect.sigma.searches import Item
from threatmatrix.detect.sigma.settings import Settings
from threatmatrix.detect.sigma.values import AnyOf, Number, Piece, Placeholder, Text, Value, parse_text, text_of

__all__ = ["VALUE_STEPS"]

MAX_EXPANSION = 1000  # values that the placeholders of one value may write out to
Change = Callable[[Value], Value]


def _changing(change: Change) -> Transformation:
    def apply(draft: Draft, gate: Gate) -> Draft:
        def of(item: Item) -> Item:
            try:
                values = tuple(_each(value, change) for value in item.values)
            except Unfit as error:
                raise draft.document.refuse(str(error), *item.path) from error
            return replace(item, values=values)

        return changed(draft, lambda item: of(item) if gate.lets(item) else item)

    return apply


def _each(value: Value, change: Change) -> Value:
    return AnyOf(tuple(_each(one, change) for one in value.values)) if isinstance(value, AnyOf) else change(value)


def _on_text(change: Callable[[Text], Value]) -> Transformation:
    return _changing(lambda value: change(value) if isinstance(value, Text) else value)


def _on_literals(change: Callable[[str], str]) -> Callable[[Text], Value]:
    return lambda text: text_of((change(one) if isinstance(one, str) else one for one in text.pieces), text.cased)


def _replace_string(settings: Settings, _vars: Vars) -> Transformation:
    pattern, replacement = text_or_pattern(settings, "regex"), settings.text("replacement")
    if re.search(r"\\[^0-9\\]", replacement):
        raise settings.refuse(r"a replacement refers to groups as \1 and to nothing else", "replacement")
    if settings.flag("skip_special"):
        return _on_text(_on_literals(lambda text: replaced(pattern, replacement, text)))

    def change(text: Text) -> Value:
        if any(isinstance(one, str) and not set(one).isdisjoint("\\*?") for one in text.pieces):
            raise Unfit("a value with a backslash or an escape needs skip_special in the pipeline's replace_string")
        return parse_text(
            replaced(pattern, replacement, plainly(text)), expand=bool(text.placeholders), cased=text.cased
        )

    return _on_text(change)


def _map_string(settings: Settings, _vars: Vars) -> Transformation:
    mapping = settings.mapping("mapping")

    def change(text: Text) -> Value:
        mapped = mapping.get(plainly(text))
        if mapped is None:
            return text
        values = tuple(parse_text(one, cased=text.cased) for one in mapped)
        return values[0] if len(values) == 1 else AnyOf(values)

    return _on_text(change)


def _handles(settings: Settings) -> Callable[[str], bool]:
    included = settings.texts("include") if settings.has("include") else None
    excluded = settings.texts("exclude") if settings.has("exclude") else ()
    return lambda name: (included is None or name in included) and name not in excluded


def _value_placeholders(settings: Settings, variables: Vars) -> Transformation:
    handled = _handles(settings)

    def choices(piece: Piece) -> list[tuple[Piece, ...]]:
        if isinstance(piece, Placeholder) and handled(piece.name) and piece.name in variables:
            return [parse_text(value).pieces for value in variables[piece.name]]
        return [(piece,)]

    def change(text: Text) -> Value:
        if not text.placeholders:
            return text
        each = [choices(piece) for piece in text.pieces]
        size = 1
        for one in each:
            size *= len(one)
            if size > MAX_EXPANSION:
                raise Unfit(f"the placeholders write out to more than {MAX_EXPANSION} values")
        written = [text_of((one for piece in pieces for one in piece), text.cased) for pieces in product(*each)]
        return written[0] if len(written) == 1 else AnyOf(tuple(written))

    return _on_text(change)


def _wildcard_placeholders(settings: Settings, _vars: Vars) -> Transformation:
    handled = _handles(settings)

    def change(text: Text) -> Value:
        pieces = (Wild.ANY if isinstance(one, Placeholder) and handled(one.name) else one for one in text.pieces)
        return text_of(pieces, text.cased)

    return _on_text(change)


def _set_value(settings: Settings, _vars: Vars) -> Transformation:
    value = scalar_value(settings.scalar("value"))
    if settings.has("force_type"):
        value = _converted(value, settings.choice("force_type", ("str", "num")))
    return _changing(lambda _: value)


def _convert_type(settings: Settings, _vars: Vars) -> Transformation:
    target = settings.choice("target_type", ("str", "num"))
    return _changing(lambda value: _converted(value, target))


def _converted(value: Value, target: str) -> Value:
    if target == "str" and isinstance(value, Number):
        return Text((value.spelt or str(value.number),))
    if target == "num" and isinstance(value, Text):
        plain = value.plain or ""
        if re.fullmatch(r"-?[0-9]{1,18}", plain, re.ASCII):
            return Number(int(plain), plain)
        if re.fullmatch(r"-?[0-9]{1,18}\.[0-9]{1,18}", plain, re.ASCII):
            return Number(float(plain), plain)
        raise Unfit(f"a pipeline makes numbers of values, and {plainly(value)!r} is none")
    return value


def _case(settings: Settings, _vars: Vars) -> Transformation:
    upper = settings.choice("method", ("lower", "upper"), "lower") == "upper"
    return _on_text(_on_literals(str.upper if upper else str.lower))


VALUE_STEPS: Mapping[str, Callable[[Settings, Vars], Transformation]] = MappingProxyType(
    {
        "case": _case,
        "convert_type": _convert_type,
        "map_string": _map_string,
        "replace_string": _replace_string,
        "set_value": _set_value,
        "value_placeholders": _value_placeholders,
        "wildcard_placeholders": _wildcard_placeholders,
    }
)
