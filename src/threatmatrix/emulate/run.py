"""Run one procedure, in one variant, against a target, and confirm what it claims."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from threatmatrix.emulate.attacks import AttackKind, attack_kind
from threatmatrix.emulate.attacks.base import Attack, Attempt, Setting
from threatmatrix.emulate.confirm import confirmed
from threatmatrix.emulate.driver import Driver, Job
from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.emulate.target import IntArray, Rows, Store, Target, Teachable
from threatmatrix.emulate.variants import REPEATS, Variant, parse_variant
from threatmatrix.model.errors import FormatError, UnknownNameError, UsageError
from threatmatrix.model.evidence import AttackResult, SampleOutcome
from threatmatrix.model.procedure import Procedure, ProcedureStep

__all__ = ["SAME", "Hands", "run_procedure"]

SAME = "same"
"""A procedure's ``control``: its own last step, with chance in place of what it knows."""


def _say_nothing(text: str) -> None:
    del text


@dataclass(slots=True, kw_only=True)
class Hands:
    """What the attacker has beside the target: what earlier procedures brought, and other ways in.

    ``held`` is added to as steps bring things back.
    """

    held: dict[str, Any] = field(default_factory=dict)
    teacher: Teachable | None = None
    store: Store | None = None
    report: Callable[[str], None] = _say_nothing


def run_procedure(
    procedure: Procedure,
    target: Target,
    samples: Rows,
    labels: IntArray,
    *,
    seed: int,
    variant: str = "plain",
    confirm_target: Target,
    max_queries: int | None = None,
    budgets: Sequence[int] | None = None,
    hands: Hands | None = None,
    repeats: int | None = None,
) -> AttackResult:
    """Carry out every step in order; the outcomes are the last one's, each confirmed by fresh queries.

    ``samples`` (n rows) with their true labels (n,). ``max_queries``: instead of the procedure's; for each sample
    where the attack works on one at a time, else of each step. ``budgets``: one for each sample (a control at exactly
    the queries that an attack spent). ``repeats``: how often an averaging variant asks, instead of the procedure's
    ``params.repeats``. Each sample has its own generator, seeded by (seed, index): their order changes nothing.

    The variant ``random-control`` runs the last step only, on what ``hands`` hold from the run that it stands beside.

    Raises UnknownNameError for an unknown attack or variant, UsageError where something that an attack needs is
    missing, and what the target raises, except for a refusal of an attack on one input at a time: that ends the
    sample, with ``refused=True``.
    """
    how = parse_variant(variant, repeats=_repeats(procedure, repeats))
    hands = hands if hands is not None else Hands()
    kinds = [attack_kind(step.use) for step in procedure.steps]
    if len(samples) != len(labels) or (budgets is not None and len(budgets) != len(samples)):
        given = "as many as there are samples" if budgets is None else f"{len(budgets)}"
        raise UsageError(f"{len(samples)} samples, {len(labels)} labels and budgets ({given}) do not match")
    started = time.monotonic()
    run = _Run(procedure, how, target, confirm_target, Samples(samples, labels), hands, seed, max_queries, budgets)
    spent, asked_to_confirm = _sent(target, hands), confirm_target.queries
    if not how.control:
        for number, (step, kind) in enumerate(zip(procedure.steps[:-1], kinds[:-1], strict=True)):
            run.prepare(step, kind, number)
    done = run.judged(kinds[-1])
    queries = (
        sum(o.queries for o in done.outcomes) if kinds[-1].attack and len(kinds) == 1 else _sent(target, hands) - spent
    )
    own = queries if confirm_target is target else 0
    return AttackResult(
        procedure=procedure.id, technique=procedure.technique, variant=variant,
        norm=procedure.norm, threshold=procedure.threshold, outcomes=done.outcomes, queries=queries,
        confirm_queries=confirm_target.queries - asked_to_confirm - own,
        seed=seed, correlation=target.correlation, seconds=time.monotonic() - started, figures=dict(done.figures),
    )  # fmt: skip


def _sent(target: Target, hands: Hands) -> int:
    """Rows and calls of the attacker so far, to the model and to the store beside it."""
    return target.queries + (hands.store.queries if hands.store is not None else 0)


def _repeats(procedure: Procedure, override: int | None) -> int:
    """How often an averaging variant asks: the caller's number, the procedure's, or the default."""
    number = procedure.params.get("repeats", REPEATS) if override is None else override
    if not isinstance(number, int) or number < 1:
        raise FormatError(procedure.id, f"needs a whole number of at least 1, not {number!r}", key="params.repeats")
    return number


