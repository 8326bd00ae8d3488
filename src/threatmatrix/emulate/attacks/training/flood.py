"""Near-duplicate flood: mutants of one program, shared until the platform's own verdicts teach its engines chaff.

Source: Adversarial ML Threat Matrix, case study "VirusTotal poisoning". Access: feedback. Cost: one query for each
upload, and one for each mutant that is looked up first.

The platform labels what is uploaded by what most of its engines say, and the engines learn that label. Each generation
of mutants has more dead code from harmless programs than the last. The attacker looks a few too many of them up, and
uploads only those that most engines still call the family; so each generation teaches the engines that what was added
belongs to the family, and they call the next one so, which has still more. In the end harmless code alone will do.
Where fewer than ``pace`` of a generation still pass, the next one has less dead code instead. How it differs from the
case: there nobody is known to have looked anything up; the uploads are the same, and so is what the engines learn.

As control, as many harmless programs of the attacker's own, rewritten by the same engine, looked up and uploaded alike.

``share_samples`` uploads the first ``mutants`` and holds ``shared``, their number. Result: one outcome for each,
confirmed where the auditor hears that most engines call it the family. ``near_duplicate_flood`` goes on to a ``share``
of ``taught``, the number of programs that the engines know. Result: one outcome for each held-out harmless program,
e.g. ``SampleOutcome(index=3, claimed=True, confirmed=True, queries=8, distance=0.0, before=False)``; confirmed where
more than half of the engines call it the family. Figures: ``fpr_before``, ``fpr_after``, ``uploads``, ``looked_up``,
``passed`` (share of those looked up that most engines called the family), ``dead`` (of the last generation), ``broken``
(share of the mutants that were cut short).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from threatmatrix.emulate.attacks.asking import ask_all
from threatmatrix.emulate.attacks.training.base import BoolArray, outcomes_of, room, taught_by
from threatmatrix.emulate.attacks.training.chaff import Breeder
from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.emulate.target import Rows, Target, texts

__all__ = ["NearDuplicateFloodParams", "ShareSamplesParams", "near_duplicate_flood", "share_samples"]


@dataclass(frozen=True, slots=True)
class ShareSamplesParams:
    """``each``: uploads in one request."""

    each: int = 5


@dataclass(frozen=True, slots=True)
class NearDuplicateFloodParams:
    """``share``: uploads in all, those that were shared before too, as a share of the programs that the engines know.
    They come in so many ``generations``; ``spare``: how many times as many are looked up. ``dead``: blocks of dead code
    for each of its own in the first one; ``faster``: times as much in the next; ``most``: never more. ``pace``: share
    that must still pass. ``each``: uploads in one request.
    """

    share: float = 1.5
    generations: int = 12
    spare: float = 1.4
    dead: float = 1.0
    faster: float = 2.0
    most: float = 40.0
    pace: float = 0.7
    each: int = 5


def share_samples(stage: Stage) -> Brought:
    """Upload what was made; see the module's docstring."""
    params = stage.settings(ShareSamplesParams)
    mutants, breeder = stage.take("mutants", np.ndarray), stage.take("breeder", Breeder)
    before = _accused(stage.judge, mutants, breeder.family)
    start = stage.target.queries
    labels = np.full(len(mutants), breeder.family, dtype=np.int64)
    told, refused = taught_by(stage, Samples(mutants, labels), params.each, stage.budget)
    after = _accused(stage.judge, mutants, breeder.family)
    shared = np.arange(len(mutants)) < told
    spent = stage.target.queries - start
    return Brought(
        outcomes=outcomes_of(after & shared, before, shared, queries=spent, refused=refused),
        holds={"shared": told},
        figures={"shared": told, "labelled_family": float(np.mean(after))},
    )


