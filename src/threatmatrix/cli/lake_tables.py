"""Ingests and the lake in the terminal."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from threatmatrix.cli.printing import counted, out, plain_json, safe, table, warn

if TYPE_CHECKING:
    from threatmatrix.telemetry.dead_letters import DeadLetterFile
    from threatmatrix.telemetry.lake import CompactReport, ExpireReport
    from threatmatrix.workflows.ingest import IngestReport
    from threatmatrix.workflows.lake import ErasureReport, LakeStatus

__all__ = ["show_compaction", "show_erasure", "show_expiry", "show_ingest", "show_lake"]

_REASONS = 3  # of dead letters, on one line


def show_ingest(report: IngestReport, letters: DeadLetterFile, *, as_json: bool) -> None:
    """What became of each file, and of all together."""
    if as_json:
        plain_json(
            asdict(report)
            | {
                "events": report.events,
                "known": report.known,
                "dead_letters": report.dead_letters,
                "dead_letter_reasons": dict(letters.reasons),
                "rate": report.rate,
                "unreadable": str(report.unreadable) if report.unreadable else None,
            }
        )
        return
    made = table("Ingest", "file", "!source", ">new events", ">known", ">no interest", ">unreadable")
    for file in report.files:
        numbers = (file.events, file.known, file.passed, file.dead_letters)
        known = "all of it" if file.is_known else f"{file.known:,}" if file.known else ""
        shown = [f"{number:,}" if number else "" for number in numbers]
        made.add_row(safe(file.file), file.source, shown[0], known, shown[2], shown[3])
    out().print(made)
    parts = [f"{counted(report.events, 'event')} into {counted(len(report.days), 'day')}"]
    parts += [f"{report.joined:,} records joined"] if report.joined else []
    parts += [f"{report.repeats:,} exact repeats dropped"] if report.repeats else []
    warn(", ".join(parts) + f"; {report.seconds:.1f} s, {report.rate:,.0f} events/s")
    if report.dead_letters:
        common = "; ".join(f"{reason} ({n:,})" for reason, n in letters.reasons.most_common(_REASONS))
        warn(f"{counted(report.dead_letters, 'malformed line')} went to {letters.path}: {common}")


def show_lake(found: LakeStatus, *, as_json: bool) -> None:
    """Day by day."""
    if as_json:
        plain_json(
            asdict(found) | {"events": found.events, "bytes": found.bytes, "damaged": list(found.damaged)},
        )
        return
    if not found.days:
        out().print(f"{safe(found.path)} holds no events yet; `threatmatrix ingest` or `threatmatrix watch` fills it.")
        return
    made = table(f"Lake {safe(found.path)}", "!day", ">events", ">MiB", ">parts", "sources")
    for day in found.days:
        sources = ", ".join(map(safe, day.sources))
        made.add_row(day.day, f"{day.events:,}", f"{day.bytes / 2**20:,.1f}", str(day.parts), sources)
    out().print(made)
    warn(f"{counted(found.events, 'event')}, {found.bytes / 2**20:,.1f} MiB")
    if found.to_compact:
        warn(f"{counted(len(found.to_compact), 'day')} with several new parts; next: `threatmatrix lake compact`")
    for name in found.damaged:
        warn(f"damaged: {name}; its events are missing from everything. Restore it or remove it")


def show_compaction(report: CompactReport, *, as_json: bool) -> None:
    """What a compaction did."""
    if as_json:
        plain_json(asdict(report))
        return
    out().print(
        f"{counted(report.days, 'day')} compacted: {report.parts_before:,} parts became {report.parts_after:,}, "
        f"{counted(report.events, 'event')}"
    )
    for number, what in (
        (report.joined, "records went into the event of another record of the same request"),
        (report.repeats, "exact repeats were dropped"),
        (report.clashes, "events share their id with another that differs; all are kept"),
        (report.forgotten_early, "records were too many to wait for their partners: compact more often"),
    ):
        if number:
            out().print(f"  {number:,} {what}")
    for path in report.damaged:
        warn(f"damaged and set aside: {path}")


def show_expiry(report: ExpireReport, *, as_json: bool) -> None:
    """What left the lake."""
    if as_json:
        plain_json(asdict(report))
        return
    removed = f"{counted(report.events, 'event')}, {report.bytes / 2**20:,.1f} MiB"
    out().print(f"{counted(len(report.days), 'day')} removed: {removed}" if report.days else "Nothing is that old.")


def show_erasure(report: ErasureReport, *, as_json: bool) -> None:
    """What was erased, and what still has the name."""
    if as_json:
        plain_json(asdict(report))
        return
    for number, what in (
        (report.lake.events, "events removed from the lake"),
        (report.lake.renamed, "events of others in the lake that named them"),
        (report.findings, "findings"),
        (report.incidents, "incidents"),
        (report.journal_events, "events in journals of watches"),
        (report.snapshots, "snapshots of watches"),
        (report.dead_letters, "places in dead letters"),
    ):
        out().print(f"{number:8,} {what}")
    out().print(f"Where the name had to be replaced, it is now {report.alias}.")
    for left in report.left:
        count = f" ({left.count:,})" if left.count else ""
        warn(f"stays: {left.where}{count}: {left.why}")
