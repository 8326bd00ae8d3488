"""Findings that belong together become one incident: an ordered chain of techniques."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence, Set

from threatmatrix.model.detection import Finding
from threatmatrix.model.response import ChainStep, Incident
from threatmatrix.respond.joining import JOIN_WITHIN, Fresh, Group, join
from threatmatrix.respond.principals import counted_once, floor_principals, merge_principals
from threatmatrix.store import Store
from threatmatrix.store.findings import Known

__all__ = ["correlate", "incident_title", "record_findings"]

_MERGED = "Merged into "
_TITLE_STEPS = 4
_COMPARED = 20_000  # event ids of a technique that are told apart to count its events
_ACRONYMS = {"ai": "AI", "api": "API", "ml": "ML", "osint": "OSINT"}


def record_findings(store: Store, findings: Iterable[Finding], now: int) -> list[Incident]:
    """Keep findings, correlate them with the open incidents of the store, keep those; one call per tick.

    ``findings``: the new and the grown ones are enough; one that is smaller than what is known under its id
    (a log that is read again from the start) changes nothing. Returns the incidents that changed. A
    finding that grows after its incident was closed opens that incident again; one that does not
    stays closed. One transaction: of two processes that record at once, the second sees what the first one did, and
    a process that is killed has recorded all or nothing.
    """
    found = list(findings)
    return store.database.alone(lambda: _record(store, found, now)) if found else []


def _record(store: Store, findings: Sequence[Finding], now: int) -> list[Incident]:
    arrived = {finding.finding_id: finding for finding in findings}
    before = store.findings.known(list(arrived))
    arrived = {key: finding for key, finding in arrived.items() if not _smaller(finding, before.get(key))}
    store.findings.save(arrived.values())
    known = store.incidents.list("open", "contained")
    members = {finding_id for incident in known for finding_id in incident.finding_ids}
    elsewhere = set(arrived) - members
    if elsewhere:
        reopened, settled = _closed_before(store.incidents.list("closed"), arrived, elsewhere)
        known += reopened
        for finding_id in settled:
            del arrived[finding_id]
    ids = {finding_id for incident in known for finding_id in incident.finding_ids} - set(arrived)
    others = store.findings.known(sorted(ids))
    compared = {key: one for key, one in before.items() if key in members}
    fresh = Fresh(
        events={
            key: frozenset(f.event_ids) - (compared[key].events if key in compared else frozenset())
            for key, f in arrived.items()
        },
        known={key: one.events for key, one in (others | compared).items()},
    )
    everything = [*arrived.values(), *(one.finding for one in others.values())]
    incidents, merged = _correlate(join(everything, known, now, JOIN_WITHIN, fresh), set(arrived))
    unchanged = {id(incident) for incident in known}
    changed = set(store.incidents.save([i for i in incidents if id(i) not in unchanged], merged))
    return [incident for incident in incidents if incident.incident_id in changed]


def _smaller(finding: Finding, known: Known | None) -> bool:
    if known is None:
        return False
    unmerged = bool(known.finding.details.get("merged_into")) and not finding.details.get("merged_into")
    return unmerged or finding.event_count < known.finding.event_count


def _closed_before(
    closed: Sequence[Incident], arrived: dict[str, Finding], candidates: set[str]
) -> tuple[list[Incident], set[str]]:
    """Closed incidents to open again, and findings that stay closed."""
    reopened: dict[str, Incident] = {}
    settled: set[str] = set()
    for finding_id in sorted(candidates):
        homes = [incident for incident in closed if finding_id in incident.finding_ids]
        if not homes:
            continue
        home = max(homes, key=lambda incident: (not incident.title.startswith(_MERGED), incident.last_time))
        if arrived[finding_id].last_time > home.last_time:
            reopened[home.incident_id] = dataclasses.replace(home, status="open")
        elif home.incident_id not in reopened:
            settled.add(finding_id)
    kept = {finding_id for incident in reopened.values() for finding_id in incident.finding_ids}
    return list(reopened.values()), settled - kept


def correlate(
    findings: Sequence[Finding], open_incidents: Sequence[Incident], now: int, *, join_within: int = JOIN_WITHIN
) -> list[Incident]:
    """Join findings and open incidents that belong together; returns all of them, oldest first.

    Two belong together when they are on the same system and model and share a main principal (of a monitor's
    finding: a share of 0.2 or 5 probes; never ``anonymous``) or an event; a finding that names no model
    follows its principal to the oldest incident of the system.
    An incident that has been quiet for longer than ``join_within`` (µs) at ``now`` takes no new
    findings by principal. Pass all findings of the open incidents (``record_findings`` does): where
    one is missing, what the incident said of it stands as a lower bound.

    Ids are stable: an incident keeps its id as it grows; when two turn out to be one, the older
    keeps its id and the other is returned as closed, its title naming the one that took it in. What was
    merged is open if a part of it was. A contained incident that gains a principal is open again. Feeding
    the same twice changes nothing.
    """
    incidents, _ = _correlate(join(findings, open_incidents, now, join_within), None)
    return incidents


def _correlate(groups: Iterable[Group], touched: Set[str] | None) -> tuple[list[Incident], dict[str, str]]:
    """The incidents, and which of them was merged into which. ``touched``: findings that arrived (None: all did)."""
    result: list[Incident] = []
    taken_in: dict[str, str] = {}
    for group in groups:
        if (
            touched is not None
            and len(group.incidents) == 1
            and touched.isdisjoint(f.finding_id for f in group.findings)
        ):
            result += group.incidents
            continue
        merged = _build(group)
        result.append(merged)
        for old in group.incidents:
            if old.incident_id != merged.incident_id:
                title = f"{_MERGED}{merged.incident_id}: {old.title}"
                result.append(dataclasses.replace(old, status="closed", title=title))
                taken_in[old.incident_id] = merged.incident_id
    return sorted(result, key=lambda incident: (incident.first_time, incident.incident_id)), taken_in


def incident_title(techniques: Sequence[str], system: str | None, model: str | None) -> str:
    """One line for a list: the chain, and what it is against.

    ``techniques``: slugs in order. "ML model discovery → online evasion against digits of edge".
    """
    words = [" ".join(_ACRONYMS.get(word, word) for word in slug.split("-")) for slug in techniques]
    shown = words if len(words) <= _TITLE_STEPS else [words[0], "…", *words[-(_TITLE_STEPS - 2) :]]
    chain = " → ".join(shown) or "unknown technique"
    against = " of ".join(name for name in (model, system) if name)
    text = f"{chain} against {against}" if against else chain
    return text[0].upper() + text[1:]


def _build(group: Group) -> Incident:
    findings = sorted(group.findings, key=lambda f: (f.first_time, f.finding_id))
    oldest = min(group.incidents, key=lambda i: (i.first_time, i.incident_id), default=None)
    if oldest is not None and not findings and len(group.incidents) == 1:
        return oldest
    present = {finding.finding_id for finding in findings}
    chain = _chain(findings, group.incidents, present)
    principals = merge_principals(findings)
    if any(set(old.finding_ids) - present for old in group.incidents):
        principals = floor_principals(principals, [old.principals for old in group.incidents])
    absent = [key for old in group.incidents for key in old.finding_ids if key not in present]
    models = {f.model for f in findings if f.model} | {i.model for i in group.incidents if i.model}
    places = [*([oldest.system] if oldest else []), *(f.system for f in findings), *(i.system for i in group.incidents)]
    system, model = next(filter(None, places), None), models.pop() if len(models) == 1 else None
    answered = oldest is not None and all(old.status != "open" for old in group.incidents)
    built = Incident(
        incident_id=oldest.incident_id if oldest else _new_id(findings[0]),
        title=incident_title([step.technique for step in chain], system, model),
        severity=max([f.severity for f in findings] + [i.severity for i in group.incidents]),
        status=oldest.status if oldest and answered else "open",
        system=system,
        model=model,
        first_time=min(step.first_time for step in chain),
        last_time=max(step.last_time for step in chain),
        chain=chain,
        principals=principals,
        finding_ids=tuple(dict.fromkeys([*absent, *(f.finding_id for f in findings)])),
        origin=oldest.origin if oldest else "telemetry",
    )
    if built.status == "contained" and _names(built) - set().union(*(_names(old) for old in group.incidents)):
        return dataclasses.replace(built, status="open")
    return built


def _names(incident: Incident) -> set[str]:
    return {share.principal for share in incident.principals}


def _new_id(first: Finding) -> str:
    return "inc-" + hashlib.sha256(first.finding_id.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _chain(findings: Sequence[Finding], incidents: Sequence[Incident], present: set[str]) -> tuple[ChainStep, ...]:
    """One step per technique, ordered by its first event."""
    by_technique: dict[str, list[Finding]] = {}
    for finding in counted_once(findings):
        by_technique.setdefault(finding.technique, []).append(finding)
    before: dict[str, int] = {}
    for old in (step for incident in incidents for step in incident.chain):
        before[old.technique] = max(old.event_count, before.get(old.technique, 0))
    steps = {technique: _step(technique, found, before.get(technique, 0)) for technique, found in by_technique.items()}
    for old in (step for incident in incidents for step in incident.chain if set(step.finding_ids) - present):
        steps[old.technique] = _floor(steps.get(old.technique), old)
    return tuple(sorted(steps.values(), key=lambda step: (step.first_time, step.technique)))


def _step(technique: str, findings: Sequence[Finding], before: int) -> ChainStep:
    # Several findings of a technique often count the same events; ids are known up to a limit only.
    counts = [finding.event_count for finding in findings]
    if sum(len(finding.event_ids) for finding in findings) <= _COMPARED:
        counts.append(len({event_id for finding in findings for event_id in finding.event_ids}))
    else:  # too many to compare at every tick; the findings of one detector share no event
        by_detector: Counter[str] = Counter()
        for finding in findings:
            by_detector[finding.detector] += finding.event_count
        counts += [before, *by_detector.values()]
    return ChainStep(
        technique=technique,
        first_time=min(finding.first_time for finding in findings),
        last_time=max(finding.last_time for finding in findings),
        finding_ids=tuple(finding.finding_id for finding in findings),
        event_count=max(counts),
    )


def _floor(new: ChainStep | None, old: ChainStep) -> ChainStep:
    if new is None:
        return old
    return ChainStep(
        technique=new.technique,
        first_time=min(new.first_time, old.first_time),
        last_time=max(new.last_time, old.last_time),
        finding_ids=tuple(dict.fromkeys(old.finding_ids + new.finding_ids)),
        event_count=max(new.event_count, old.event_count),
    )
