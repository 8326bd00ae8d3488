"""Anybody's own log: JSON lines, CSV or Parquet, with a mapping file that says where the fields stand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from threatmatrix.model.errors import UsageError
from threatmatrix.model.event import CATEGORIES, EVENT_COLUMNS, Category, Event
from threatmatrix.telemetry.readers.base import (
    NOTHING_ASKED,
    Form,
    Options,
    Reader,
    Where,
    check_time,
    content_id,
    from_iso,
    integer,
    number,
    reject,
    without_secrets,
)
from threatmatrix.telemetry.readers.mapping_file import MAPPED, UNITS, WORDS, FieldMapping, InputMapping, Place, Source
from threatmatrix.telemetry.readers.paths import clean_path
from threatmatrix.telemetry.tables import Table

__all__ = ["MappingReader"]

_MAX_NUMBERS = 1_000_000
_MADE = {
    "event_id": "`mapping:` + `id`, or a hash of the record",
    "time": "`time`",
    "source": "`mapping`",
    "category": "`category`",
}
_INPUTS = {
    "input_fp": "keyed hash of `inputs`",
    "input_vec": "keyed projection of `inputs.numeric`",
    "vec_scale": "with `input_vec`",
    "vec_key": "with `input_vec`",
    "input_fp_prev": "`input_fp` under the key before, while keys overlap",
    "input_vec_prev": "`input_vec` under the key before",
    "vec_key_prev": "with `input_vec_prev`",
    "input_raw": "the input, where it is kept on request",
    "input_bytes": "size of `inputs`",
}
_ALL = dict.fromkeys(MAPPED, "as the mapping file says") | _MADE | _INPUTS


class MappingReader:
    """Takes each field of an event from where the mapping file says. Without one it reads nothing."""

    name = "mapping"
    description = "any JSON lines, CSV or Parquet, with a mapping file"

    def __init__(self, options: Options = NOTHING_ASKED) -> None:
        self._inputs = options.inputs
        self._mapping = options.mapping

    @property
    def form(self) -> Form:
        """``table`` for CSV and Parquet."""
        return "lines" if self._mapping is None or self._mapping.format == "jsonl" else "table"

    @property
    def table(self) -> Table:
        """How the CSV file is written."""
        mapping = self._checked()
        places = [mapping.time, *(source.place for source in mapping.fields.values())]
        places += [mapping.kind] if mapping.kind else []
        places += [place for place in (mapping.id, mapping.inputs and mapping.inputs.text) if place]
        places += mapping.inputs.numeric if mapping.inputs else ()
        return Table(mapping.delimiter, mapping.columns, frozenset(str(place[0]) for place in places))

    @property
    def gives(self) -> Mapping[Category, Mapping[str, str]]:
        """What the mapping file names; of a reader without one, what a mapping file can name."""
        mapping = self._mapping
        if mapping is None:
            return dict.fromkeys(CATEGORIES, _ALL)
        said = {name: f"`{_dotted(source.place)}`" for name, source in mapping.fields.items()}
        said |= dict.fromkeys(mapping.constants, "constant")
        said |= _MADE | (_INPUTS if mapping.inputs else {})
        return dict.fromkeys([mapping.category] if mapping.category else mapping.kinds.values(), said)

    def recognises(self, first_lines: Sequence[str]) -> bool:
        """Never: whoever gives a mapping file means this reader."""
        return False

    def with_options(self, options: Options) -> Reader:
        """A reader with the mapping file of the options. Raises UsageError where there is none."""
        if options.mapping is None:
            hint = "Say with a mapping file where the fields stand; docs/sources/logs.md shows one"
            raise UsageError("the source 'mapping' needs a mapping file", hint=hint)
        return MappingReader(options)

    def _checked(self) -> FieldMapping:
        if self._mapping is None:
            raise UsageError("the source 'mapping' needs a mapping file", hint="docs/sources/logs.md shows one")
        return self._mapping

    def parse(self, obj: Mapping[str, Any], where: Where) -> Sequence[Event]:
        """One record → one event; ``()`` where its category is told by a word that the mapping file does not name."""
        mapping = self._mapping
        if mapping is None:
            raise reject(where, "", "the source 'mapping' needs a mapping file")
        category = mapping.category or _category(mapping, obj, where)
        if category is None:
            return ()
        time = _time(mapping, obj, where)
        own = None if mapping.id is None else _word(_find(obj, mapping.id), _dotted(mapping.id), where)
        values: dict[str, Any] = dict(mapping.constants)
        for name, source in mapping.fields.items():
            values[name] = _value(name, source, obj, where)
        if mapping.inputs is not None:
            values |= self._input(mapping.inputs, values.get("model"), obj, time, where)
        return (
            Event(
                event_id=f"mapping:{own}" if own is not None else content_id("mapping", obj),
                time=time,
                source="mapping",
                category=category,
                **without_secrets(values, self._inputs),
            ),
        )

    def _input(self, places: InputMapping, model: str | None, obj: Any, time: int, where: Where) -> dict[str, Any]:
        if places.text is not None:
            content = _find(obj, places.text)
            if content in (None, ""):
                return {}
            if not isinstance(content, str):
                content = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            if self._inputs is None:
                return {"input_bytes": len(content.encode())}
            return self._inputs.text(content, time)._asdict()
        return self._numeric(places, model, obj, time, where)

    def _numeric(self, places: InputMapping, model: str | None, obj: Any, time: int, where: Where) -> dict[str, Any]:
        import numpy as np

        from threatmatrix.telemetry.inputs.oip import DTYPES, Tensor

        numbers: list[float] = []
        for place in places.numeric:
            _collect(_find(obj, place), numbers, _dotted(place), where)
        if not numbers:
            return {}
        dtype = DTYPES[places.datatype]
        if dtype.kind != "f":
            bounds = np.iinfo(dtype)
            if not all(value == int(value) and bounds.min <= value <= bounds.max for value in numbers):
                raise reject(where, "inputs.numeric", f"holds a number that is no {places.datatype}")
        with np.errstate(over="ignore"):
            array = np.array([numbers], dtype=np.float64).astype(dtype)
        if self._inputs is None:
            return {"input_bytes": array.nbytes}
        tensor = Tensor("input", places.datatype, array.shape, array, None, False)
        return self._inputs.rows(model, [tensor], 1, time)[0]._asdict()


def _dotted(place: Place) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).removeprefix(".")


def _find(obj: Any, place: Place) -> Any:
    """The value at a place; None where the record has none. "" and "-" say nothing, as in every log."""
    for step in place:
        if isinstance(step, str):
            obj = obj.get(step) if isinstance(obj, dict) else None
        else:
            obj = obj[step] if isinstance(obj, list) and step < len(obj) else None
        if obj is None:
            return None
    return obj


def _category(mapping: FieldMapping, obj: Any, where: Where) -> Category | None:
    word = _word(_find(obj, mapping.kind), _dotted(mapping.kind), where)
    return None if word is None else mapping.kinds.get(word)


def _time(mapping: FieldMapping, obj: Any, where: Where) -> int:
    key = _dotted(mapping.time)
    value = {key: _find(obj, mapping.time)}
    if value[key] in (None, "", "-"):
        raise reject(where, key, "missing: the time")
    if mapping.unit == "iso":
        if not isinstance(value[key], str):
            raise reject(where, key, "must be an ISO 8601 text; say its unit in the mapping file if it is a number")
        return check_time(from_iso(value[key], key, where), key, where)
    if type(value[key]) is int and mapping.unit in ("us", "ns"):  # exact, where a float would not be
        return check_time(value[key] if mapping.unit == "us" else value[key] // 1000, key, where)
    count = number(value, where, key) or 0.0
    time = count * UNITS[mapping.unit]
    return check_time(round(time) if abs(time) < 1e18 else -1, key, where)


def _word(value: Any, key: str, where: Where) -> str | None:
    """A text; numbers that name something (an account's number) are written out."""
    if value is None or value in ("", "-"):
        return None
    if isinstance(value, str):
        return value
    if type(value) is int or (type(value) is float and value.is_integer() and abs(value) < 1e15):
        return str(int(value))
    raise reject(where, key, "must be a text or a whole number")


def _value(name: str, source: Source, obj: Any, where: Where) -> Any:
    value = _find(obj, source.place)
    key = _dotted(source.place)
    if source.values is not None and value is not None:
        word = str(value).lower() if isinstance(value, bool) else _word(value, key, where)
        if word is not None and word not in source.values:
            raise reject(where, key, f"is not among the values that {name} is mapped from")
        value = None if word is None else source.values[word]
    kind = EVENT_COLUMNS[name]
    if value is None or value in ("", "-"):
        return None
    if kind == "VARCHAR":
        word = _word(value, key, where)
        if word is not None and word not in WORDS.get(name, (word,)):
            raise reject(where, key, f"is unknown as {name} (valid: {', '.join(WORDS[name])})")
        return clean_path(word) if name == "endpoint" and word else word
    if kind == "DOUBLE[]":
        return _scores(value, key, where)
    if kind == "DOUBLE" or source.scale is not None:
        plain = number({key: value}, where, key)
        scaled = None if plain is None else plain * (source.scale or 1.0)
        if kind == "DOUBLE" or scaled is None:
            return number({key: scaled}, where, key)
        value = float(round(scaled)) if abs(scaled) < 1e18 else scaled
    return integer({key: value}, where, key)


def _scores(value: Any, key: str, where: Where) -> tuple[float, ...]:
    numbers: list[float] = []
    _collect(value, numbers, key, where)
    return tuple(numbers)


def _collect(value: Any, out: list[float], key: str, where: Where) -> None:
    """Numbers in the order in which they stand; lists of them, also as JSON text in a cell of a table."""
    stack = [value]
    while stack:
        value = stack.pop()
        if isinstance(value, str) and value.startswith("["):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                raise reject(where, key, "must be a number or a list of numbers") from None
        if isinstance(value, list):
            stack.extend(reversed(value))
            continue
        found = number({key: value}, where, key)
        if found is None:
            raise reject(where, key, "a number is missing")
        out.append(found)
        if len(out) > _MAX_NUMBERS:
            raise reject(where, key, f"has more than {_MAX_NUMBERS:,} numbers")
