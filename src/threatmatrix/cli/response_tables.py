"""Incidents, playbook runs and the ledger of their actions, on a terminal or as JSON."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

from threatmatrix.cli.printing import (
    and_more,
    called,
    counted,
    out,
    plain_json,
    safe,
    severity,
    shown_first,
    table,
    warn,
    when,
    who,
)
from threatmatrix.model.response import ActionRecord, ActionState, Incident, RunRecord, RunState

if TYPE_CHECKING:
    from threatmatrix.knowledge import Library
    from threatmatrix.workflows.respond import IncidentStory

__all__ = ["show_actions", "show_incidents", "show_runs", "show_story"]

_STATES = {
    ActionState.done: "green",
    ActionState.failed: "red",
    ActionState.unknown: "bold yellow",
    ActionState.intent: "yellow",
    ActionState.undone: "dim",
}


_URGENT = {ActionState.unknown: 0, ActionState.intent: 1, ActionState.failed: 2}
_VERSION = re.compile(r"(, )?\bpublished as version \d+(; )?| in version \d+$")


def show_incidents(found: Sequence[Incident], *, names: Mapping[str, str], where: str, as_json: bool) -> None:
    """The incidents, one a row. ``names``: identity → readable name; ``where``: the store that they are in."""
    if as_json:
        plain_json([asdict(each) | {"severity": each.severity.name} for each in found])
        return
    if not found:
        out().print(safe(f"No incidents in {where}."), soft_wrap=True)
        out().print("Findings become incidents with `threatmatrix detect --save`, or in a replay.")
        return
    made = table("Incidents", "!id", "severity", "status", "what", ">findings", "principals", "!from")
    for each in found:
        made.add_row(
            each.incident_id,
            severity(each.severity),
            each.status,
            safe(each.title),
            f"{len(each.finding_ids):,}",
            who(each.principals, names, most=1),
            when(each.first_time),
        )
    out().print(made)


def show_story(told: IncidentStory, library: Library, *, names: Mapping[str, str], as_json: bool) -> None:
    """One incident from its first event to the last action."""
    incident = told.incident
    if as_json:
        plain_json(asdict(told) | {"severity": incident.severity.name})
        return
    console = out()
    console.print(f"[bold]{incident.incident_id}[/]  {severity(incident.severity)}  {incident.status}")
    console.print(safe(incident.title))
    console.print(
        f"system {safe(incident.system or '–')}, model {safe(incident.model or '–')}, from {safe(incident.origin)}"
    )
    console.print(f"{when(incident.first_time)} to {when(incident.last_time)}\n")
    console.print(_chain(told, library))
    console.print()
    console.print("[bold]Principals, by their share of non-identical probes[/]")
    people = table("", "principal", ">probes", ">share")
    for principal in incident.principals[:shown_first]:
        people.add_row(called(principal.principal, names), f"{principal.probes:,}", f"{principal.share:.1%}")
    console.print(people)
    and_more(len(incident.principals))
    console.print()
    if told.runs:
        show_runs(told.runs, told.actions, as_json=False)
    else:
        console.print(f"Nothing was done about it yet: `threatmatrix respond run {incident.incident_id}`")


def _chain(told: IncidentStory, library: Library) -> Table:
    made = table("Chain of techniques", ">", "technique", "!first seen", ">events", "findings")
    by_id = {finding.finding_id: finding for finding in told.findings}
    for n, step in enumerate(told.incident.chain, 1):
        said = [by_id[each].explanation for each in step.finding_ids if each in by_id]
        more = f" (and {counted(len(said) - 1, 'more finding')} of this kind)" if len(said) > 1 else ""
        made.add_row(
            str(n),
            safe(_name(step.technique, library)),
            when(step.first_time),
            f"{step.event_count:,}",
            safe(said[0] + more if said else ""),
        )
    return made


def _name(slug: str, library: Library) -> str:
    technique = library.techniques.get(slug)
    return technique.name if technique else slug


def show_runs(found: Sequence[RunRecord], taken: Sequence[ActionRecord], *, as_json: bool) -> None:
    """Playbook runs with the ledger of their actions, incident by incident; what waits for a human comes first."""
    if as_json:
        plain_json({"runs": [asdict(run) for run in found], "actions": [asdict(action) for action in taken]})
        return
    if not found:
        out().print("No playbook runs; nothing to do.")
        return
    by_incident: dict[str, list[RunRecord]] = {}
    for run in sorted(found, key=lambda run: (run.state is not RunState.waiting, -run.started)):
        by_incident.setdefault(run.incident_id, []).append(run)
    for of_one in list(by_incident.values())[:shown_first]:
        names = {run.run_id: run.run_id.removeprefix(f"{run.incident_id}-") for run in of_one}
        actions = [action for action in taken if action.run_id in names]
        out().print(_heading(of_one))
        if actions:
            out().print(_ledger(actions, names if len(of_one) > 1 else None))
        and_more(len(actions))
        out().print()
    and_more(len(by_incident))
    _doubts(taken)


def _heading(runs: Sequence[RunRecord]) -> str:
    """One incident's runs in a line; one that grew while it was answered may have many."""
    first = runs[0]
    if len(runs) == 1:
        return f"[bold]{first.run_id}[/]  {first.state.value}  {when(first.started)}  plan {first.plan_hash[:12]}"
    states = Counter(run.state.value for run in runs)
    counts = ", ".join(f"{n:,} {state}" for state, n in states.items())
    times = sorted(run.started for run in runs)
    return f"[bold]{first.incident_id}[/]  {len(runs):,} runs: {counts}  {when(times[0])} to {when(times[-1])}"