def near_duplicate_flood(stage: Stage) -> Brought:
    """Upload generation after generation; see the module's docstring."""
    params = stage.settings(NearDuplicateFloodParams)
    flood = _Flood(stage, params, stage.take("breeder", Breeder), stage.target.queries)
    family, held_out = flood.breeder.family, stage.samples.x
    before = _accused(stage.judge, held_out, family)
    shared = stage.held.get("shared", 0)
    flood.run(0 if stage.control or not isinstance(shared, int) else shared)
    after = _accused(stage.judge, held_out, family)
    claimed = np.zeros(len(held_out), dtype=np.bool_)
    if not flood.refused:
        heard = ask_all(stage, held_out, 10, since=flood.start)
        flood.refused = heard.refused
        claimed[: len(heard.labels)] = heard.labels == family
    spent = stage.target.queries - flood.start
    return Brought(
        outcomes=outcomes_of(after, before, claimed, queries=spent, refused=flood.refused),
        figures={"fpr_before": float(np.mean(before)), "fpr_after": float(np.mean(after)), **flood.figures()},
    )


def _accused(judge: Target, programs: Rows, family: int) -> BoolArray:
    """Whether more than half of the engines call each program the family; without scores, whether the verdict does."""
    answer = judge.ask(programs, want_scores=True)
    named: BoolArray = answer.labels == family
    if answer.scores is not None:
        named &= answer.scores[:, family] > 0.5
    return named


@dataclass(slots=True)
class _Flood:
    """One flood as it goes."""

    stage: Stage
    params: NearDuplicateFloodParams
    breeder: Breeder
    start: int
    uploads: int = 0
    looked_up: int = 0
    passed: int = 0
    made: int = 0
    broken: int = 0
    dead: float = field(init=False)
    refused: bool = False

    def run(self, shared: int) -> None:
        """Until all are uploaded, no account is left, or the budget is used up."""
        self.dead, self.uploads, barren = self.params.dead, shared, 0
        uploads = round(self.params.share * self.stage.take("taught", int))
        generation = math.ceil(uploads / max(1, self.params.generations))
        while self.uploads < uploads and barren < 5 and not self.refused:
            wanted = min(generation, uploads - self.uploads)
            rows = self._bred(max(wanted, round(wanted * self.params.spare)))
            passing = self._passing(rows)
            barren = 0 if passing.any() or self.stage.control else barren + 1
            chosen = rows[:wanted] if self.stage.control else rows[passing][:wanted]
            if self.refused or room(self.stage, self.start) <= 0 or not self._upload(chosen):
                break
            self._next(float(np.mean(passing)))

    def _bred(self, n: int) -> Rows:
        stage, breeder = self.stage, self.breeder
        if stage.control:
            own = stage.take("public_programs", np.ndarray)
            chosen = own[stage.rng.integers(0, len(own), n)]
            return texts(breeder.engine.mutant(str(text), self.params.dead, 0.0, stage.rng) for text in chosen)
        rows, broken = breeder.mutants(n, self.dead, stage.rng)
        self.made, self.broken = self.made + n, self.broken + broken
        return rows

    def _passing(self, rows: Rows) -> BoolArray:
        """Which of them most engines call the family, as far as that could be looked up."""
        heard = ask_all(self.stage, rows, self.params.each, since=self.start)
        self.refused = heard.refused
        passing = np.zeros(len(rows), dtype=np.bool_)
        passing[: len(heard.labels)] = heard.labels == self.breeder.family
        self.looked_up, self.passed = self.looked_up + len(heard.labels), self.passed + int(passing.sum())
        return passing

    def _upload(self, rows: Rows) -> bool:
        """Share them from accounts in turn; False where that ended before all were."""
        labels = np.full(len(rows), self.breeder.family, dtype=np.int64)
        left = room(self.stage, self.start)
        told, refused = taught_by(self.stage, Samples(rows, labels), self.params.each, left)
        self.uploads, self.refused = self.uploads + told, self.refused or refused
        return told == len(rows)

    def _next(self, share: float) -> None:
        """How much dead code the next generation has."""
        if share >= self.params.pace:
            self.dead = min(self.params.most, self.dead * self.params.faster)
        elif share <= 0.4:
            self.dead /= self.params.faster

    def figures(self) -> dict[str, float]:
        """What is told of it."""
        return {
            "uploads": self.uploads,
            "looked_up": self.looked_up,
            "passed": self.passed / max(1, self.looked_up),
            "dead": self.dead,
            "broken": self.broken / max(1, self.made),
        }
