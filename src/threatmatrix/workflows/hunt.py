"""The lake searched back in time: the same rules, over the events at rest."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import duckdb
from sqlglot import exp

from threatmatrix.detect.hunting.chosen import chosen
from threatmatrix.detect.hunting.hunt import Hunt
from threatmatrix.detect.hunting.only import Only
from threatmatrix.detect.sigma.compile import RuleSet
from threatmatrix.detect.sigma.filters import Suppression
from threatmatrix.knowledge import Library
from threatmatrix.knowledge.editions.from_library import edition_of
from threatmatrix.knowledge.lookup import technique as technique_named
from threatmatrix.model.detection import Finding, NoVisibility
from threatmatrix.model.errors import InputError, RuleError, UnknownNameError, UsageError
from threatmatrix.model.matrix import RuleSource
from threatmatrix.model.system import System
from threatmatrix.telemetry.lake.staging import Staging, failures, sweep_dead
from threatmatrix.telemetry.systems import Resolver
from threatmatrix.workflows.detect import check_suppressions
from threatmatrix.workflows.home import Home
from threatmatrix.workflows.hunt_times import span
from threatmatrix.workflows.hunted_days import SOURCE, HuntedDays, Portion
from threatmatrix.workflows.rule_files import RuleFiles, read_rule_files
from threatmatrix.workflows.rulesets import compile_sources

__all__ = ["HuntReport", "Wanted", "hunt"]

_MEMORY_MB = 256
_THREADS = 4
_CHOICES = 1_000  # names that a miss is compared with


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to look for, where and when; what is empty asks for nothing.

    ``principals`` are identities as events have them, or readable names of systems.yaml; ``techniques`` are slugs,
    names, or ids of ATLAS or ATT&CK; ``rules`` are ids, names or titles; ``rule_paths`` are files and folders of rules
    that are hunted besides the library's.
    """

    since: str = ""
    until: str = ""
    systems: Sequence[str] = ()
    principals: Sequence[str] = ()
    models: Sequence[str] = ()
    techniques: Sequence[str] = ()
    rules: Sequence[str] = ()
    rule_paths: Sequence[Path] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HuntReport:
    """What a hunt found, and just as plainly what it could not see, read or run."""

    findings: tuple[Finding, ...]
    no_visibility: tuple[NoVisibility, ...]
    refused: tuple[RuleError, ...]
    unread: tuple[InputError, ...]  # rule files
    damaged: tuple[str, ...]  # files of the lake whose events are missing
    left_out: Mapping[str, int]  # title → findings beyond the most that one rule gives
    days: tuple[str, ...]  # YYYY-MM-DD, that had events to look at
    events: int  # that were looked at
    rules: int  # that were run, correlations included
    seconds: float
    suppressed: tuple[tuple[Suppression, int], ...] = ()  # each suppression that is in use, and the events it set aside
    names: Mapping[str, str] = field(default_factory=dict)  # identity → readable name, as systems.yaml has it


def hunt(
    home: Home,
    library: Library,
    wanted: Wanted,
    *,
    systems: Sequence[System] = (),
    suppressions: Sequence[RuleSource] = (),
    now: int,
    on_progress: Callable[[str, int], None] | None = None,
) -> HuntReport:
    """Run the library's rules, or those that are wanted, over the lake.

    ``on_progress(stage, done)``: the day that is worked at and the events read of it, or the correlations done. ``now``
    (µs) is what relative times count from; ``suppressions`` are Sigma filters besides the library's. Raises UsageError
    for a time, RuleError for a suppression, UnknownNameError for a technique, rule, system, principal or model that
    neither systems.yaml nor the hunted days know, InputError where the lake fails.
    """
    began = time.monotonic()
    low, high = span(wanted.since, wanted.until, now)
    extra = read_rule_files(wanted.rule_paths)
    compiled, ruleset = _rules(library, wanted, extra, suppressions)
    names = Resolver(systems).names
    only = _only(wanted, names)
    with _connected(home.lake) as connection:
        days = HuntedDays(home.lake, connection, low, high)
        _check_names(days, only, systems, names)
        run = Hunt(ruleset, connection, only=only)
        findings, seen_days = _scan(days, run, on_progress)
        with failures(home.lake):
            findings += run.finish(partial(on_progress, "correlations") if on_progress else None)
    return HuntReport(
        findings=tuple(sorted(findings, key=lambda one: (one.first_time, one.finding_id))),
        no_visibility=tuple(run.visibility()),
        refused=tuple(compiled.refused),
        unread=extra.unread,
        damaged=tuple(sorted(days.damaged)),
        left_out=run.left_out,
        days=tuple(seen_days),
        events=run.events,
        rules=len(ruleset.rules) + len(ruleset.correlations),
        seconds=time.monotonic() - began,
        suppressed=tuple((one, run.set_aside[one.key]) for one in ruleset.suppressions),
        names=names,
    )