def show_actions(found: Sequence[ActionRecord], *, as_json: bool) -> None:
    """Ledger rows alone; what waits for a human comes first."""
    if as_json:
        plain_json([asdict(action) for action in found])
        return
    if not found:
        out().print("No actions; nothing to do.")
        return
    out().print(_ledger(found))
    and_more(len(found))
    _doubts(found)


def _ledger(actions: Iterable[ActionRecord], runs: Mapping[str, str] | None = None) -> Table:
    """One line an action where its outcome is the ordinary one. ``runs``: run id → its name in a column."""
    made = table("", *(["!run"] if runs else []), "!at", "!action", "on", "!state", "outcome")
    ordered = sorted(actions, key=lambda action: (_URGENT.get(action.state, len(_URGENT)), action.intent_at))
    for action in ordered[:shown_first]:
        made.add_row(
            *([runs[action.run_id]] if runs else []),
            when(action.intent_at)[11:],
            safe(action.action),
            safe(_on(action.params)),
            f"[{_STATES[action.state]}]{action.state.value}[/]",
            safe(_outcome(action)),
        )
    return made


def _on(params: Mapping[str, Any]) -> str:
    """What an action is about, in a few words."""
    about = params.get("principal") or params.get("url") or params.get("instruction")
    if about is None:
        about = params.get("model") or "every model"
    limits = dict(params.get("params", {}))
    said = []
    if "queries" in limits and "window_seconds" in limits:
        said.append(f"{limits.pop('queries'):g} queries per {limits.pop('window_seconds'):g} s")
    said += [f"{name} {value:g}" for name, value in sorted(limits.items())]
    return f"{about}: {', '.join(said)}" if said else str(about)


def _outcome(action: ActionRecord) -> str:
    """What was verified, without the policy's version: it is in the JSON, and here the line stays one."""
    return _VERSION.sub("", action.outcome)


def _doubts(taken: Sequence[ActionRecord]) -> None:
    """What a human must decide, each with the command that does it; the key stays whole, so that it can be copied."""
    doubtful = [action for action in taken if action.state is ActionState.unknown]
    if not doubtful:
        return
    console = out()
    console.print("[bold yellow]Waiting for a human[/]: did it take effect?")
    for action in doubtful:
        key = safe(action.idempotency_key)
        console.print(f"  {safe(action.action)} {safe(_on(action.params))}", soft_wrap=True)
        console.print(
            f"    threatmatrix respond decide {key} --happened --by NAME   (or --did-not-happen)", soft_wrap=True
        )
    warn(f"{counted(len(doubtful), 'doubtful action')}: decide with `threatmatrix respond decide`")
