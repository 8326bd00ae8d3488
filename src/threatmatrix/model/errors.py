"""Every error that threatmatrix raises on purpose, drawn as one tree.

::

    ThreatmatrixError                 something went wrong; str(error) is one line for a person
    ├── UsageError                    the caller can mend it (exit code 2)
    │   ├── InputError                a file is missing, unreadable, binary, truncated or empty
    │   ├── FormatError               a file's content is not what its schema asks for
    │   │   └── RuleError             a Sigma rule cannot be compiled; names the construct
    │   ├── UnknownNameError          no such technique, case, incident, source, model …
    │   ├── MissingExtraError         an optional part is not installed; names the extra
    │   └── ScopeError                an emulation outside its signed-off scope, or without one
    └── RunError                      it broke while running (exit code 3)
        ├── BudgetExhausted           an emulation used up its queries or its time
        ├── KillSwitchThrown          the kill-switch file appeared during an emulation
        ├── TargetError               the target failed (5xx, connection lost): an emulation stops
        ├── TargetRefused             the target answered 401, 403 or 429: the defender said no
        └── StoreError                the database cannot be opened, migrated or written
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "BudgetExhausted",
    "FormatError",
    "InputError",
    "KillSwitchThrown",
    "MissingExtraError",
    "RuleError",
    "RunError",
    "ScopeError",
    "StoreError",
    "TargetError",
    "TargetRefused",
    "ThreatmatrixError",
    "UnknownNameError",
    "UsageError",
]


class ThreatmatrixError(Exception):
    """Base of the tree.

    ``hint`` says what to do next; ``str(error)`` is ``message`` followed by the hint, in one line.
    """

    exit_code = 3

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message


class UsageError(ThreatmatrixError):
    """The caller can mend it."""

    exit_code = 2


class InputError(UsageError):
    """A file is missing, unreadable, binary, truncated or empty. ``file`` names it."""

    def __init__(self, file: object, problem: str, *, hint: str = "") -> None:
        super().__init__(f"{file}: {problem}", hint=hint)
        self.file = str(file)


class FormatError(UsageError):
    """A file's content is not what its schema asks for.

    Attributes: ``file``, ``key`` (dotted path, empty for the whole file), ``line`` (1-based or None),
    ``choices`` (the valid ones, where there is a list).
    """

    def __init__(
        self,
        file: object,
        problem: str,
        *,
        key: str = "",
        line: int | None = None,
        choices: Iterable[str] = (),
        hint: str = "",
    ) -> None:
        self.file = str(file)
        self.key = key
        self.line = line
        self.choices = tuple(choices)
        where = self.file if line is None else f"{self.file}:{line}"
        text = f"{where}: {key}: {problem}" if key else f"{where}: {problem}"
        if self.choices:
            text += f" (valid: {', '.join(self.choices)})"
        super().__init__(text, hint=hint)


class RuleError(FormatError):
    """A Sigma rule cannot be compiled; the message names the construct that is refused."""


_LISTED = 40  # names in a hint; a rule set has hundreds


class UnknownNameError(UsageError):
    """No such thing of this kind; suggests the nearest names."""

    def __init__(self, kind: str, name: str, choices: Iterable[str]) -> None:
        self.kind = kind
        self.name = name
        self.choices = tuple(choices)
        folded = {choice.lower(): choice for choice in self.choices}
        near = [folded[found] for found in get_close_matches(name.lower(), folded, n=3)]
        near = near or [choice for choice in self.choices if name and name.lower() in choice.lower()][:3]
        if near:
            hint = f"Did you mean {' or '.join(near)}?"
        elif self.choices:
            more = len(self.choices) - _LISTED
            hint = f"Valid: {', '.join(self.choices[:_LISTED])}" + (f" and {more:,} more" if more > 0 else "")
        else:
            hint = f"There is no {kind} yet"
        super().__init__(f"no {kind} is called {name!r}", hint=hint)


class MissingExtraError(UsageError):
    """An optional part is not installed; names the extra to install."""

    def __init__(self, what: str, extra: str) -> None:
        self.extra = extra
        super().__init__(
            f"{what} needs the optional part [{extra}]",
            hint=f"Install it with: pip install 'threatmatrix[{extra}]'",
        )


class ScopeError(UsageError):
    """An emulation outside its signed-off scope, or without one."""


class RunError(ThreatmatrixError):
    """It broke while running."""


class BudgetExhausted(RunError):
    """An emulation used up its queries or its time."""


class KillSwitchThrown(RunError):
    """The kill-switch file appeared during an emulation."""


class TargetError(RunError):
    """The target failed (5xx, connection lost, an answer that is no answer): an emulation stops."""


class TargetRefused(RunError):
    """The target answered 401, 403 or 429: the defender said no. ``status`` holds the code."""

    def __init__(self, status: int, reason: str = "") -> None:
        self.status = status
        self.reason = reason
        super().__init__(f"the target refused with HTTP {status}{': ' + reason if reason else ''}")


class StoreError(RunError):
    """The database cannot be opened, migrated or written."""