def _rules(
    library: Library, wanted: Wanted, extra: RuleFiles, suppressions: Sequence[RuleSource]
) -> tuple[RuleSet, RuleSet]:
    """Every rule there is, and those that are wanted."""
    known = {source.file for source in library.rules()}
    sources = [*library.rules(), *(source for source in extra.sources if source.file not in known)]
    compiled = compile_sources(sources, library, suppressions=(*library.suppressions, *extra.filters, *suppressions))
    check_suppressions(compiled, suppressions)
    ruleset = chosen(compiled, techniques=_slugs(library, wanted.techniques), names=wanted.rules)
    if not ruleset.rules:
        asked = ", ".join(wanted.techniques) or "anything"
        raise UsageError(f"no rule looks for {asked}", hint="`threatmatrix rules list` shows the rules that run")
    return compiled, ruleset


def _scan(
    days: HuntedDays, run: Hunt, on_progress: Callable[[str, int], None] | None
) -> tuple[list[Finding], list[str]]:
    findings: list[Finding] = []
    seen: list[str] = []
    every = days.names()
    for number, day in enumerate(every, 1):
        stage = f"{day}, day {number:,} of {len(every):,}"
        if on_progress:
            on_progress(stage, 0)
        before = run.events
        for portion in days.portions(day):
            findings += days.read(portion, partial(run.scan, SOURCE, repeats=portion.loose))
            if on_progress:
                on_progress(stage, run.events - before)
        if run.events > before:
            seen.append(day)
    return findings, seen


@contextmanager
def _connected(lake: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that spills into the lake's folder; nothing of it stays."""
    if not lake.is_dir():
        hint = "Read logs into it with `threatmatrix ingest`"
        raise InputError(lake, "there is no lake, so nothing can be hunted", hint=hint)
    with failures(lake):
        sweep_dead(lake)
        staging = Staging(lake)
    with staging:
        spill = staging.path(".spill")
        limits: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{_MEMORY_MB}MB",
            "threads": str(min(_THREADS, os.cpu_count() or 1)),
            "temp_directory": str(spill),
        }
        with failures(lake):
            spill.mkdir(mode=0o700)
            connection = duckdb.connect(config=limits)
        with closing(connection):
            connection.execute("SET preserve_insertion_order = false")
            yield connection


def _slugs(library: Library, asked: Sequence[str]) -> frozenset[str]:
    """The techniques that are named, and their sub-techniques."""
    if not asked:
        return frozenset()
    edition = edition_of(library)
    found = {one.id for text in asked for one in technique_named(edition, text)}
    return frozenset(found.union(child.slug for slug in found for child in library.children(slug)))


def _only(wanted: Wanted, names: Mapping[str, str]) -> Only:
    identities = {identity for identity, name in names.items() if name in wanted.principals}
    readable = set(names.values()) - identities
    literal = {name for name in wanted.principals if name not in readable}
    return Only(frozenset(wanted.systems), frozenset(identities | literal), frozenset(wanted.models))


def _check_names(days: HuntedDays, only: Only, systems: Sequence[System], names: Mapping[str, str]) -> None:
    """Raises UnknownNameError for a name that neither systems.yaml nor an event of these days has."""
    declared = {
        "system": {system.name for system in systems},
        "principal": {*names, *names.values()},
        "model": {model.name for system in systems for model in system.models},
    }
    for kind, values in only.asked:
        missing = set(values) - declared[kind]
        for portion in _newest_first(days) if missing else ():
            missing -= set(days.read(portion, partial(_values, days.connection, kind, sorted(missing))))
            if not missing:
                break
        if missing:
            choices = declared[kind]
            for portion in _newest_first(days):
                choices.update(days.read(portion, partial(_values, days.connection, kind)))
            raise UnknownNameError(kind, min(missing), sorted(choices))


def _newest_first(days: HuntedDays) -> Iterator[Portion]:
    return (portion for day in reversed(days.names()) for portion in days.portions(day))


def _values(connection: duckdb.DuckDBPyConnection, kind: str, among: Sequence[str] = ()) -> list[str]:
    """The values of a field in SOURCE: those ``among`` some, or else the most frequent ones."""
    column = exp.column(kind, quoted=True)
    names: list[exp.Expression] = [exp.Literal.string(name) for name in among]
    wanted = (
        exp.In(this=column, expressions=names) if names else exp.Not(this=exp.Is(this=column, expression=exp.Null()))
    )
    found = exp.select(column).from_(SOURCE).where(wanted).group_by(column)
    if not names:
        found = found.order_by(exp.Count(this=exp.Star()).desc()).limit(_CHOICES)
    return [name for (name,) in connection.execute(found.sql("duckdb")).fetchall()]
