"""Incidents, playbook runs and the ledger of their actions, on a terminal or as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

from threatmatrix.cli.printing import (
    and_more,
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


def show_incidents(found: Sequence[Incident], library: Library, *, where: str, as_json: bool) -> None:
    """The incidents, one a row. ``where``: the store that they are in."""
    if as_json:
        plain_json([asdict(each) | {"severity": each.severity.name} for each in found])
        return
    if not found:
        out().print(safe(f"No incidents in {where}."), soft_wrap=True)
        out().print("Findings become incidents with `threatmatrix detect --save`, or in a replay.")
        return
    made = table("Incidents", "!id", "severity", "status", "what", "chain", "principals", "!from")
    for each in found:
        made.add_row(
            each.incident_id,
            severity(each.severity),
            each.status,
            safe(each.title),
            safe(" → ".join(_name(step.technique, library) for step in each.chain)),
            who(each.principals, most=1),
            when(each.first_time),
        )
    out().print(made)


def show_story(told: IncidentStory, library: Library, *, as_json: bool) -> None:
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
    people = table("Principals, by their share of non-identical probes", "principal", ">probes", ">share")
    for principal in incident.principals[:shown_first]:
        people.add_row(safe(principal.principal), f"{principal.probes:,}", f"{principal.share:.1%}")
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
    """Playbook runs, each with the ledger of its actions; what waits for a human comes first."""
    if as_json:
        plain_json({"runs": [asdict(run) for run in found], "actions": [asdict(action) for action in taken]})
        return
    if not found:
        out().print("No playbook runs; nothing to do.")
        return
    waiting_first = sorted(found, key=lambda run: (run.state is not RunState.waiting, -run.started))
    for run in waiting_first[:shown_first]:
        actions = [action for action in taken if action.run_id == run.run_id]
        out().print(f"[bold]{run.run_id}[/]  {run.state.value}  {when(run.started)}  plan {run.plan_hash[:12]}")
        if actions:
            out().print(_ledger(actions))
        and_more(len(actions))
        out().print()
    and_more(len(found))
    _doubts(taken)


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


def _ledger(actions: Iterable[ActionRecord]) -> Table:
    """One line an action where its outcome is the ordinary one."""
    made = table("", "!at", "!action", "on", "!state", "outcome")
    ordered = sorted(actions, key=lambda action: (action.state is not ActionState.unknown, action.intent_at))
    for action in ordered[:shown_first]:
        made.add_row(
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
    """What was verified; of an action that went well only the last word, which names the policy entry."""
    return action.outcome.rpartition("; ")[2] if action.state is ActionState.done else action.outcome


def _doubts(taken: Sequence[ActionRecord]) -> None:
    """What a human must decide, each with the command that does it; the key stays whole, so that it can be copied."""
    doubtful = [action for action in taken if action.state is ActionState.unknown]
    if not doubtful:
        return
    console = out()
    console.print("[bold yellow]Waiting for a human[/]: did it take effect?")
    for action in doubtful:
        console.print(f"  {safe(action.action)} {safe(_on(action.params))}", soft_wrap=True)
        console.print(
            f"    threatmatrix respond decide {safe(action.idempotency_key)} --happened --by NAME   (or --did-not-happen)",
            soft_wrap=True,
        )
    warn(f"{counted(len(doubtful), 'doubtful action')}: decide with `threatmatrix respond decide`")
