"""Chaff: many mutants of one program, made on the attacker's own machine, of which a good part does not run.

Source: metame, a metamorphic engine for arbitrary executables (A. Ortega), as in the case "VirusTotal poisoning";
dead code from harmless programs: Lin, Stamp, "Hunting for undetectable metamorphic viruses", 2011. Access: none.
Cost: no query. How it differs from metame: opcodes only, no operands and no bytes, so that nothing of it runs at all.

``metamorphic_chaff`` needs ``original`` (one sample of a family), ``public_programs`` and ``taught`` (how many programs
the engines know), and holds ``breeder`` (the engine, for more) and ``mutants`` (Rows). Result: no outcomes. Figures:
``mutants``, ``broken`` (share that a wrong jump cut short), ``alike_low`` and ``alike_high`` (of the original's runs of
three opcodes, the share that a mutant keeps: smallest and largest of twenty that are not cut short).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.training.metamorphic import Metamorph
from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.emulate.target import Rows, texts

__all__ = ["Breeder", "MetamorphicChaffParams", "metamorphic_chaff"]


@dataclass(frozen=True, slots=True)
class MetamorphicChaffParams:
    """``share``: mutants, as a share of the programs that the engines know. ``substitute``, ``idle``: chances for an
    instruction; ``moved``: share of the blocks; ``broken``: share of the mutants that a wrong jump cuts short.
    ``dead``: blocks of dead code for each of its own. ``size``: how many times the original's blocks a mutant has at
    most: one with much dead code has lost the rest of its own.
    """

    share: float = 0.125
    substitute: float = 0.04
    idle: float = 0.02
    moved: float = 0.3
    broken: float = 0.2
    dead: float = 0.5
    size: float = 6.0


@dataclass(frozen=True, slots=True)
class Breeder:
    """Makes mutants of one program, with as much dead code as is asked for."""

    engine: Metamorph
    original: str
    family: int
    broken: float
    size: float

    def mutants(self, n: int, dead: float, rng: np.random.Generator) -> tuple[Rows, int]:
        """So many, and how many of them were cut short."""
        too_much = 1.0 - min(1.0, self.size / (1.0 + dead))
        made, short = [], 0
        for _ in range(n):
            cut = too_much
            if rng.random() < self.broken:
                cut += (1.0 - cut) * float(rng.uniform(0.0, 0.8))
            short += cut > 0.0
            made.append(self.engine.mutant(self.original, dead, cut, rng))
        return texts(made), short


def metamorphic_chaff(stage: Stage) -> Brought:
    """Make the first mutants; see the module's docstring."""
    params = stage.settings(MetamorphicChaffParams)
    original, public = stage.take("original", Samples), stage.take("public_programs", np.ndarray)
    engine = Metamorph(params.substitute, params.idle, params.moved, list(public))
    breeder = Breeder(engine, str(original.x[0]), int(original.y[0]), params.broken, params.size)
    number = max(1, round(params.share * stage.take("taught", int)))
    mutants, short = breeder.mutants(number, params.dead, stage.rng)
    whole = (engine.mutant(breeder.original, params.dead, 0.0, stage.rng) for _ in range(20))
    kept = [_kept(breeder.original, mutant) for mutant in whole]
    return Brought(
        holds={"breeder": breeder, "mutants": mutants},
        figures={
            "mutants": len(mutants),
            "broken": short / len(mutants),
            "alike_low": min(kept),
            "alike_high": max(kept),
        },
    )


def _kept(original: str, mutant: str) -> float:
    """Of the original's runs of three opcodes, the share that the mutant has."""
    runs, there = _runs(original), _runs(mutant)
    return len(runs & there) / len(runs)


def _runs(listing: str) -> set[tuple[str, ...]]:
    words = listing.split()
    return {tuple(words[at : at + 3]) for at in range(len(words) - 2)}
