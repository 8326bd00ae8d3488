"""What a correlation counts: an event that its rules matched, or the firing event of a correlation below it.

An occurrence is read once, when it arrives: its group, and the values that are counted. The event is not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from math import isfinite
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from threatmatrix.detect.engines.counting.evidence import Row
from threatmatrix.detect.sigma.rules import VALUED, Correlation
from threatmatrix.model.event import EVENT_COLUMNS

__all__ = ["Key", "Occurrence", "Part", "Reader", "columns_of"]

Key = tuple[Any, ...]
Get = Callable[[Any], Any]

_AS_IT_IS = frozenset({"VARCHAR", "BIGINT"})
_LONG = 200  # characters of a text that are kept as they are; of a longer one a digest is kept


class Occurrence(NamedTuple):
    """Ordered as its row is; ``serial`` (in order of arrival) tells equal ones apart."""

    row: Row
    serial: int
    slots: int  # bit i: rule i of the correlation matched
    values: tuple[Any, ...]  # of ``field``; empty where there is none, or where nothing asks


class Part(NamedTuple):
    """What one event, or one firing below, adds to one group."""

    key: Key
    slots: int
    values: tuple[Any, ...]

    def with_(self, other: Part) -> Part:
        """Both, of one event in one group."""
        values = self.values + tuple(value for value in other.values if value not in self.values)
        return self._replace(slots=self.slots | other.slots, values=values)


@dataclass(frozen=True, slots=True)
class _View:
    """How the events of some of the rules are read: ``aliases`` can give each rule its own fields."""

    slots: int
    key: Get
    values: Get | None  # None: nothing is asked

    def part(self, source: Any, key: Key, slots: int) -> Part:
        return Part(key, slots, self.values(source) if self.values else ())


class Reader:
    """Reads events, and firings of the correlations in ``below`` (slot → their ``group_by``): all that these tell."""

    def __init__(self, rule: Correlation, below: Mapping[int, Sequence[str]]) -> None:
        direct: dict[tuple[tuple[str, ...], tuple[str, ...]], int] = {}
        self._below: dict[int, _View] = {}
        for slot, key in enumerate(rule.rules):
            columns = columns_of(rule, key)
            if slot in below:
                self._below[slot] = _view(rule, 1 << slot, partial(_told_of, below[slot]), columns)
            else:
                direct[columns] = direct.get(columns, 0) | 1 << slot
        self._direct = [_direct_view(rule, slots, columns) for columns, slots in direct.items()]
        self._only = self._direct[0] if len(self._direct) == 1 else None

    def event(self, event: Any, slots: int) -> list[Part]:
        """What an event adds that the rules in ``slots`` matched: one part for each group, mostly one."""
        only = self._only
        if only is not None:
            found = slots & only.slots
            if not found or None in (key := only.key(event)):
                return []
            return [Part(key, found, only.values(event) if only.values else ())]
        parts = []
        for view in self._direct:
            found = slots & view.slots
            if found:
                key = view.key(event)
                if None not in key:
                    parts.append(view.part(event, key, found))
        return parts if len(parts) < 2 else _joined(parts)

    def firing(self, group: Key, slot: int) -> Part | None:
        """What a firing of the correlation in ``slot`` adds, in that ``group`` of its own."""
        view = self._below[slot]
        key = view.key(group)
        return None if None in key else view.part(group, key, view.slots)


def _joined(parts: Sequence[Part]) -> list[Part]:
    """One part for each group, with every different value once."""
    found: dict[Key, Part] = {}
    for part in parts:
        known = found.get(part.key)
        found[part.key] = part if known is None else known.with_(part)
    return list(found.values())


def columns_of(rule: Correlation, key: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields that an event of rule ``key`` is grouped by, and those that are counted of it.

    Where the rule is a correlation, they are names of its ``group_by``.
    """
    values = rule.field if rule.kind in VALUED else ()
    return (
        tuple(rule.column(name, key) for name in rule.group_by),
        tuple(rule.column(name, key) for name in values),
    )


def _view(
    rule: Correlation, slots: int, getter: Callable[[str], Get], columns: tuple[tuple[str, ...], tuple[str, ...]]
) -> _View:
    group, values = ([getter(name) for name in names] for names in columns)
    return _View(slots, _tuple_of(group), _values(rule, values))


def _direct_view(rule: Correlation, slots: int, columns: tuple[tuple[str, ...], tuple[str, ...]]) -> _View:
    view = _view(rule, slots, _getter, columns)
    names = columns[0]
    if len(names) > 1 and all(EVENT_COLUMNS.get(name) in _AS_IT_IS for name in names):
        return replace(view, key=attrgetter(*names))  # the same tuple, made in one call
    return view


def _told_of(group_by: Sequence[str], name: str) -> Get:
    return itemgetter(list(group_by).index(name)) if name in group_by else _nothing


def _nothing(_source: Any) -> None:
    return None


def _tuple_of(getters: Sequence[Get]) -> Get:
    if not getters:
        return lambda _source: ()
    if len(getters) == 1:
        get = getters[0]
        return lambda source: (get(source),)
    return lambda source: tuple([get(source) for get in getters])


def _values(rule: Correlation, getters: Sequence[Get]) -> Get | None:
    if not getters:
        return None
    if rule.kind == "value_count":
        if len(getters) == 1:
            return _single(getters[0])
        combined = _tuple_of(getters)
        return lambda source: () if None in (found := combined(source)) else (tuple(map(_short, found)),)
    get = getters[0]
    return lambda source: (found,) if _is_number(found := get(source)) else ()


def _single(get: Get) -> Get:
    def values(source: Any) -> tuple[Any, ...]:
        found = get(source)
        return () if found is None else ((_short(found),),)

    return values


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and isfinite(value)


def _short(value: Any) -> Any:
    """Only equality is asked of a value that is counted: a long one need not be kept."""
    if isinstance(value, str) and len(value) > _LONG:
        digest = blake2b(value.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        return f"{value[:_LONG]} {len(value)} {digest}"
    return value


def _getter(name: str) -> Get:
    kind = EVENT_COLUMNS.get(name)
    if kind is None:
        return _nothing  # no event has it
    get = attrgetter(name)
    if kind == "BLOB":  # a key is JSON: in ids, in findings, in snapshots
        return lambda event: None if get(event) is None else get(event).hex()
    if kind == "DOUBLE":  # not a number is no value, as in SQL
        return lambda event: None if (found := get(event)) is None or found != found else found  # noqa: PLR0124
    return get
