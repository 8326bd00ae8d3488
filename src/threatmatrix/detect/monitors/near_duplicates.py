"""Near-duplicate clusters across accounts: how a query-based evasion attack looks from the endpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from threatmatrix.detect.monitors.blindness import Sight
from threatmatrix.detect.monitors.clusters import Alarm, ClusterSet
from threatmatrix.detect.monitors.explain import confidence, sentence
from threatmatrix.detect.monitors.hashing import StableHash
from threatmatrix.detect.monitors.index import NeighbourIndex
from threatmatrix.detect.monitors.vectors import NEEDS, Space, block, space_of, squared_radius
from threatmatrix.detect.monitors.window import Window
from threatmatrix.model.detection import Calibration, Finding, NoVisibility, PrincipalShare, Severity
from threatmatrix.model.errors import UsageError
from threatmatrix.model.event import Event

__all__ = ["NearDuplicateMonitor"]

NAME = "near-duplicate-clusters"
TITLE = "Cluster of near-duplicate queries"

# Chosen by measurement (docs/monitors.md). The tables keep .99 of pairs at the threshold; REACH bounds the cost
# and gives up lone pairs in crowded buckets.
TABLES = 16
HASHES = 6
WIDTH = 4.0  # of a bucket, in thresholds
REACH = 8  # entries looked at in one bucket, the newest first

MAX_LISTED = 1000  # principals named in one finding
LEADING = 0.2  # share from which a principal's first event dates the attack


class _State:
    """One space of one tenant: its window, its index, its clusters."""

    def __init__(self, monitor: NearDuplicateMonitor, tenant: str, space: Space, calibration: Calibration) -> None:
        self.tenant, self.space, self.calibration = tenant, space, calibration
        squared = squared_radius(calibration.threshold, space.vec_scale)
        key = f"{space.model}\0{space.vec_key}".encode()
        hasher = StableHash(space.dims, WIDTH * squared**0.5, tables=TABLES, hashes=HASHES, key=key)
        self.window = Window(monitor.window, monitor.max_entries)
        self.index = NeighbourIndex(space.dims, squared, hasher, reach=REACH, limit=monitor.max_entries)
        self.clusters = ClusterSet(monitor.alarm_at, self.window, self.index.tag)
        self._vecs: list[bytes] = []
        self._floors: list[int] = []

    def take(self, event: Event) -> bool:
        """Queue one event; False if it repeats an input."""
        if not self.window.admit(event, event.input_fp or ""):
            return False
        self._vecs.append(event.input_vec or b"")
        self._floors.append(self.window.floor)
        return True

    def settle(self) -> list[Alarm]:
        """Link and cluster what is queued; the alarms that changed."""
        done = 0
        while done < len(self._vecs):
            stop = min(done + self.index.room, len(self._vecs))
            first, floors = self.index.next_seq, self._floors[done:stop]
            links = self.index.add(block(self._vecs[done:stop], self.space.dims), np.array(floors, np.int64))
            self.clusters.join(links, first, floors)
            done = stop
        self._vecs, self._floors = [], []
        self.window.trim()
        changed = list(self.clusters.dirty.values())
        self.clusters.dirty.clear()
        return changed


class NearDuplicateMonitor:
    """Alarms at ``alarm_at`` non-identical near-duplicates in one cluster, whoever sent them.

    Inputs of one (tenant, model, projection) link when their L2 distance is at most the calibrated
    threshold; linked inputs form clusters (single linkage). Exact repeats of an input are retries and
    never count. The same events in the same order give the same clusters, alarms and finding ids however
    they are cut into batches. Source: stateful detection of black-box attacks (Chen et al. 2020,
    section 4; Li et al. 2022, Blacklight), here on clusters across accounts. docs/monitors.md has the
    measurements and the limits.

    The finding it makes::

        Finding(finding_id="near-duplicate-clusters:6f0c…", detector="monitor:near-duplicate-clusters",
                title="Cluster of near-duplicate queries", technique="online-evasion", severity=high,
                confidence=0.85, event_count=63, alarm_event="req-17:14",
                explanation="63 near-identical but non-identical inputs to model digits within 2 min 10 s
                             from 3 accounts (97% from mallory); an honest user does not do that, …",
                principals=(PrincipalShare("mallory", 61, 0.968), …),
                details={"cluster_size": 63, "threshold": 0.41, "quantile": 0.001, "calibrated_on": 598,
                         "probes_per_minute": 29.1})

    ``first_time`` is the first event of the *leading* principals (a share of at least 0.2, or the largest):
    an honest input that happens to lie near does not date an attack back. The explanation's span, the
    probes per minute and ``last_time`` are of the whole cluster.

    Parameters: ``quantile`` of the calibrations to go by: one learnt at another quantile is none (None: any);
    ``window_seconds`` of event time an input is remembered; ``max_entries`` inputs per state
    at most, the oldest go first; ``max_states`` (tenant, model, projection) at most, the one least
    recently used goes first. Memory: about 1.1 KB an input.
    """

    name = NAME
    needs = NEEDS

    def __init__(
        self,
        *,
        technique: str = "online-evasion",
        severity: Severity = Severity.high,
        calibrations: Iterable[Calibration] = (),
        alarm_at: float = 15,
        quantile: float | None = None,
        window_seconds: float = 86_400,
        max_entries: float = 200_000,
        max_states: float = 64,
    ) -> None:
        if alarm_at < 2 or window_seconds <= 0 or max_entries < alarm_at or max_states < 1:
            raise UsageError(
                f"{NAME}: alarm_at={alarm_at:g}, window_seconds={window_seconds:g}, max_entries={max_entries:g}, "
                f"max_states={max_states:g} make no sense",
                hint="alarm_at ≥ 2, window_seconds > 0, max_entries ≥ alarm_at, max_states ≥ 1",
            )
        self.technique, self.severity = technique, severity
        self.alarm_at, self.max_entries, self._max_states = int(alarm_at), int(max_entries), int(max_states)
        self.window = int(window_seconds * 1_000_000)
        mine = [c for c in calibrations if c.monitor == NAME and quantile in (None, c.quantile)]
        # Several quantiles may have been learnt; where none is asked for, the newest stands, then the strictest.
        mine.sort(key=lambda c: (c.created, -c.quantile))
        self._calibrations = {(c.model, c.vec_key): c for c in mine}
        self._states: dict[tuple[str, Space], _State] = {}  # least recently used first
        self._sight = Sight(NAME, TITLE, technique, NEEDS)
        self.retries = 0

    def feed(self, events: Sequence[Event]) -> list[Finding]:
        """Take events in; each cluster that alarmed or grew gives one finding, brought up to date."""
        findings: dict[str, Finding] = {}
        waiting: dict[tuple[str, Space], _State] = {}
        state: _State | None = None
        for event in events:
            if event.category != "inference":
                continue
            space = space_of(event)
            calibration = self._calibrations.get((space.model, space.vec_key)) if space else None
            self._sight.saw(event, space, calibrated=calibration is not None)
            if space is None or calibration is None:
                continue
            tenant = event.tenant or ""
            if state is None or state.space is not space or state.tenant != tenant:
                state = self._state((tenant, space), calibration, waiting, findings)
            self.retries += not state.take(event)
        self._settle(waiting.values(), findings)
        return list(findings.values())

    def visibility(self, seen_fields: Mapping[str, set[str]] | None = None) -> list[NoVisibility]:
        """Where the monitor is blind: fields never seen, models without vectors, uncalibrated models."""
        return self._sight.report(seen_fields)

    def stats(self) -> dict[str, int]:
        """Entries held, clusters held, retries met, and bucket walks cut short, in all states."""
        states = self._states.values()
        return {
            "states": len(self._states),
            "entries": sum(state.window.next_seq - state.window.floor for state in states),
            "clusters": sum(len(state.clusters) for state in states),
            "retries": self.retries,
            "truncated_walks": sum(state.index.truncated for state in states),
        }

    def _state(
        self,
        key: tuple[str, Space],
        calibration: Calibration,
        waiting: dict[tuple[str, Space], _State],
        findings: dict[str, Finding],
    ) -> _State:
        """The state of ``key``, now the most recently used; the least recently used may have to go for it."""
        state = self._states.pop(key, None)
        if state is None:
            if len(self._states) >= self._max_states:
                oldest = next(iter(self._states))
                self._settle([waiting.pop(oldest, self._states[oldest])], findings)
                del self._states[oldest]
            state = _State(self, key[0], key[1], calibration)
        self._states[key] = waiting[key] = state
        return state

    def _settle(self, states: Iterable[_State], findings: dict[str, Finding]) -> None:
        for state in states:
            for alarm in state.settle():
                finding = self._finding(state, alarm)
                findings[finding.finding_id] = finding

    def _finding(self, state: _State, alarm: Alarm) -> Finding:
        calibration, span = state.calibration, alarm.last_time - alarm.first_time
        ranked = sorted(alarm.principals.items(), key=lambda item: (-item[1], item[0]))
        shares = tuple(PrincipalShare(who, n, n / alarm.size) for who, n in ranked[:MAX_LISTED])
        details: dict[str, Any] = {
            "cluster_size": alarm.size,
            "threshold": calibration.threshold,
            "quantile": calibration.quantile,
            "calibrated_on": calibration.distinct,
            "probes_per_minute": round(alarm.size / (max(span, 1_000_000) / 60_000_000), 3),
        }
        if len(ranked) > MAX_LISTED:
            details["principals_total"] = len(ranked)
        if alarm.merged_into is not None:
            details["merged_into"] = self._finding_id(state, alarm.merged_into)
        top = shares[0]
        return Finding(
            finding_id=self._finding_id(state, alarm),
            detector=f"monitor:{NAME}",
            title=TITLE,
            technique=self.technique,
            severity=self.severity,
            confidence=round(confidence(alarm.size, self.alarm_at, calibration.distinct), 4),
            explanation=sentence(alarm.size, state.space.model, span, accounts=len(ranked), top=top),
            event_ids=alarm.event_ids(),
            event_count=alarm.size,
            first_time=min(alarm.firsts[who] for who, n in ranked if n >= LEADING * alarm.size or who == top.principal),
            last_time=alarm.last_time,
            alarm_event=alarm.alarm_event,
            principals=shares,
            system=alarm.system,
            model=state.space.model,
            details=details,
        )

    def _finding_id(self, state: _State, alarm: Alarm) -> str:
        """Two techniques may use this monitor, with numbers of their own: their findings are not the same."""
        numbers = f"{self.alarm_at} {self.window} {state.calibration.quantile!r}"
        space = (state.tenant, state.space.model, state.space.vec_key, repr(state.space.vec_scale))
        text = "\0".join((self.technique, numbers, *space, alarm.root_event))
        return f"{NAME}:{blake2b(text.encode(), digest_size=12, person=b'tm-cluster').hexdigest()}"
