"""Which techniques apply to a system, which of them today's telemetry shows, and what to switch on next."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from threatmatrix import __version__
from threatmatrix.detect.session import Session
from threatmatrix.detect.visibility import Sighting, sight
from threatmatrix.knowledge import Library
from threatmatrix.knowledge.export import navigator_assessment
from threatmatrix.knowledge.page.assessment import assessment_page
from threatmatrix.model.assessment import SIGHTS, Assessment, Gain, Lack, Sight, SightStatus, SourceState
from threatmatrix.model.detection import Calibration
from threatmatrix.model.errors import UnknownNameError, UsageError
from threatmatrix.model.matrix import Technique
from threatmatrix.model.system import System
from threatmatrix.telemetry.lake import Lake
from threatmatrix.telemetry.readers import SOURCES
from threatmatrix.telemetry.seen import Seen, seen_in
from threatmatrix.workflows.assess_fields import (
    Fields,
    all_of,
    arrived,
    given,
    layers,
    not_theirs,
    to_switch_on,
    with_source,
)
from threatmatrix.workflows.detect import build_session

__all__ = ["assess", "render"]

_MOST_GAINS = 5
_UNSAID = {"input_raw", "input_fp_prev", "input_vec_prev", "vec_key_prev"}  # there only when asked for, or for a while


def assess(
    systems: Sequence[System],
    *,
    library: Library,
    name: str = "",
    lake: Lake | None = None,
    since: int = 0,
    calibrations: Sequence[Calibration] = (),
) -> tuple[Assessment, ...]:
    """Every system, or the one called ``name``.

    Where the ``lake`` holds events of a system since ``since`` (µs), these say what arrives; otherwise what the
    readers of its declared sources can give. Raises UnknownNameError, and UsageError where there is no system.
    """
    if not systems:
        raise UsageError("no system is described", hint="`threatmatrix init` writes a commented systems.yaml")
    chosen = [system for system in systems if name in ("", system.name)]
    if not chosen:
        raise UnknownNameError("system", name, [system.name for system in systems])
    session, _ = build_session(library, calibrations)
    return tuple(_System(system, library, session, _seen(lake, system, since)).assess() for system in chosen)


def _seen(lake: Lake | None, system: System, since: int) -> Seen | None:
    if lake is None:
        return None
    with closing(lake.connect()) as con:
        return seen_in(con, system=system.name, since=since)


@dataclass(frozen=True, slots=True)
class _System:
    """One system under assessment: ``seen`` None where there is no lake."""

    system: System
    library: Library
    session: Session
    seen: Seen | None

    def assess(self) -> Assessment:
        """Put it all together."""
        fields = self._today()
        applicable = [technique for technique in self._techniques() if _applies(technique, self.system)]
        sights = self._sights(applicable, fields)
        return Assessment(
            system=self.system,
            basis="lake" if self._arrived else "declared",
            sources=tuple(self._source(entry.source, entry.path) for entry in self.system.telemetry),
            fields={category: tuple(sorted(names)) for category, names in sorted(all_of(fields).items())},
            sights=sights,
            not_applicable=tuple(t for t in self._techniques() if not _applies(t, self.system)),
            gains=tuple(self._gains(applicable, fields, sights)),
            notes=tuple(self._notes(fields)),
        )

    @property
    def _arrived(self) -> bool:
        return self.seen is not None and self.seen.events > 0

    def _today(self) -> Fields:
        if self.seen is not None and self._arrived:
            return arrived(self.seen)
        return given([entry.source for entry in self.system.telemetry], self.system.principal)

    def _techniques(self) -> list[Technique]:
        """In the order of the matrix, each once."""
        return [self.library.technique(slug) for slug in dict.fromkeys(cell.technique for cell in self.library.cells())]

    def _source(self, source: str, path: str) -> SourceState:
        return SourceState(source, path, None if self.seen is None else self.seen.sources.get(source, 0))

    def _sights(self, techniques: Sequence[Technique], fields: Fields) -> tuple[Sight, ...]:
        best: dict[str, Sighting] = {}
        for layer in layers(fields):
            for found in sight([self.session], layer):
                if found.detector not in best or len(found.missing) < len(best[found.detector].missing):
                    best[found.detector] = found
        seeing: dict[str, list[str]] = {}
        blind: dict[str, list[Lack]] = {}
        for found in best.values():
            if found.missing:
                blind.setdefault(found.technique, []).append(Lack(found.title, "", found.missing))
            else:
                seeing.setdefault(found.technique, []).append(found.title)
        never = not_theirs(self.system.traits)
        return tuple(_sight(t, fields, never, seeing.get(t.slug, ()), blind.get(t.slug, ())) for t in techniques)

    def _gains(self, techniques: Sequence[Technique], fields: Fields, sights: Sequence[Sight]) -> Iterable[Gain]:
        """The best source, then the best on top of that, and so on: what one brings, the next cannot bring again."""
        fed = {entry.source for entry in self.system.telemetry}
        candidates = to_switch_on(fed, self.system.traits)
        for _ in range(_MOST_GAINS):
            gains: dict[tuple[tuple[str, ...], ...], list[str]] = {}
            after: dict[str, tuple[Fields, tuple[Sight, ...]]] = {}
            for name in candidates:
                more = with_source(fields, name, self.system.principal, beside=fed)
                after[name] = more, self._sights(techniques, more)
                gains.setdefault(_better(sights, after[name][1]), []).append(name)
            if not gains:
                return
            best = max(gains, key=lambda gain: ([len(slugs) for slugs in gain], -len(gains[gain])))
            if not any(best):
                return
            names = gains[best]
            yield Gain(tuple(names), SOURCES[names[0]].description, *best)
            fields, sights = after[names[0]]
            fed.add(names[0])
            candidates = [name for name in to_switch_on(fed, self.system.traits) if name not in names]

    def _notes(self, fields: Fields) -> Iterable[str]:
        if not self.system.traits:
            yield "systems.yaml does not say what this system is like (traits), so every technique is taken to apply"
        if not self.system.telemetry:
            yield "systems.yaml names no telemetry for this system"
        if self.seen is None or not self._arrived:
            yield "no event of this system is in the lake: what the sources could give is assessed, not what arrives"
            return
        for entry in self.system.telemetry:
            if not self.seen.sources.get(entry.source):
                yield f"{entry.source} is declared ({entry.path}) and no event of it has arrived"
        fed = [entry.source for entry in self.system.telemetry if self.seen.sources.get(entry.source)]
        promised = all_of(given(fed, self.system.principal))
        have = all_of(fields)
        for category in sorted(have.keys() & promised.keys()):
            absent = sorted(promised[category] - have[category] - _UNSAID)
            if absent:
                yield f"{category}: the sources could give {', '.join(absent)}; no event had them"
        for category, kinds in sorted(self.seen.kinds.items()):
            apart = sorted(kinds)
            if len(apart) > 1 and not any("+" in name for name in apart):
                yield f"{category}: no records of {' and '.join(apart)} were joined; each shows its own part only"


def _applies(technique: Technique, system: System) -> bool:
    if not technique.applies or not system.traits:
        return True
    return any(set(traits) <= set(system.traits) for traits in technique.applies)


def _sight(
    technique: Technique, fields: Fields, never: frozenset[str], seeing: Sequence[str], blind: Sequence[Lack]
) -> Sight:
    told = [trace for trace in technique.telemetry if trace.category and not never >= set(trace.fields)]
    lacks = list(blind)
    shown: list[str] = []
    some = False
    for trace in told:
        kinds = fields.get(trace.category, (frozenset(),))
        missing = min((tuple(sorted(set(trace.fields) - never - kind)) for kind in kinds), key=len)
        if trace.category in fields and not missing:
            shown.append(trace.source)
            continue
        some = some or (trace.category in fields and len(missing) < len(trace.fields))
        lacks.append(Lack(trace.source, trace.category, missing))
    return Sight(
        technique=technique,
        status=_status(bool(seeing), bool(shown), some, bool(told or blind)),
        detectors=tuple(seeing),
        traces=tuple(shown),
        lacks=tuple(lacks),
        elsewhere=tuple(trace.source for trace in technique.telemetry if not trace.category),
    )


def _status(detected: bool, visible: bool, partial: bool, told: bool) -> SightStatus:
    if detected:
        return "detected"
    if visible:
        return "visible"
    if partial:
        return "partial"
    return "blind" if told else "outside"


def _better(before: Sequence[Sight], after: Sequence[Sight]) -> tuple[tuple[str, ...], ...]:
    """Slugs that rose to detected, to visible, to partial."""
    rose: dict[str, list[str]] = {"detected": [], "visible": [], "partial": []}
    for old, new in zip(before, after, strict=True):
        if old.status != new.status and new.status in rose:
            rose[new.status].append(new.technique.slug)
    return tuple(tuple(slugs) for slugs in rose.values())


def _as_json(assessment: Assessment) -> dict[str, Any]:
    """One assessment as plain JSON types; techniques by slug."""
    system = assessment.system
    return {
        "system": system.name,
        "owner": system.owner,
        "criticality": system.criticality,
        "traits": list(system.traits),
        "basis": assessment.basis,
        "sources": [asdict(source) for source in assessment.sources],
        "fields": {category: list(names) for category, names in assessment.fields.items()},
        "counts": {status: assessment.count(status) for status in SIGHTS},
        "techniques": [
            {
                "technique": sight.technique.slug,
                "name": sight.technique.name,
                "tactics": list(sight.technique.tactics),
                "status": sight.status,
                "detectors": list(sight.detectors),
                "traces": list(sight.traces),
                "lacks": [asdict(lack) for lack in sight.lacks],
                "elsewhere": list(sight.elsewhere),
            }
            for sight in assessment.sights
        ],
        "not_applicable": [technique.slug for technique in assessment.not_applicable],
        "next": [asdict(gain) for gain in assessment.gains],
        "notes": list(assessment.notes),
    }


def render(assessments: Sequence[Assessment], library: Library, style: str) -> str:
    """The assessments as ``json``, ``navigator`` (layers of format 4.5, two a system) or ``html`` (one page)."""
    if style == "html":
        return assessment_page(assessments, library.tactics, generated=f"threatmatrix {__version__}")
    content: list[Any] = [_as_json(each) for each in assessments]
    if style == "navigator":
        content = [layer for each in assessments for layer in navigator_assessment.write(each)]
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
