"""One emulation: warm-up → detonate → revert → clean-up against a target, in a folder that outlives the process."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from threatmatrix.emulate.attacks import attack_kind
from threatmatrix.emulate.journal import Journal
from threatmatrix.emulate.lifecycle import CleanUp, Lifecycle
from threatmatrix.emulate.run import Hands, run_procedure
from threatmatrix.emulate.stage import Samples
from threatmatrix.emulate.targets import HTTPTarget, OIPClient
from threatmatrix.emulate.undo import RecordedStore, RecordedTeacher
from threatmatrix.knowledge import Library
from threatmatrix.model.errors import KillSwitchThrown, RunError, StoreError, ThreatmatrixError, UsageError
from threatmatrix.model.evidence import AttackResult, Evidence, Rate
from threatmatrix.model.procedure import Procedure
from threatmatrix.remediate.compare import wilson
from threatmatrix.store.evidence_file import append_evidence
from threatmatrix.workflows.emulation.ground import Ground
from threatmatrix.workflows.emulation.place import Emulation, new_folder, write_emulation
from threatmatrix.workflows.emulation.plan import CONTROL
from threatmatrix.workflows.emulation.report import Emulated, EmulationReport, emulated, evidence_of, versions
from threatmatrix.workflows.emulation.request import Prepared
from threatmatrix.workflows.home import Home
from threatmatrix.workflows.replay.beside import one_thread
from threatmatrix.workflows.replay.progress import ProgressLike

__all__ = ["emulate"]

FILE = "evidence.jsonl"


def emulate(prepared: Prepared, home: Home, library: Library, *, progress: ProgressLike, now: int) -> EmulationReport:
    """Run it, clean up, and keep the evidence: in the store, and in ``evidence.jsonl`` of the run's folder.

    Raises what the target raises; what was changed by then is taken back where the target still answers, and otherwise
    by ``clean_up`` later.
    """
    folder = new_folder(home, prepared.request.procedures[0])
    try:
        report = _emulate(prepared, folder, progress, now)
        kept = _keep(report, home, library, now)
    except OSError as error:
        raise StoreError(
            f"{error.filename or folder}: {error.strerror or error}",
            hint=f"Mend that, then take back what it changed: threatmatrix emulate clean-up {folder.name}",
        ) from error
    return replace(report, evidence=tuple(kept))


def _emulate(prepared: Prepared, folder: Path, progress: ProgressLike, now: int) -> EmulationReport:
    began = time.monotonic()
    request = prepared.request
    target = str(request.target)
    with one_thread(), ExitStack() as stack:
        life = stack.enter_context(Lifecycle.open(folder, procedure=" ".join(request.procedures), target=target))
        progress.stage(f"reaching {target}")
        ground = Ground(prepared, folder, stack, now)
        write_emulation(folder, _about(ground))
        run = _Run(prepared, ground, life, progress)
        done = run.go()
        left = run.end()
    return EmulationReport(
        name=folder.name,
        target=target,
        model=request.target.model,
        seed=request.seed,
        correlation=ground.correlation,
        folder=folder,
        procedures=done,
        queries=ground.ledger.spent,
        seconds=round(time.monotonic() - began, 3),
        cleaned=not request.keep and left.done and not left.changed,
        left=(*left.changed, *left.failed),
        versions=versions(),
        logs=tuple(sorted(folder.glob("*.gateway.jsonl"))) + tuple(path for path, _ in ground.logs),
    )


def _keep(report: EmulationReport, home: Home, library: Library, now: int) -> list[Evidence]:
    """The evidence, chained in the store and in the folder's own file."""
    system = f"reference-{report.model}" if report.target.startswith("reference:") else report.model
    with home.open_store() as store:
        kept = [store.evidence.append(each) for each in evidence_of(report, library, system, now)]
    for each in kept:
        append_evidence(report.folder / FILE, each)
    return kept


def _about(ground: Ground) -> Emulation:
    """What a clean-up in another process must know."""
    request = ground.prepared.request
    return Emulation(
        procedures=request.procedures,
        target=str(ground.spec),
        model=ground.spec.model,
        scope=str(request.scope_file.absolute()) if request.scope_file else "",
        seed=request.seed,
        correlation=ground.correlation,
        keys=request.keys,
        account_header=request.account_header,
        input_shape=ground.form.input_shape,
        classes=ground.form.classes,
        technique=ground.prepared.plan.procedures[0].technique,
        served=ground.prepared.reference is not None,
    )


