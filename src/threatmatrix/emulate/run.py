"""Run one procedure, in one variant, against a target, and confirm what it claims."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks import ATTACKS, RECON
from threatmatrix.emulate.attacks.base import Attempt, Setting
from threatmatrix.emulate.attacks.read_metadata import read_metadata
from threatmatrix.emulate.confirm import confirmed
from threatmatrix.emulate.driver import Driver, Job
from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.target import FloatArray, IntArray, Target
from threatmatrix.emulate.variants import REPEATS, Variant, parse_variant
from threatmatrix.model.errors import FormatError, TargetRefused, UnknownNameError, UsageError
from threatmatrix.model.evidence import AttackResult, SampleOutcome
from threatmatrix.model.matrix import Procedure

__all__ = ["run_procedure"]


def run_procedure(
    procedure: Procedure,
    target: Target,
    samples: FloatArray,
    labels: IntArray,
    *,
    seed: int,
    variant: str = "plain",
    confirm_target: Target,
    max_queries: int | None = None,
    budgets: Sequence[int] | None = None,
    surrogate: MLP | None = None,
    repeats: int | None = None,
) -> AttackResult:
    """Attack every sample (n, d) float64 with its true label (n,) and confirm each by fresh queries.

    ``max_queries``: rows for each sample, instead of the procedure's; ``budgets``: one for each sample
    (a control at exactly the queries that an attack spent). ``surrogate``: a model whose weights the
    attacker has, for transfer. ``repeats``: how often an averaging variant asks, instead of the
    procedure's ``params.repeats``. Each sample has its
    own generator, seeded by (seed, index): the order of samples changes nothing.

    Raises UnknownNameError for an unknown attack or variant, and what the target raises, except for a
    refusal: that ends the sample, with ``refused=True``.
    """
    how = parse_variant(variant, repeats=_repeats(procedure, repeats))
    if procedure.use not in (*ATTACKS, *RECON):
        raise UnknownNameError("attack", procedure.use, [*ATTACKS, *RECON])
    started = time.monotonic()
    outcomes: tuple[SampleOutcome, ...]
    if procedure.use in RECON:
        outcomes, confirm_queries = (_recon(target),), 0
    else:
        limits = list(budgets) if budgets is not None else [max_queries or procedure.max_queries] * len(samples)
        if not len(samples) == len(labels) == len(limits):
            raise UsageError(f"{len(samples)} samples, {len(labels)} labels and {len(limits)} budgets do not match")
        run = _Run(procedure, how, target, confirm_target, samples, labels, surrogate)
        outcomes, confirm_queries = run.attack(limits, seed)
    return AttackResult(
        procedure=procedure.id, technique=procedure.technique, variant=variant,
        norm=procedure.norm, threshold=procedure.threshold, outcomes=outcomes,
        queries=sum(o.queries for o in outcomes), confirm_queries=confirm_queries,
        seed=seed, correlation=target.correlation, seconds=time.monotonic() - started,
    )  # fmt: skip


def _repeats(procedure: Procedure, override: int | None) -> int:
    """How often an averaging variant asks: the caller's number, the procedure's, or the default."""
    number = procedure.params.get("repeats", REPEATS) if override is None else override
    if not isinstance(number, int) or number < 1:
        raise FormatError(procedure.id, f"needs a whole number of at least 1, not {number!r}", key="params.repeats")
    return number


def _recon(target: Target) -> SampleOutcome:
    before = target.queries
    try:
        card = read_metadata(target)
    except TargetRefused:
        target.accounts.refused()
        return SampleOutcome(
            index=0, claimed=False, confirmed=False, queries=target.queries - before, distance=0.0, refused=True
        )
    return SampleOutcome(
        index=0, claimed=bool(card.server or card.platform or card.inputs or card.outputs),
        confirmed=bool(card.inputs and card.outputs), queries=target.queries - before, distance=0.0,
    )  # fmt: skip


@dataclass(slots=True)
class _Run:
    """What one run holds on to while its jobs come and go."""

    procedure: Procedure
    variant: Variant
    target: Target
    confirm_target: Target
    samples: FloatArray
    labels: IntArray
    surrogate: MLP | None

    def attack(self, budgets: Sequence[int], seed: int) -> tuple[tuple[SampleOutcome, ...], int]:
        """All outcomes, in the samples' order, and the rows that confirmation took."""
        outcomes: dict[int, SampleOutcome] = {}
        before = self.confirm_target.queries
        in_attack = 0

        def done(job: Job) -> None:
            outcomes[job.index] = self._judge(job)

        jobs = [self._job(i, budget, seed) for i, budget in enumerate(budgets)]
        driver = Driver(self.target, self.variant, want_scores=self.procedure.access == "score")
        pool, were_in_turn = self.target.accounts, self.target.accounts.round_robin
        pool.round_robin = were_in_turn or self.variant.rotation
        try:
            driver.run(jobs, done)
        finally:
            pool.round_robin = were_in_turn
        if self.confirm_target is self.target:
            in_attack = sum(o.queries for o in outcomes.values())
        ordered = tuple(outcomes[i] for i in range(len(jobs)))
        return ordered, self.confirm_target.queries - before - in_attack

    def _job(self, index: int, budget: int, seed: int) -> Job:
        job = Job(index, budget, self.variant.repeats)
        x = np.ascontiguousarray(self.samples[index], dtype=np.float64).ravel()
        rng = np.random.default_rng([seed, index])
        job.attempt = Attempt(x, int(self.labels[index]), rng, job.rows_left)
        use = self.procedure.control if self.variant.control else self.procedure.use
        if use not in ATTACKS:
            raise UnknownNameError("random control", use, ATTACKS)
        job.steps = ATTACKS[use](job.attempt, self._setting())
        return job

    def _setting(self) -> Setting:
        own = {key: value for key, value in self.procedure.params.items() if key != "repeats"}
        return Setting(
            norm=self.procedure.norm, threshold=self.procedure.threshold, bounds=self.target.bounds,
            pool_x=self.samples.reshape(len(self.samples), -1), pool_y=self.labels, surrogate=self.surrogate,
            oars=self.variant.oars, repeats=self.variant.repeats,
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
