"""How everything is printed: tables for people, JSON for programs; data on standard output, the rest on the other."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from threatmatrix.model.detection import PrincipalShare, Severity
from threatmatrix.model.errors import InputError
from threatmatrix.model.evidence import Rate

__all__ = [
    "and_more",
    "called",
    "counted",
    "emit",
    "one_line",
    "out",
    "plain_json",
    "rate",
    "safe",
    "severity",
    "short",
    "shown_first",
    "table",
    "warn",
    "when",
    "who",
    "write",
]  # fmt: skip

shown_first = 12
"""Rows of a long list on a terminal; JSON has them all."""

_COLOURS = {
    Severity.informational: "dim",
    Severity.low: "cyan",
    Severity.medium: "yellow",
    Severity.high: "red",
    Severity.critical: "bold red",
}


class _Console(Console):
    """A console whose reader may leave early (`| head`): the rest goes nowhere, the exit code stands."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        _reader_left()


def _reader_left() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def out() -> Console:
    """The console for data; as wide as the terminal or COLUMNS, 120 in a pipe, so that piped tables stay whole."""
    known = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal()
    return _Console(file=sys.stdout, width=None if known else 120, highlight=False)


def write(text: str) -> None:
    """Text on standard output as a file would hold it: in UTF-8, so that what is redirected is whole."""
    try:
        if _is_utf8() or not isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.write(text)
        else:
            sys.stdout.flush()
            sys.stdout.buffer.write(text.encode("utf-8"))
        sys.stdout.flush()
    except BrokenPipeError:
        _reader_left()


def warn(text: str) -> None:
    """One line on standard error."""
    try:
        sys.stderr.write(one_line(text) + "\n")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def one_line(text: str) -> str:
    r"""Text with what steers a terminal made visible: an escape becomes ``\x1b``, a newline ``\n``.

    Principals, models and user agents are whatever an attacker sent: none of it may move the cursor, hide
    a row or start a second line.
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def safe(text: str) -> str:
    """Text from a log for a table: neither markup nor control characters take effect."""
    return escape(one_line(text))


def emit(text: str, output: Path | None) -> None:
    """Write to a file or, for None, to standard output."""
    if output is None:
        write(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(output, f"cannot be written ({error.strerror})", hint="Name another --output") from error
    warn(f"wrote {output}")


def table(title: str, *columns: str) -> Table:
    """A table in the house's one style; ``>`` before a column aligns it right, ``!`` keeps it on one line."""
    made = Table(
        title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim"
    )
    for column in columns:
        if column.startswith("!"):
            made.add_column(column[1:], no_wrap=True)
        elif column.startswith(">"):
            made.add_column(column[1:], justify="right", no_wrap=True)
        else:
            made.add_column(column, overflow="fold")
    return made


def plain_json(value: Any, *, indent: int | None = 2) -> None:
    """A value of dataclasses, mappings and sequences as JSON on standard output."""
    write(json.dumps(value, indent=indent, ensure_ascii=not _is_utf8(), default=_plain) + "\n")


def _is_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def counted(n: int, noun: str, plural: str = "") -> str:
    """``1 finding``, ``2,000 findings``; ``plural`` where an s does not make it."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {plural or noun + 's'}"


def when(time_us: int) -> str:
    """Microseconds as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def called(principal: str, names: Mapping[str, str]) -> str:
    """A principal as systems.yaml names it, with the identity that the gateway enforces beside the name."""
    name = names.get(principal)
    return safe(principal) if name is None or name == principal else f"{safe(name)} ({safe(principal)})"


def who(principals: Sequence[PrincipalShare], names: Mapping[str, str], most: int = 3) -> str:
    """The first few principals with their shares."""
    named = ", ".join(f"{called(p.principal, names)} {p.share:.0%}" for p in principals[:most])
    return named + (f" +{len(principals) - most}" if len(principals) > most else "")


def severity(level: Severity) -> str:
    """A severity in its colour."""
    return f"[{_COLOURS[level]}]{level.name}[/]"


def and_more(count: int) -> None:
    """Says what a shortened list left out."""
    if count > shown_first:
        out().print(f"… and {count - shown_first} more; --format json shows all", style="dim")


def rate(value: Rate | None) -> str:
    """A share with its interval: ``.75 [.63–.84]``."""
    if value is None:
        return "–"
    return f"{short(value.value)} [{short(value.low)}–{short(value.high)}]"


def short(share: float) -> str:
    """.75 for 0.75: a column of proportions needs no leading zeros."""
    text = f"{share:.2f}"
    return text.removeprefix("0") if text != "0.00" else "0"
