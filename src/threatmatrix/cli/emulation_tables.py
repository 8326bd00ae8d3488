"""Procedures, attacks, targets and what emulations measured, on a terminal or as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.markup import escape

from threatmatrix.cli.printing import counted, out, plain_json, rate, safe, short, table

if TYPE_CHECKING:
    from threatmatrix.emulate.attacks import AttackKind
    from threatmatrix.emulate.lifecycle import CleanUp
    from threatmatrix.emulate.plan import QueryPlan
    from threatmatrix.knowledge import Library
    from threatmatrix.model.procedure import Procedure
    from threatmatrix.workflows.emulation import EmulationReport, EmulationState

__all__ = [
    "show_attacks",
    "show_clean_up",
    "show_emulation",
    "show_procedure",
    "show_procedures",
    "show_query_plan",
    "show_states",
    "show_targets",
]

_ADDRESSES = (
    ("oip:http://HOST:PORT/v2/models/NAME", "Open Inference Protocol v2: KServe, Triton, MLServer"),
    ("mlflow:http://HOST:PORT#NAME", "MLflow's /invocations"),
    ("tf:http://HOST:PORT/v1/models/NAME", "TensorFlow Serving's :predict"),
    ("chat:http://HOST:PORT/v1#MODEL", "the OpenAI API's chat"),
    ("template:FILE.yaml", "any HTTP endpoint, described in a file"),
    ("reference:NAME", "one of the above, built and served for the run"),
)


def show_procedures(found: Sequence[Procedure], library: Library, *, as_json: bool) -> None:
    """One procedure a row."""
    if as_json:
        plain_json([asdict(each) for each in found])
        return
    made = table("Procedures", "id", "technique", "access", "input", ">queries", "needs", "leaves")
    for each in found:
        made.add_row(
            each.id,
            escape(library.technique(each.technique).name),
            each.access,
            each.modality,
            f"{each.max_queries:,}",
            ", ".join((*each.needs, *each.inputs)) or "–",
            ", ".join(each.outputs) or "–",
        )
    out().print(made)
    out().print("queries: for each sample, or of the whole where an attack is on everything at once", style="dim")


def show_attacks(found: Sequence[AttackKind], *, as_json: bool) -> None:
    """One attack a row."""
    if as_json:
        fields = ("use", "title", "family", "access", "modality", "cost", "source")
        plain_json([{name: getattr(each, name) for name in fields} for each in found])
        return
    made = table("Attacks", "use", "family", "access", "input", "cost in queries", "source")
    for each in found:
        made.add_row(each.use, each.family, each.access, each.modality, escape(each.cost), escape(each.source))
    out().print(made)


def show_targets(references: Mapping[str, str], *, as_json: bool) -> None:
    """Reference targets, and how a target is named."""
    if as_json:
        plain_json({"references": dict(references), "addresses": dict(_ADDRESSES)})
        return
    made = table("Reference targets", "name", "what it is")
    for name, what in references.items():
        made.add_row(name, escape(what))
    out().print(made)
    made = table("\nHow --target names one", "target", "protocol")
    for address, what in _ADDRESSES:
        made.add_row(escape(address), what)
    out().print(made)


def show_procedure(procedure: Procedure, library: Library, *, as_json: bool) -> None:
    """Everything about one."""
    if as_json:
        plain_json(asdict(procedure))
        return
    console = out()
    console.print(f"[bold]{escape(procedure.name)}[/] · {procedure.id}")
    console.print(escape(procedure.description))
    technique = library.technique(procedure.technique)
    made = table("", "", "")
    rows = {
        "technique": f"{technique.name} ({technique.slug})",
        "access": procedure.access,
        "input": procedure.modality,
        "needs of the target": ", ".join(procedure.needs) or "nothing beyond answers",
        "needs to be held": ", ".join(procedure.inputs) or "nothing",
        "leaves": ", ".join(procedure.outputs) or "nothing",
        "steps": " → ".join(step.use + _params(step.params) for step in procedure.steps),
        "budget": f"{procedure.max_queries:,} queries"
        + (f", {procedure.rps:g} requests a second" if procedure.rps else "")
        + (f", {procedure.seconds:g} s" if procedure.seconds else ""),
        "success": f"{procedure.metric}, {procedure.norm} ≤ {procedure.threshold:g}"
        if procedure.norm != "none"
        else procedure.metric,
        "random control": procedure.control or "none",
        "telemetry": ", ".join(procedure.expected_telemetry) or "none",
        "should be seen by": ", ".join(procedure.expected_detections) or "nothing yet",
        "controls": ", ".join(f"{each.id}: {each.expected}" for each in procedure.controls) or "–",
        "safety": f"{'' if procedure.destructive else 'not '}destructive, "
        f"{'' if procedure.idempotent else 'not '}idempotent",
        "revert": procedure.revert,
    }
    for name, value in rows.items():
        made.add_row(name, escape(value))
    console.print(made)
    for reference in procedure.references:
        console.print(f"{escape(reference.title)} {reference.url}", style="dim", soft_wrap=True)


def _params(params: Mapping[str, object]) -> str:
    return f" ({', '.join(f'{name} {value}' for name, value in params.items())})" if params else ""


def show_query_plan(plan: QueryPlan, *, as_json: bool) -> None:
    """The upper bound; nothing was sent."""
    if as_json:
        plain_json({"lines": [asdict(line) for line in plan.lines], "max_queries": plan.total})
        return
    made = table("Dry run: nothing is sent", "procedure", "variant", ">samples", ">attack at most", ">confirmation")
    for line in plan.lines:
        made.add_row(line.procedure, line.variant, str(line.samples), f"{line.attack:,}", f"{line.confirmation:,}")
    made.add_row("", "[bold]in all[/]", "", f"[bold]{plan.attack:,}[/]", f"[bold]{plan.confirmation:,}[/]")
    out().print(made)


def show_emulation(report: EmulationReport, library: Library, *, as_json: bool) -> None:
    """What one run measured; rates with their 95 % Wilson intervals."""
    if as_json:
        plain_json(asdict(report))
        return
    console = out()
    console.print(
        f"[bold]{escape(report.target)}[/] · seed {report.seed} · {report.queries:,} queries, {report.seconds:.1f} s"
    )
    for each in report.procedures:
        norm = "" if each.norm == "none" else f", {each.norm} ≤ {each.threshold:g}"
        title = f"\n{each.procedure}: {library.technique(each.technique).name}{norm}"
        made = table(escape(title), "variant", ">confirmed", ">claimed", ">queries", ">confirmation", ">refused", ">s")
        if each.attacked.confirmed.n:
            made.add_row("before the attack", rate(each.baseline), "", "", "", "", "")
        for way in each.ways:
            made.add_row(
                way.variant,
                rate(way.confirmed) if way.confirmed.n else "–",
                short(way.claimed.value) if way.confirmed.n else "–",
                f"{way.queries:,}",
                f"{way.confirm_queries:,}",
                str(way.refused),
                f"{way.seconds:.1f}",
            )
        console.print(made)
        if each.attacked_vs_control is not None:
            gap = each.attacked_vs_control
            verdict = "beyond chance" if each.worked else "not beyond chance"
            if each.attacked.confirmed.n == 1:
                verdict = "one try each, and no interval can tell more"
            console.print(
                f"attacked − random control {gap.difference:+.2f} [{gap.low:+.2f} to {gap.high:+.2f}]: {verdict}"
            )
        if not each.attacked.confirmed.n:
            console.print("it only prepares: what it brings back is for the procedures after it")
        if each.figures:
            console.print(", ".join(f"{name} {value:.4g}" for name, value in each.figures.items()))
    state = "the target is as it was" if report.cleaned else "not cleaned up"
    console.print(f"\n{state}; evidence: {report.folder / 'evidence.jsonl'}", soft_wrap=True)
    for sentence in report.left:
        console.print(f"  {safe(sentence)}", soft_wrap=True)
    if report.logs:
        console.print(f"its log: {', '.join(map(str, report.logs))}", style="dim", soft_wrap=True)


def show_states(found: Sequence[EmulationState], *, as_json: bool) -> None:
    """One emulation a row."""
    if as_json:
        plain_json([asdict(each) for each in found])
        return
    if not found:
        out().print("No emulations yet: `threatmatrix emulate run hop-skip-jump --target reference:digits` makes one.")
        return
    made = table("Emulations", "name", "target", "state", ">to take back")
    for each in found:
        made.add_row(each.name, safe(each.about.target), each.state, str(each.pending))
    out().print(made)
    if any(each.pending and each.state != "running" for each in found):
        out().print("`threatmatrix emulate clean-up NAME` takes it back", style="dim")


def show_clean_up(name: str, came: CleanUp, *, as_json: bool) -> None:
    """What was taken back, and what is left."""
    if as_json:
        plain_json(asdict(came) | {"name": name, "done": came.done})
        return
    out().print(f"{name}: {counted(came.undone, 'change')} taken back, {came.nothing} were not there any more")
    for sentence in (*came.changed, *came.failed):
        out().print(f"  {safe(sentence)}", soft_wrap=True)
    if not came.done:
        out().print("Not clean yet: do it again when the target answers.")