@dataclass(slots=True)
class _Run:
    """What one run holds on to while its steps and jobs come and go."""

    procedure: Procedure
    variant: Variant
    target: Target
    confirm_target: Target
    samples: Samples
    hands: Hands
    seed: int
    max_queries: int | None
    budgets: Sequence[int] | None

    def prepare(self, step: ProcedureStep, kind: AttackKind, number: int) -> None:
        """A step before the last: only what it brings back counts."""
        if kind.whole is None:
            raise UsageError(f"{self.procedure.id}: {step.use} works on one sample at a time: only the last step may")
        self.hands.report(kind.title)
        self.hands.held.update(self._whole(step, kind, number, control=False).holds)

    def judged(self, kind: AttackKind) -> Brought:
        """The last step, or its random control."""
        step, number = self.procedure.steps[-1], len(self.procedure.steps) - 1
        if self.variant.control and self.procedure.control != SAME:
            if not self.procedure.control:
                raise UnknownNameError("random control", self.procedure.id, ())
            step, kind = ProcedureStep(self.procedure.control), attack_kind(self.procedure.control)
        self.hands.report(kind.title)
        if kind.attack is not None:
            return Brought(outcomes=self._each(kind.attack))
        brought = self._whole(step, kind, number, control=self.variant.control)
        if not self.variant.control:
            self.hands.held.update(brought.holds)
        return brought

    def _whole(self, step: ProcedureStep, kind: AttackKind, number: int, *, control: bool) -> Brought:
        assert kind.whole is not None
        stage = Stage(
            target=self.target, judge=self.confirm_target, samples=self.samples,
            rng=np.random.default_rng([self.seed, number, 0x57A6E]), params=step.params,
            budget=self.max_queries or self.procedure.max_queries, norm=self.procedure.norm,
            threshold=self.procedure.threshold, control=control, held=self.hands.held,
            teacher=self.hands.teacher, store=self.hands.store, report=self.hands.report,
        )  # fmt: skip
        with self._turns():
            return kind.whole(stage)

    @contextmanager
    def _turns(self) -> Iterator[None]:
        """Meanwhile the accounts take turns where the variant says so."""
        pool, before = self.target.accounts, self.target.accounts.round_robin
        pool.round_robin = before or self.variant.rotation
        try:
            yield
        finally:
            pool.round_robin = before

    def _each(self, attack: Attack) -> tuple[SampleOutcome, ...]:
        """All outcomes of an attack on one sample at a time, in the samples' order."""
        outcomes: dict[int, SampleOutcome] = {}

        def done(job: Job) -> None:
            outcomes[job.index] = self._judge(job)

        each = self.max_queries or self.procedure.max_queries
        limits = self.budgets if self.budgets is not None else [each] * len(self.samples)
        jobs = [self._job(attack, i, budget) for i, budget in enumerate(limits)]
        driver = Driver(self.target, self.variant, want_scores=self.procedure.access == "score", pool=self._pool())
        with self._turns():
            driver.run(jobs, done)
        return tuple(outcomes[i] for i in range(len(jobs)))

    def _job(self, attack: Attack, index: int, budget: int) -> Job:
        job = Job(index, budget, self.variant, np.random.default_rng([self.seed, index, 0xD1]))
        x = self.samples.x[index]
        if isinstance(x, np.ndarray):
            x = np.ascontiguousarray(x, dtype=np.float64).ravel()
        rng = np.random.default_rng([self.seed, index])
        job.attempt = Attempt(x, int(self.samples.y[index]), rng, job.rows_left)
        job.steps = attack(job.attempt, self._setting())
        return job

    def _pool(self) -> Rows:
        """The attacker's own inputs: (m, d), or m texts or files."""
        x = self.samples.x
        return np.asarray(x, dtype=np.float64).reshape(len(x), -1) if x.dtype.kind in "fiu" else x

    def _setting(self) -> Setting:
        own = {key: value for key, value in self.procedure.params.items() if key != "repeats"}
        low, high = self.target.bounds
        return Setting(
            norm=self.procedure.norm, threshold=self.procedure.threshold, bounds=self.target.bounds,
            pool_x=self._pool(), pool_y=self.samples.y,
            surrogate=self.hands.held.get("surrogate"), oars=self.variant.oars, repeats=self.variant.repeats,
            wide=self.variant.wide, draws=self.variant.draws, noise=self.variant.noise * (high - low),
            params={} if self.variant.control else own,
        )  # fmt: skip

    def _judge(self, job: Job) -> SampleOutcome:
        attempt = job.attempt
        # what a blocked account worked out is no success unless the account itself can send it
        final = None if job.refused and self.variant.name == "blocked-account" else attempt.best
        success, away = confirmed(
            self.confirm_target, attempt.x, attempt.y, final,
            norm=self.procedure.norm, threshold=self.procedure.threshold,
        )  # fmt: skip
        return SampleOutcome(
            index=job.index, claimed=attempt.claimed, confirmed=success,
            queries=job.spent, distance=away, refused=job.refused,
        )  # fmt: skip
