"""Attacks of the Adversarial Robustness Toolbox (ART 1.20), each on one sample through a meter.

Their settings are chosen for small budgets (on other seeds than any that is reported): ART's own defaults spend more
than a whole budget of ours on the first step.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from threatmatrix.emulate.attacks.evasion.cosines import image_shape
from threatmatrix.emulate.crosscheck.meter import Meter
from threatmatrix.emulate.target import FloatArray
from threatmatrix.model.errors import MissingExtraError

__all__ = ["ATTACKS", "attack"]

INSIDE = 1 - 1e-6
"""ART counts in 32 bits: a threshold a little smaller keeps its points within ours."""


def _art(module: str) -> Any:
    try:
        return import_module(f"art.{module}")
    except ImportError as error:
        raise MissingExtraError("a cross-check by ART", "crosscheck") from error


def _order(norm: str) -> float:
    return 2 if norm == "l2" else np.inf


def _hop_skip_jump(classifier: Any, meter: Meter) -> Any:
    return _art("attacks.evasion").HopSkipJump(
        classifier, norm=_order(meter.norm), max_iter=200, max_eval=100, init_eval=30, init_size=25, verbose=False
    )


def _square(classifier: Any, meter: Meter) -> Any:
    return _art("attacks.evasion").SquareAttack(
        classifier, norm=_order(meter.norm), max_iter=meter.budget, eps=meter.threshold * INSIDE, p_init=0.8,
        nb_restarts=1, verbose=False,
    )  # fmt: skip


def _simba(classifier: Any, meter: Meter) -> Any:
    step = 0.1 if meter.norm == "l2" else meter.threshold * INSIDE
    return _art("attacks.evasion").SimBA(
        classifier, attack="dct" if meter.norm == "l2" else "px", epsilon=step, max_iter=meter.budget,
        freq_dim=image_shape(len(meter.x))[0], stride=1, order="random", verbose=False,
    )  # fmt: skip


def _boundary(classifier: Any, meter: Meter) -> Any:
    return _art("attacks.evasion").BoundaryAttack(
        classifier, targeted=False, delta=0.1, epsilon=0.1, max_iter=meter.budget, num_trial=25, sample_size=3,
        init_size=25, verbose=False,
    )  # fmt: skip


def _sign_opt(classifier: Any, meter: Meter) -> Any:
    return _art("attacks.evasion").SignOPTAttack(
        classifier, targeted=False, num_trial=10, k=20, query_limit=meter.budget, verbose=False
    )


def _zoo(classifier: Any, meter: Meter) -> Any:
    return _art("attacks.evasion").ZooAttack(
        classifier, learning_rate=0.3, max_iter=meter.budget, binary_search_steps=1, initial_const=100.0,
        abort_early=False, use_resize=False, use_importance=False, nb_parallel=16, variable_h=0.3, verbose=False,
    )  # fmt: skip


ATTACKS: dict[str, Callable[[Any, Meter], Any]] = {
    "hop_skip_jump": _hop_skip_jump,
    "square": _square,
    "simba": _simba,
    "boundary": _boundary,
    "sign_opt": _sign_opt,
    "zoo": _zoo,
}


def attack(use: str, meter: Meter) -> None:
    """Run one attack until it ends or the meter stops it; raises what the meter raises."""
    logging.getLogger("art").setLevel(logging.ERROR)
    side, channels = image_shape(len(meter.x))
    shape = (side, side, channels) if side else (len(meter.x),)
    classifier = _art("estimators.classification").BlackBoxClassifierNeuralNetwork(
        meter.scores, shape, meter.target.classes, channels_first=False, clip_values=meter.target.bounds
    )
    rows = meter.x.reshape(1, *shape).astype(np.float32)
    label = np.eye(meter.target.classes)[[meter.y]]
    found: FloatArray = ATTACKS[use](classifier, meter).generate(x=rows, y=label)
    if not np.array_equal(found, rows):
        meter.scores(found)
