"""CACAO variables (``__name__:value``) and the conditions of if-condition steps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from threatmatrix.model.errors import FormatError, UnknownNameError
from threatmatrix.model.response import Incident
from threatmatrix.respond.cacao import Playbook, Variable

__all__ = ["BUILT_IN", "KEY_VARIABLE", "Scope", "condition_parts", "names_in"]

KEY_VARIABLE = "__idempotency_key__"
"""Known only when an action is carried out; it may stand in an http-api command and its status line."""

BUILT_IN = ("__incident_id__", "__incident_title__", "__severity__", "__system__", "__model__", "__techniques__")
"""What every playbook may use without declaring it: facts of the incident."""

_REFERENCE = re.compile(r"(__[a-zA-Z_][a-zA-Z0-9_-]{0,199}?__):value")
_CONDITION = re.compile(
    r"\s*\[?\s*(?P<name>__[a-zA-Z_][a-zA-Z0-9_-]*__):value\s*(?P<operator>!=|>=|<=|=|>|<)\s*"
    r"(?:'(?P<text>[^']*)'|(?P<number>-?\d+(?:\.\d+)?))\s*\]?\s*"
)
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
}


def names_in(value: object) -> Iterator[str]:
    """Every variable that is referenced anywhere in a JSON-like value, keys included."""
    if isinstance(value, str):
        yield from _REFERENCE.findall(value)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from names_in(key)
            yield from names_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from names_in(item)


def condition_parts(text: str) -> tuple[str, str, str | float] | None:
    """(variable, operator, constant) of a condition; None where it is not one comparison."""
    match = _CONDITION.fullmatch(text)
    if match is None:
        return None
    constant = match["text"] if match["text"] is not None else float(match["number"])
    return match["name"], match["operator"], constant


class Scope:
    """The variables' values while a plan is rendered."""

    def __init__(self, playbook: Playbook, incident: Incident, given: Mapping[str, str]) -> None:
        self._file = playbook.file
        self._values = {name: variable.value or "" for name, variable in playbook.playbook_variables.items()}
        settable = [name for name, variable in playbook.playbook_variables.items() if not variable.constant]
        for name, value in given.items():
            if name not in settable:
                raise UnknownNameError("variable of this playbook", name, settable)
            self._values[name] = value
        self._values |= {
            "__incident_id__": incident.incident_id,
            "__incident_title__": incident.title,
            "__severity__": incident.severity.name,
            "__system__": incident.system or "",
            "__model__": incident.model or "",
            "__techniques__": ", ".join(step.technique for step in incident.chain),
        }

    def within(self, variables: Mapping[str, Variable]) -> Scope:
        """The same, with a step's own variables in front."""
        inner = object.__new__(Scope)
        inner._file = self._file
        inner._values = {**self._values, **{name: variable.value or "" for name, variable in variables.items()}}
        return inner

    def fill(self, text: str, quote: Callable[[str], str] = str) -> str:
        """``text`` with its variables replaced once (values are not read again), each through ``quote``."""

        def value(match: re.Match[str]) -> str:
            name = match[1]
            return match[0] if name == KEY_VARIABLE else quote(self._values[name])

        return _REFERENCE.sub(value, text)

    def fill_all(self, value: Any) -> Any:
        """Every text inside a JSON-like value filled."""
        if isinstance(value, str):
            return self.fill(value)
        if isinstance(value, dict):
            return {self.fill(key): self.fill_all(item) for key, item in value.items()}
        return [self.fill_all(item) for item in value] if isinstance(value, list | tuple) else value

    def number(self, value: str | float, key: str, low: float, high: float) -> float:
        """A number between two bounds. Raises FormatError naming the key and what stood there."""
        text = self.fill(value) if isinstance(value, str) else value
        try:
            result = float(text)
        except ValueError:
            raise FormatError(self._file, f"{text!r} is not a number", key=key) from None
        if not low <= result <= high:
            raise FormatError(self._file, f"{result:g} is not between {low:g} and {high:g}", key=key)
        return result

    def holds(self, condition: str) -> bool:
        """Whether an if-condition is true; numbers compare as numbers, an empty text is no number."""
        parts = condition_parts(condition)
        if parts is None:  # load_playbook has refused it already
            raise FormatError(self._file, f"{condition!r} is not one comparison", key="condition")
        name, operator, constant = parts
        value: str | float = self._values[name]
        if isinstance(constant, float) or operator not in {"=", "!="}:
            try:
                value, constant = float(value), float(constant)
            except ValueError:
                return operator == "!="
        return _COMPARE[operator](value, constant)
