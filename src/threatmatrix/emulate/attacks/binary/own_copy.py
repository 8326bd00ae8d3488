"""Read what the attacker's own copy of a scanner logs, and find out of which opinions its score is made.

Source: Skylight Cyber, "Cylance, I Kill You!", 2019 (verbose logs of an own installation). Access: file, a copy of the
product on the attacker's machine. Cost: no query of the target. Unlike in the source, where people read logs and
disassembled code, the finding is arithmetic: of the logged columns one is the score, the one that equals it for most
files is the first model, and files where the two differ were overruled.

Needs ``own_copy`` (:class:`VerboseCopy`) and ``programs`` (``Samples``: benign files, y says of which program). Holds
``favoured``: the files of the program that is overruled in its favour most, as bytes. Figures: ``columns``,
``overruled`` (programs with such files), ``programs``, ``likes`` (the share of the favoured program's files that is
overruled). Result: no outcomes, as it only prepares. Control: a program drawn by lot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.emulate.target import FloatArray, Rows
from threatmatrix.model.errors import UsageError

__all__ = ["OwnCopyParams", "VerboseCopy", "read_own_copy"]


@runtime_checkable
class VerboseCopy(Protocol):
    """A scanner that logs numbers about each file. One of the columns is ``score``: below 0 is malicious."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    def verbose(self, rows: Rows) -> FloatArray:
        """N files → (n, columns)."""


@dataclass(frozen=True, slots=True)
class OwnCopyParams:
    """When two logged numbers are taken to be the same, in units of the score."""

    same: float = 1.0


def read_own_copy(stage: Stage) -> Brought:
    """Find the program that a second opinion favours; see the module's docstring."""
    params = stage.settings(OwnCopyParams)
    copy, programs = stage.take("own_copy", VerboseCopy), stage.take("programs", Samples)  # type: ignore[type-abstract]
    logged = copy.verbose(programs.x)
    score = logged[:, copy.columns.index("score")]
    others = [i for i, name in enumerate(copy.columns) if name != "score"]
    agrees = np.abs(logged[:, others] - score[:, None]) < params.same
    first = others[int(np.argmax(agrees.mean(axis=0)))]
    helped = (np.abs(score - logged[:, first]) > params.same) & (score > 0)
    sizes = np.bincount(programs.y)
    shares = np.bincount(programs.y, weights=helped) / np.maximum(sizes, 1)
    if not helped.any():
        raise UsageError("no program is overruled in its favour: the copy seems to have one opinion only")
    favoured = int(stage.rng.choice(np.flatnonzero(sizes))) if stage.control else int(np.argmax(shares))
    figures = {
        "columns": float(len(copy.columns)),
        "overruled": float(np.count_nonzero(shares)),
        "programs": float(np.count_nonzero(sizes)),
        "likes": float(shares[favoured]),
    }
    return Brought(holds={"favoured": tuple(programs.x[programs.y == favoured])}, figures=figures)
