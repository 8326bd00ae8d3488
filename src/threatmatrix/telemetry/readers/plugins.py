"""Readers from other packages: entry points of the group ``threatmatrix.readers`` (docs/sources/adding.md).

A plugin is code that its operator installed; it runs with our rights. It is imported only when its source is asked
for, or when a file is to be recognised that none of our own readers knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast, get_args

from threatmatrix.model.errors import UsageError
from threatmatrix.model.event import CATEGORIES, EVENT_COLUMNS
from threatmatrix.telemetry.readers.base import Form, Reader

__all__ = ["GROUP", "check_reader", "load_plugin", "plugin_names"]

GROUP = "threatmatrix.readers"

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
_ALWAYS = frozenset({"event_id", "time", "source", "category"})
_METHODS = ("recognises", "parse", "with_options")
_FORMS = tuple(form for form in get_args(Form) if form != "table")


def plugin_names() -> list[str]:
    """The names of the readers that other packages bring, sorted; nothing is imported."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def load_plugin(name: str) -> Reader:
    """Import a plugin and check that it is a reader. Raises UsageError that names plugin, package and problem."""
    points = [point for point in entry_points(group=GROUP) if point.name == name]
    if len({point.value for point in points}) > 1:
        packages = ", ".join(sorted(map(_package, points)))
        raise UsageError(f"several packages bring a reader {name!r}: {packages}", hint="Uninstall all but one of them")
    if not points:
        raise UsageError(f"no package brings a reader {name!r}", hint=f"It needs an entry point of the group {GROUP}")
    point = points[0]
    try:
        reader = point.load()()
        problem = check_reader(reader, name)
    except Exception as error:  # noqa: BLE001 - whatever somebody else's code raises is told with its name
        problem = f"{type(error).__name__}: {error}"
    if problem:
        raise UsageError(
            f"the reader {name!r} of the package {_package(point)} cannot be used: {problem}",
            hint="Mend or uninstall that package; docs/sources/adding.md says what a reader needs",
        )
    return cast(Reader, reader)


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value


def check_reader(reader: Any, name: str) -> str:
    """What is wrong with a reader, or "" where nothing is: the parts of ``Reader`` that can be told without a log."""
    parts = {
        f"its name must be like {_NAME.pattern}": _NAME.fullmatch(name) is not None,
        f"its attribute name must be {name!r}, as the entry point says": getattr(reader, "name", None) == name,
        "it lacks a description": bool(getattr(reader, "description", "")),
        f"its form must be one of {', '.join(_FORMS)}": getattr(reader, "form", None) in _FORMS,
        **{f"it lacks the method {part}()": callable(getattr(reader, part, None)) for part in _METHODS},
        "gives must be a dict of category and fields": isinstance(getattr(reader, "gives", None), dict),
    }
    wrong = next((problem for problem, fine in parts.items() if not fine), "")
    return wrong or next((problem for item in reader.gives.items() if (problem := _check_gives(*item))), "")


def _check_gives(category: str, fields: Mapping[str, str]) -> str:
    if category not in CATEGORIES:
        return f"gives names a category that does not exist (valid: {', '.join(CATEGORIES)})"
    unknown = sorted(set(fields) - set(EVENT_COLUMNS))
    if unknown:
        return f"gives names fields that do not exist: {', '.join(unknown)}"
    return "" if set(fields) >= _ALWAYS else f"gives must name {', '.join(sorted(_ALWAYS))} for {category}"