@dataclass(slots=True)
class _Run:
    """What one run holds on to."""

    prepared: Prepared
    ground: Ground
    life: Lifecycle
    progress: ProgressLike

    def go(self) -> tuple[Emulated, ...]:
        """The warm-up, then every procedure in order, each beside its control."""
        try:
            self._warm_up()
            return tuple([self._procedure(each) for each in self.prepared.plan.procedures])
        except KillSwitchThrown as error:
            error.hint = f"Remove it, then: threatmatrix emulate clean-up {self.ground.folder.name}"
            raise
        except BaseException as error:  # Ctrl-C and a defect of an attack leave as little behind as a target's error
            self._abandon(error)
            raise

    def _abandon(self, error: BaseException) -> None:
        """Take back what was changed by then; where that does not work now, say how it will."""
        try:
            done = self.life.clean_up(self.ground.undoers()).done
        except (ThreatmatrixError, OSError):  # a full disk, say: the journal already holds all that undoing needs
            done = False
        if not done and isinstance(error, ThreatmatrixError):
            then = f"Then take back what it changed: threatmatrix emulate clean-up {self.ground.folder.name}"
            error.hint = f"{error.hint.rstrip('.')}. {then}" if error.hint else then

    def end(self) -> CleanUp:
        """Clean up, unless it was asked to leave everything."""
        if self.prepared.request.keep:
            return CleanUp()
        self.progress.stage("cleaning up")
        return self.life.clean_up(self.ground.undoers())

    def _warm_up(self) -> None:
        """What procedures prepare before anything is judged; it stays until clean-up."""
        preparing = [each for each in self.prepared.plan.procedures if each.warm_up]
        if not preparing:
            return
        with self.life.warm_up() as journal:
            for procedure in preparing:
                self.progress.stage(f"{procedure.name}, warm-up")
                first = replace(procedure, steps=procedure.warm_up, control="")
                self._attack(first, "plain", self.prepared.samples, journal)

    def _procedure(self, procedure: Procedure) -> Emulated:
        """Each way begins where the procedures before this one left the target."""
        samples, baseline = self._samples(procedure)
        found: dict[str, AttackResult] = {}
        begins = len(self.life.journal.changes)
        ways = self.prepared.plan.ways(procedure)
        session = left = self.ground.session
        for variant in reversed(ways) if _attack_last(procedure) else ways:
            self._back_to(begins, f"{procedure.id}, {variant}")
            self.ground.session = session
            self.progress.stage(f"{procedure.name}, {variant}")
            with self.life.detonation(idempotent=True) as journal:  # nothing of this procedure is left to revert
                found[variant] = self._attack(
                    procedure, variant, samples, journal, budgets=_budgets(procedure, variant, found)
                )
            if variant == ways[0]:
                left = self.ground.session
        self.ground.session = left
        results = {variant: found[variant] for variant in ways}
        first = results[self.prepared.plan.variants[0]]
        if attack_kind(procedure.use).attack is None:
            baseline = wilson(sum(outcome.before for outcome in first.outcomes), len(first.outcomes))
        return emulated(procedure, baseline, results)

    def _back_to(self, begins: int, what: str) -> None:
        journal = self.life.journal
        changes = journal.pending("detonate", since=begins)
        if not changes:
            return
        earlier = [change for change in journal.pending() if change.number <= begins]
        if any(change.kind == "teach" for change in changes) and any(change.kind == "teach" for change in earlier):
            raise RunError(
                f"{what}: lessons are taken back all at once, and those from before it must stay",
                hint="Run each procedure that teaches in an emulation of its own",
            )
        came = self.life.revert(self.ground.undoers(), since=begins)
        if not came.done:
            raise RunError(f"{what}: the way before it cannot be taken back: {came.failed[0]}")

    def _samples(self, procedure: Procedure) -> tuple[Samples, Rate]:
        """What is attacked, and how much of everything was wrong before.

        An attack on one input at a time starts from inputs that the model gets right.
        """
        n, everything = self.prepared.plan.samples, self.prepared.samples
        if attack_kind(procedure.use).attack is None:
            return everything.at(np.arange(min(n, len(everything)))), wilson(0, 0)
        judge = self.ground.client(procedure, "/baseline")
        right: list[int] = []
        asked = 0
        for start in range(0, len(everything), n):
            part = np.arange(start, min(start + n, len(everything)))
            right += [int(i) for i in part[judge.labels(everything.x[part]) == everything.y[part]]]
            asked += len(part)
            if len(right) >= n:
                break
        if not right:
            raise UsageError(
                f"none of {asked} samples is classified as its label says",
                hint="Check the labels, --classes, and the order of the model's classes",
            )
        return everything.at(np.asarray(right[:n])), wilson(asked - len(right), asked)

    def _attack(
        self,
        procedure: Procedure,
        variant: str,
        samples: Samples,
        journal: Journal,
        *,
        budgets: Sequence[int] | None = None,
    ) -> AttackResult:
        """One way of one procedure; whatever it changes goes through the journal."""
        ground = self.ground
        client, store = ground.client(procedure), ground.store(procedure)
        hands = Hands(
            held=ground.held if variant != CONTROL else dict(ground.held),
            teacher=self._teacher(client, journal),
            store=RecordedStore(store, journal) if store is not None else None,
            report=self.progress.stage,
        )
        return run_procedure(
            procedure,
            client,
            samples.x,
            samples.y,
            seed=self.prepared.request.seed,
            variant=variant,
            confirm_target=ground.client(procedure, "/confirmation"),
            budgets=budgets,
            hands=hands,
        )

    def _teacher(self, client: HTTPTarget, journal: Journal) -> RecordedTeacher | None:
        if self.ground.learns and isinstance(client, OIPClient):
            return RecordedTeacher(client, journal)
        return None


def _attack_last(procedure: Procedure) -> bool:
    """Whether the control goes first, so that what stays in the target afterwards is what the attack left.

    Only where the control stands on nothing that the attack brings, and has no budgets that the attack sets.
    """
    return len(procedure.steps) == 1 and attack_kind(procedure.use).attack is None


def _budgets(procedure: Procedure, variant: str, results: Mapping[str, AttackResult]) -> Sequence[int] | None:
    """The control of an attack on one input at a time has exactly the queries that the attack spent."""
    if variant != CONTROL or attack_kind(procedure.use).attack is None:
        return None
    attack = next(iter(results.values()))
    return [max(1, outcome.queries) for outcome in attack.outcomes]
