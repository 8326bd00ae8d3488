"""Telemetry in, findings out: the rules and monitors of the library over anybody's logs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from threatmatrix.detect.engines.duckdb import RuleEngine
from threatmatrix.detect.engines.scanning.suppressed import SuppressedEvents
from threatmatrix.detect.monitors import build_monitor
from threatmatrix.detect.session import Session
from threatmatrix.detect.sigma.compile import RuleSet
from threatmatrix.detect.sigma.filters import Suppression
from threatmatrix.knowledge import Library
from threatmatrix.model.detection import Calibration, Finding, NoVisibility
from threatmatrix.model.errors import InputError, RuleError
from threatmatrix.model.event import Event
from threatmatrix.model.matrix import RuleSource
from threatmatrix.model.system import System
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.readers import AUTO, NOTHING_ASKED, Options
from threatmatrix.telemetry.reading import read_events
from threatmatrix.telemetry.systems import Resolver
from threatmatrix.workflows.rulesets import compile_library

__all__ = ["DetectReport", "build_session", "check_suppressions", "detect"]

_DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class DetectReport:
    """What came of a run: the findings, and just as plainly what could not be seen or read."""

    findings: tuple[Finding, ...]
    no_visibility: tuple[NoVisibility, ...]
    refused: tuple[RuleError, ...]
    events: int
    dead_letters: int
    names: Mapping[str, str] = field(default_factory=dict)  # identity → readable name, as systems.yaml has it
    unreadable: InputError | None = None  # a file that broke off: what stands before the break was judged
    suppressed: tuple[tuple[Suppression, int], ...] = ()  # each suppression that is in use, and the events it set aside


def build_session(
    library: Library,
    calibrations: Sequence[Calibration],
    *,
    lateness: int | None = None,
    rules: RuleSet | None = None,
) -> tuple[Session, tuple[RuleError, ...]]:
    """A detection session with every rule and monitor of the library, and the rules that were refused.

    ``lateness`` (µs): how late an event may come and still be counted (default: the longest timespan of a rule).
    ``rules``: the library's, compiled already, with suppressions besides its own.
    """
    rules = rules or _compiled(library)
    techniques = library.techniques.values()
    monitors = [build_monitor(spec, t.slug, calibrations) for t in techniques for spec in t.monitors]
    return Session(RuleEngine(rules, lateness=lateness), monitors), tuple(rules.refused)


_LAST: list[tuple[Library, RuleSet]] = []


def _compiled(library: Library) -> RuleSet:
    """The library's rules; compiled once for sessions that are made one after the other, as a replay makes them.

    It takes a second, a library never changes, and no session changes a rule set.
    """
    for known, rules in _LAST:
        if known is library:
            return rules
    rules = compile_library(library)
    _LAST[:] = [(library, rules)]
    return rules


def detect(
    files: Sequence[Path | Literal["-"]],
    *,
    library: Library,
    calibrations: Sequence[Calibration] = (),
    systems: Sequence[System] = (),
    source: str = "auto",
    dead_letters: DeadLetterFile | None = None,
    options: Options = NOTHING_ASKED,
    suppressions: Sequence[RuleSource] = (),
    on_progress: Callable[[int], None] | None = None,
) -> DetectReport:
    """Read logs (``-`` is standard input) and judge every event.

    Malformed lines go to ``dead_letters``; ``suppressions`` are Sigma filters besides those of the library. Raises
    InputError for a file that cannot be opened, UnknownNameError for an unknown source, RuleError for one of the
    ``suppressions`` that cannot be applied, all before anything is judged. A file that breaks off later (a truncated
    gzip) is named in the report: no finding is lost for it, and the run must not pass for complete. The same holds
    where not a single line could be read: nothing was judged, so nothing is clean.
    """
    # files are read one after the other and may cover the same hours
    rules = compile_library(library, suppressions=suppressions)
    check_suppressions(rules, suppressions)
    session, refused = build_session(library, calibrations, lateness=_DAY, rules=rules)
    resolver = Resolver(systems)
    batches = read_events(files, source=source, dead_letters=dead_letters, options=options)
    with SuppressedEvents(rules) as aside:
        latest, events, unreadable = _judge(batches, session, aside, resolver, on_progress)
    if not events and dead_letters and dead_letters.count and unreadable is None:
        unreadable = _nothing_read(files, source, dead_letters)
    return DetectReport(
        findings=tuple(sorted(latest.values(), key=lambda finding: (finding.first_time, finding.finding_id))),
        no_visibility=tuple(session.visibility()),
        refused=refused,
        events=events,
        dead_letters=dead_letters.count if dead_letters else 0,
        names=resolver.names,
        unreadable=unreadable,
        suppressed=tuple((one, aside.counts[one.key]) for one in rules.suppressions),
    )


def _judge(
    batches: Iterable[Sequence[Event]],
    session: Session,
    aside: SuppressedEvents,
    resolver: Resolver,
    on_progress: Callable[[int], None] | None,
) -> tuple[dict[str, Finding], int, InputError | None]:
    """The findings by id, how many events were judged, and what broke off."""
    latest: dict[str, Finding] = {}  # a finding that grows keeps its id: the last word counts
    events = 0
    try:
        for batch in batches:
            resolved = [resolver.resolve(event) for event in batch]
            latest |= {finding.finding_id: finding for finding in session.feed(resolved)}
            aside.feed(resolved)
            events += len(batch)
            if on_progress:
                on_progress(events)
        latest |= {finding.finding_id: finding for finding in session.finish()}
    except InputError as error:
        return latest, events, error
    return latest, events, None


def check_suppressions(rules: RuleSet, suppressions: Sequence[RuleSource]) -> None:
    """Raises RuleError for the first that was asked for by name and cannot be applied."""
    named = {source.file for source in suppressions}
    for error in rules.refused:
        if error.file in named:
            raise error


def _nothing_read(files: Sequence[Path | Literal["-"]], source: str, letters: DeadLetterFile) -> InputError:
    reason, _ = letters.reasons.most_common(1)[0]
    return InputError(
        ", ".join(map(str, files)),
        f"not one of {letters.count:,} lines could be read as an event; most often: {reason}",
        hint="Name what wrote it with --source" if source == AUTO else "Check --source, or leave it at auto",
    )
