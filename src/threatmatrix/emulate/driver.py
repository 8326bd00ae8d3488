"""The driver: sends what attacks yield, counts every row, repeats, rotates accounts, waits, hides, stops.

The only place where an attack and a target meet. A query that the rest of the budget does not pay for
in full is not sent: the attempt ends with the best point it has.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from threatmatrix.emulate.attacks.base import AttackSteps, Attempt, Query, Reply
from threatmatrix.emulate.target import Answer, Rows, Target
from threatmatrix.emulate.variants import Variant
from threatmatrix.model.errors import TargetRefused, UsageError

__all__ = ["Driver", "Job"]


@dataclass(slots=True)
class Job:
    """One sample's attempt with its budget. ``spent`` counts rows that were sent, refused ones too.

    ``rng``: for what the driver itself draws, noise and innocent rows.
    """

    index: int
    budget: int
    variant: Variant
    rng: np.random.Generator
    spent: int = 0
    refused: bool = False
    attempt: Attempt = field(init=False)
    steps: AttackSteps = field(init=False)

    def rows_left(self, repeat: bool) -> int:
        """Rows that the budget still pays for."""
        return (self.budget - self.spent) // self.variant.cost(repeat)


class Driver:
    """Runs jobs one after the other, or for the lockstep variant one query each in turn.

    ``pool``: the attacker's own inputs (m rows), of which a job's own is the one at its index; the ``dummies`` variant
    sends others of them. Raises UsageError where the ``delay`` variant meets a target without ``pause(seconds)``.
    """

    def __init__(self, target: Target, variant: Variant, *, want_scores: bool, pool: Rows) -> None:
        self.target = target
        self.variant = variant
        self.want_scores = want_scores
        self.pool = pool
        self.pause: Callable[[float], None] | None = getattr(target, "pause", None)
        if variant.delay and self.pause is None:
            raise UsageError("the delay variant waits, and this target has no time that could pass")
        if variant.dummies and len(pool) < 2:
            raise UsageError("the dummies variant hides among other inputs of its own, and there is none")

    def run(self, jobs: Iterable[Job], done: Callable[[Job], None]) -> None:
        """Run all; ``done`` is called as each ends. Errors of the target other than a refusal pass through."""
        waiting = deque(jobs)
        width = max(1, len(waiting)) if self.variant.lockstep else 1
        active: deque[tuple[Job, Query | None]] = deque()
        while waiting or active:
            while waiting and len(active) < width:
                active.append(self._begin(waiting.popleft()))
            job, query = active.popleft()
            following = None if query is None else self._step(job, query)
            if following is None:
                job.steps.close()
                done(job)
            else:
                active.appendleft((job, following)) if width == 1 else active.append((job, following))

    def _begin(self, job: Job) -> tuple[Job, Query | None]:
        """The first query; where every account has been refused, one row finds out whether that still holds."""
        self.target.accounts.turn_to(job.index)
        if self.target.accounts.all_refused and job.budget > 0:
            try:
                self._send(job, job.attempt.x[None])
            except TargetRefused:
                self.target.accounts.refused()
                job.refused = True
                return job, None
        return job, next(job.steps, None)

    def _step(self, job: Job, query: Query) -> Query | None:
        """Send one query and return the next; None where the attempt is over."""
        self.target.accounts.turn_to(job.index)
        reply = self._ask(job, query)
        if reply is None:
            return None
        try:
            return job.steps.send(reply)
        except StopIteration:
            return None

    def _ask(self, job: Job, query: Query) -> Reply | None:
        """The reply; None where the budget is used up or the defender said no."""
        variant = self.variant
        repeats, rows = variant.repeats if query.repeat else 1, query.rows
        while job.spent + len(rows) * variant.cost(query.repeat) <= job.budget:
            sent = self._disguised(job, np.repeat(rows, repeats, axis=0), exact=query.exact)
            if variant.delay and self.pause is not None:
                self.pause(variant.delay)
            try:
                if variant.dummies:
                    self._send(job, self._innocent(job, len(rows) * variant.dummies))
                answer = self._send(job, sent)
            except TargetRefused:
                another = self.target.accounts.refused()
                if not (another and (variant.rotation or variant.oars)):
                    job.refused = True
                    return None
                if query.redraw is not None:
                    rows = query.redraw()
                continue
            return self._reply(sent if repeats == 1 else rows, answer, repeats)
        return None

    def _disguised(self, job: Job, rows: Rows, *, exact: bool) -> Rows:
        """The rows with the variant's noise; raises UsageError for rows that are no numbers."""
        if not self.variant.noise or exact:
            return rows
        if rows.dtype.kind != "f":
            raise UsageError("the noise variant adds to numbers, and these inputs are none")
        low, high = self.target.bounds
        return np.clip(rows + job.rng.normal(0.0, self.variant.noise * (high - low), rows.shape), low, high)

    def _innocent(self, job: Job, n: int) -> Rows:
        """N other inputs of the attacker's own."""
        at = job.rng.integers(0, len(self.pool) - 1, n)
        rows: Rows = self.pool[at + (at >= job.index)]
        return rows

    def _send(self, job: Job, rows: Rows) -> Answer:
        before = self.target.queries
        try:
            return self.target.ask(rows, want_scores=self.want_scores)
        finally:
            job.spent += self.target.queries - before

    def _reply(self, rows: Rows, answer: Answer, repeats: int) -> Reply:
        """Average repeats: the mean of scores, or the share of votes where there are labels only."""
        scores = answer.scores
        if scores is None:
            scores = np.eye(self.target.classes)[answer.labels]
        if repeats > 1:
            scores = scores.reshape(len(rows), repeats, -1).mean(axis=1)
        return Reply(rows, np.argmax(scores, axis=1).astype(np.int64), scores)
