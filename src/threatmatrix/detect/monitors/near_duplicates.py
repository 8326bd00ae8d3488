"""Near-duplicate clusters across accounts: how a query-based evasion attack looks from the endpoint."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from hashlib import blake2b
from typing import Any

from threatmatrix.detect.monitors.alarms import Alarm
from threatmatrix.detect.monitors.blindness import Sight
from threatmatrix.detect.monitors.explain import confidence, sentence
from threatmatrix.detect.monitors.memory import Limits, Memory
from threatmatrix.detect.monitors.vectors import NEEDS, Space, previous_space_of, space_of
from threatmatrix.detect.state import State, check, header, understood
from threatmatrix.detect.visibility import Sighting
from threatmatrix.model.detection import Calibration, Finding, NoVisibility, PrincipalShare, Severity
from threatmatrix.model.errors import UsageError
from threatmatrix.model.event import Event

__all__ = ["NearDuplicateMonitor"]

NAME = "near-duplicate-clusters"
TITLE = "Cluster of near-duplicate queries"

MAX_LISTED = 1000  # principals named in one finding
_Place = tuple[str, Space]  # tenant, space
LEADING = 0.2  # share from which a principal's first event dates the attack


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
        self._limits = Limits(int(alarm_at), int(window_seconds * 1_000_000), int(max_entries))
        self._max_states, self._quantile = int(max_states), quantile
        mine = [c for c in calibrations if c.monitor == NAME and quantile in (None, c.quantile)]
        # Several quantiles may have been learnt; where none is asked for, the newest stands, then the strictest.
        mine.sort(key=lambda c: (c.created, -c.quantile))
        self._calibrations = {(c.model, c.vec_key): c for c in mine}
        self._lent: dict[tuple[str, str], Calibration] = {}  # model, new projection → what the old one had learnt
        self._states: dict[_Place, Memory] = {}  # least recently used first
        self._sight = Sight(NAME, TITLE, technique, NEEDS)
        self.retries = 0

    @property
    def identity(self) -> str:
        """Names the monitor and all its numbers: state is only taken over by a monitor that is told the same."""
        return repr((NAME, self.technique, *self._limits, self._max_states, self._quantile))

    def feed(self, events: Sequence[Event], *, revised: Sequence[tuple[Event, Event]] = ()) -> list[Finding]:
        """Take events in; each cluster that alarmed or grew gives one finding, brought up to date.

        ``revised`` has (before, after) of events that have gained fields since: ``after`` is taken in where
        ``before`` could not be.
        """
        findings: dict[str, Finding] = {}
        waiting: dict[_Place, Memory] = {}
        for event in events:
            if event.category == "inference":
                self._judge(event, waiting, findings)
        for before, after in revised:
            if after.category == "inference" and not self._judged_in(before):
                self._judge(after, waiting, findings)
        self._settle(waiting.values(), findings)
        return list(findings.values())

    def visibility(self, seen_fields: Mapping[str, set[str]] | None = None) -> list[NoVisibility]:
        """Where the monitor is blind: fields never seen, models without vectors, uncalibrated models."""
        return self._sight.report(seen_fields)

    def sight(self, seen_fields: Mapping[str, Collection[str]]) -> list[Sighting]:
        """What it needs, and what of that ``seen_fields`` and its calibrations lack."""
        events = "events of category inference"
        missing: tuple[str, ...] = (events,)
        if "inference" in seen_fields:
            missing = tuple(name for name in NEEDS if name not in seen_fields["inference"])
            missing = missing or (() if self._calibrations else ("calibration",))
        return [Sighting(f"monitor:{NAME}", TITLE, self.technique, (events, *NEEDS, "calibration"), missing)]

    def snapshot(self) -> State:
        """Every space that is remembered. Only between two feeds."""
        return {
            **header(NAME),
            "identity": self.identity,
            "retries": self.retries,
            "sight": self._sight.snapshot(),
            "lent": [[*key, asdict(calibration)] for key, calibration in self._lent.items()],
            "states": [memory.snapshot() for memory in self._states.values()],
        }

    def restore(self, state: State) -> tuple[str, ...]:
        """Go on from :meth:`snapshot`: what starts anew, all of it or the spaces whose threshold is another now.

        Raises FormatError for what is no snapshot of this monitor and version; the monitor is then not to be fed.
        """
        if check(state, NAME)["identity"] != self.identity:
            return (f"monitor:{NAME}",)
        anew = []
        with understood(NAME):
            self.retries = int(state["retries"])
            self._sight.restore(state["sight"])
            self._lent = {(model, key): Calibration(**lent) for model, key, lent in state["lent"]}
            for kept in state["states"]:
                space = Space(**kept["space"])
                known = self._calibration(space)
                if known is not None and asdict(known) == kept["calibration"]:
                    self._states[kept["tenant"], space] = Memory.restored(self._limits, kept)
                else:
                    anew.append(f"monitor:{NAME} (model {space.model}, projection {space.vec_key})")
        return tuple(anew)

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

    def _calibration(self, space: Space) -> Calibration | None:
        key = space.model, space.vec_key
        return self._calibrations.get(key) or self._lent.get(key)

    def _judged_in(self, event: Event) -> Space | None:
        """The space that an event counts in: while two keys overlap the one before, where its threshold is known."""
        for space in (previous_space_of(event), space_of(event)):
            if space is not None and self._calibration(space) is not None:
                return space
        return None

    def _judge(self, event: Event, waiting: dict[_Place, Memory], findings: dict[str, Finding]) -> None:
        space, judged = space_of(event), self._judged_in(event)
        self._sight.saw(event, judged or space, calibrated=judged is not None)
        if judged is None:
            return
        self.retries += not self._state(event, judged, waiting, findings).take(event)
        if space is not None and space.vec_key != judged.vec_key:
            # The new space learns what it will need when the overlap ends; until then nothing is told twice.
            if self._calibration(space) is None and len(self._lent) < self._max_states:
                self._lent[space.model, space.vec_key] = self._calibrations[judged.model, judged.vec_key]
            if self._calibration(space) is not None:
                self._state(event, space, waiting, findings).take(event, warming=True)

    def _state(self, event: Event, space: Space, waiting: dict[_Place, Memory], findings: dict[str, Finding]) -> Memory:
        """The memory of a space, now the most recently used; the least recently used may have to go for it."""
        place = event.tenant or "", space
        memory = self._states.pop(place, None)
        if memory is None:
            if len(self._states) >= self._max_states:
                oldest = next(iter(self._states))
                self._settle([waiting.pop(oldest, self._states[oldest])], findings)
                del self._states[oldest]
            calibration = self._calibration(space)
            assert calibration is not None, "only calibrated spaces are asked for"
            memory = Memory(self._limits, *place, calibration)
        self._states[place] = waiting[place] = memory
        return memory

    def _settle(self, states: Iterable[Memory], findings: dict[str, Finding]) -> None:
        for state in states:
            for alarm in state.settle():
                if not alarm.told:
                    continue
                finding = self._finding(state, alarm)
                findings[finding.finding_id] = finding

    def _finding(self, state: Memory, alarm: Alarm) -> Finding:
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
        if calibration.vec_key != state.space.vec_key:
            details["calibrated_under"] = calibration.vec_key
        if alarm.merged_into is not None:
            details["merged_into"] = self._finding_id(state, alarm.merged_into)
        top = shares[0]
        return Finding(
            finding_id=self._finding_id(state, alarm),
            detector=f"monitor:{NAME}",
            title=TITLE,
            technique=self.technique,
            severity=self.severity,
            confidence=round(confidence(alarm.size, self._limits.alarm_at, calibration.distinct), 4),
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

    def _finding_id(self, state: Memory, alarm: Alarm) -> str:
        """Two techniques may use this monitor, with numbers of their own: their findings are not the same."""
        numbers = f"{self._limits.alarm_at} {self._limits.window} {state.calibration.quantile!r}"
        # not the projection: what began while two keys overlapped goes on under the same id after it
        space = (state.tenant, state.space.model, repr(state.space.vec_scale))
        text = "\0".join((self.technique, numbers, *space, alarm.root_event))
        return f"{NAME}:{blake2b(text.encode(), digest_size=12, person=b'tm-cluster').hexdigest()}"
