"""One emulation: warm-up → detonate → revert → clean-up against a target, in a folder that outlives the process."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from threatmatrix.emulate.attacks import attack_kind
from threatmatrix.emulate.journal import Journal
from threatmatrix.emulate.lifecycle import CleanUp, Lifecycle
from threatmatrix.emulate.run import Hands, run_procedure
from threatmatrix.emulate.stage import Samples
from threatmatrix.emulate.targets import HTTPTarget, OIPClient
from threatmatrix.emulate.undo import RecordedStore, RecordedTeacher
from threatmatrix.knowledge import Library
from threatmatrix.model.errors import KillSwitchThrown, ThreatmatrixError, UsageError
from threatmatrix.model.evidence import AttackResult, Rate
from threatmatrix.model.matrix import Procedure
from threatmatrix.remediate.compare import wilson
from threatmatrix.store.evidence_file import append_evidence
from threatmatrix.workflows.emulation.ground import Ground
from threatmatrix.workflows.emulation.place import Emulation, new_folder, write_emulation
from threatmatrix.workflows.emulation.plan import CONTROL
from threatmatrix.workflows.emulation.report import Emulated, EmulationReport, emulated, evidence_of, versions
from threatmatrix.workflows.emulation.request import Prepared
from threatmatrix.workflows.home import Home
from threatmatrix.workflows.replay.progress import ProgressLike

__all__ = ["emulate"]

FILE = "evidence.jsonl"


def emulate(prepared: Prepared, home: Home, library: Library, *, progress: ProgressLike, now: int) -> EmulationReport:
    """Run it, clean up, and keep the evidence: in the store, and in ``evidence.jsonl`` of the run's folder.

    Raises what the target raises; what was changed by then is taken back where the target still answers, and otherwise
    by ``clean_up`` later.
    """
    began = time.monotonic()
    request = prepared.request
    folder = new_folder(home, request.procedures[0])
    with ExitStack() as stack:
        progress.stage(f"reaching {request.target}")
        ground = Ground(prepared, folder, stack, now)
        write_emulation(folder, _about(ground))
        target = str(request.target)
        life = stack.enter_context(Lifecycle.open(folder, procedure=" ".join(request.procedures), target=target))
        run = _Run(prepared, ground, life, progress)
        done = run.go()
        left = run.end()
    report = EmulationReport(
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
    system = request.target.model if prepared.reference is None else f"reference-{request.target.model}"
    with home.open_store() as store:
        kept = [store.evidence.append(each) for each in evidence_of(report, library, system, now)]
    for each in kept:
        append_evidence(folder / FILE, each)
    return replace(report, evidence=tuple(kept))


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
            return tuple(self._procedure(each) for each in self.prepared.plan.procedures)
        except KillSwitchThrown as error:
            error.hint = f"Remove it, then: threatmatrix emulate clean-up {self.ground.folder.name}"
            raise
        except ThreatmatrixError as error:
            left = self.life.clean_up(self.ground.undoers())
            if not left.done:
                error.hint = f"Then take back what it changed: threatmatrix emulate clean-up {self.ground.folder.name}"
            raise

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
        samples, baseline = self._samples(procedure)
        results: dict[str, AttackResult] = {}
        for variant in self.prepared.plan.ways(procedure):
            if self.life.journal.pending("detonate"):
                self.life.revert(self.ground.undoers())  # each way begins at the same place
            self.progress.stage(f"{procedure.name}, {variant}")
            with self.life.detonation(idempotent=procedure.idempotent or bool(results)) as journal:
                results[variant] = self._attack(
                    procedure, variant, samples, journal, budgets=_budgets(procedure, variant, results)
                )
        first = results[self.prepared.plan.variants[0]]
        if attack_kind(procedure.use).attack is None:
            baseline = wilson(sum(outcome.before for outcome in first.outcomes), len(first.outcomes))
        return emulated(procedure, baseline, results)

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


def _budgets(procedure: Procedure, variant: str, results: Mapping[str, AttackResult]) -> Sequence[int] | None:
    """The control of an attack on one input at a time has exactly the queries that the attack spent."""
    if variant != CONTROL or attack_kind(procedure.use).attack is None:
        return None
    attack = next(iter(results.values()))
    return [max(1, outcome.queries) for outcome in attack.outcomes]
