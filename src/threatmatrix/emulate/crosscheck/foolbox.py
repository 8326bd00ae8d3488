"""Attacks of foolbox 3.3, each on one sample through a meter, in its NumPy mode.

Their settings are chosen for small budgets, as those of :mod:`threatmatrix.emulate.crosscheck.art`: by its defaults
foolbox spends hundreds of queries on the start alone.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from threatmatrix.emulate.crosscheck.meter import Meter
from threatmatrix.model.errors import MissingExtraError

__all__ = ["ATTACKS", "attack"]


def _foolbox(module: str) -> Any:
    try:
        return import_module(f"foolbox.{module}" if module else "foolbox")
    except ImportError as error:
        raise MissingExtraError("a cross-check by foolbox", "crosscheck") from error


def _start() -> Any:
    return _foolbox("attacks").LinearSearchBlendedUniformNoiseAttack(directions=25, steps=20)


def _hop_skip_jump(meter: Meter) -> Any:
    return _foolbox("attacks").HopSkipJumpAttack(
        init_attack=_start(), steps=200, initial_gradient_eval_steps=30, max_gradient_eval_steps=100,
        constraint=meter.norm,
    )  # fmt: skip


def _boundary(meter: Meter) -> Any:
    return _foolbox("attacks").BoundaryAttack(
        init_attack=_start(), steps=meter.budget, spherical_step=0.3, source_step=0.05, update_stats_every_k=5
    )


ATTACKS: dict[str, Callable[[Meter], Any]] = {"hop_skip_jump": _hop_skip_jump, "boundary": _boundary}


def attack(use: str, meter: Meter) -> None:
    """Run one attack until it ends or the meter stops it; raises what the meter raises."""
    model = _foolbox("").NumPyModel(meter.scores, bounds=meter.target.bounds)
    criterion = _foolbox("criteria").Misclassification(np.array([meter.y]))
    ATTACKS[use](meter).run(model, meter.x[None].astype(np.float64), criterion)
