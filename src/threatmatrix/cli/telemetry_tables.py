"""Sources, fields and a log on trial, in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from threatmatrix.cli.printing import counted, out, plain_json, safe, table
from threatmatrix.model.event import EVENT_COLUMNS
from threatmatrix.telemetry.readers import SOURCES
from threatmatrix.telemetry.readers.base import fields_of

if TYPE_CHECKING:
    from threatmatrix.telemetry.readers import Reader
    from threatmatrix.workflows.telemetry import TryReport

__all__ = ["show_fields", "show_source_fields", "show_sources", "show_try"]

_SUCH_AS = 2  # titles of detectors in a cell


def show_sources(readers: Sequence[Reader], *, as_json: bool) -> None:
    """One row for each reader, in the order in which a file is tried against them."""
    if as_json:
        plain_json(
            [
                {
                    "source": reader.name,
                    "description": reader.description,
                    "form": reader.form,
                    "gives": {category: sorted(names) for category, names in reader.gives.items()},
                }
                for reader in readers
            ]
        )
        return
    made = table("Sources", "!source", "what writes it", "categories", ">fields")
    for reader in readers:
        made.add_row(reader.name, safe(reader.description), ", ".join(reader.gives), str(len(fields_of(reader))))
    out().print(made)
    out().print("\n`threatmatrix telemetry fields SOURCE` shows what each field comes from.", style="dim")


def show_fields(*, as_json: bool) -> None:
    """Each field of an event with its type and the sources that can fill it."""
    filled = {name: [reader.name for reader in SOURCES.values() if name in fields_of(reader)] for name in EVENT_COLUMNS}
    if as_json:
        plain_json([{"field": n, "type": kind, "sources": filled[n]} for n, kind in EVENT_COLUMNS.items()])
        return
    made = table("The fields of an event", "!field", "!type", "sources that can fill it")
    for name, kind in EVENT_COLUMNS.items():
        given = filled[name]
        made.add_row(name, kind, "all" if len(given) == len(SOURCES) else ", ".join(given))
    out().print(made)


def show_source_fields(reader: Reader, *, as_json: bool) -> None:
    """What one source fills each field from, by category where the categories differ."""
    if as_json:
        plain_json({"source": reader.name, "gives": {key: dict(value) for key, value in reader.gives.items()}})
        return
    for names, origins in _alike(reader):
        made = table(f"{reader.name}: {', '.join(names)}", "!field", "filled from")
        for name in EVENT_COLUMNS:
            if name in origins:
                made.add_row(name, safe(origins[name]))
        out().print(made)
        out().print()
    absent = [name for name in EVENT_COLUMNS if name not in fields_of(reader)]
    if absent:
        out().print(f"never filled: {', '.join(absent)}", style="dim")


def _alike(reader: Reader) -> list[tuple[list[str], dict[str, str]]]:
    """Categories whose fields come from the same places stand together."""
    groups: list[tuple[list[str], dict[str, str]]] = []
    for category, origins in reader.gives.items():
        for names, known in groups:
            if known == dict(origins):
                names.append(category)
                break
        else:
            groups.append(([category], dict(origins)))
    return groups


def show_try(report: TryReport, *, as_json: bool) -> None:
    """What was recognised, what became of it, what can be seen with it."""
    if as_json:
        plain_json(
            asdict(report)
            | {
                "visible": [item._asdict() for item in report.visible],
                "blind": [item._asdict() for item in report.blind],
                "unreadable": str(report.unreadable) if report.unreadable else None,
            }
        )
        return
    most = "" if report.whole else " (reading stopped there)"
    out().print(f"[bold]{safe(report.file)}[/] is [bold]{report.source}[/]: {safe(report.description)}")
    out().print(f"{counted(report.events, 'event')}{most}, {counted(report.dead_letters, 'line')} could not be read")
    for reason, count in list(report.reasons.items())[:5]:
        out().print(f"  {count:,} × {safe(reason)}")
    for category, count in report.categories.items():
        out().print(f"  {count:,} of category {category}")
    named = ", ".join(f"{safe(name) or 'none'} {count:,}" for name, count in report.systems.items())
    if named:
        out().print(f"  systems: {named}")
    _show_fields_seen(report)
    _show_detectors(report)


def _show_fields_seen(report: TryReport) -> None:
    for category in report.categories:
        made = table(f"\n{category}", "!field", ">filled", "comes from", "first value")
        for field in report.fields:
            if field.category == category:
                share = f"{field.filled / field.events:.0%}" if field.filled else "[red]never[/]"
                made.add_row(field.name, share, safe(field.origin), safe(field.example))
        out().print(made)


def _show_detectors(report: TryReport) -> None:
    if report.visible:
        made = table("\nRules and monitors that see with this log alone", "rule or monitor", "technique")
        for item in report.visible:
            made.add_row(safe(item.title), safe(item.technique))
        out().print(made)
    if report.blind:
        by_need: dict[tuple[str, ...], list[str]] = {}
        for item in report.blind:
            by_need.setdefault(item.missing, []).append(item.title)
        made = table("\nWhat the others need besides", "needs", ">detectors", "such as")
        for missing, titles in sorted(by_need.items(), key=lambda each: (-len(each[1]), each[0])):
            made.add_row(safe(", ".join(missing)), str(len(titles)), safe("; ".join(titles[:_SUCH_AS])))
        out().print(made)
