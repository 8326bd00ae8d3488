"""Small mail, domains and headers, built once for all tests, and a stage to attack them on."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from threatmatrix.emulate.reference import build_reference
from threatmatrix.emulate.reference.base import Reference
from threatmatrix.emulate.stage import Samples, Stage
from threatmatrix.emulate.targets.in_process import InProcess

SMALL: dict[str, dict[str, int]] = {
    "mail": {"product": 600, "public": 500, "samples": 30},
    "domains": {"product": 500, "public": 500, "each": 3},
    "headers": {"product": 600, "public": 600, "check": 500, "samples": 24},
}


def fresh(name: str) -> Reference:
    return build_reference(name, 101, **SMALL[name])


@cache
def small(name: str) -> Reference:
    return fresh(name)


def stage(name: str, held: dict[str, Any], *, control: bool = False, seed: int = 1, **changes: Any) -> Stage:
    """A stage on the small target; ``held`` and what the attacker knows are at hand."""
    reference = small(name)
    params = changes.pop("params", {})
    values: dict[str, Any] = {
        "target": InProcess(reference), "judge": InProcess(reference), "budget": 1000, "norm": "none",
        "samples": Samples(reference.attacker.x, reference.attacker.y),
    }  # fmt: skip
    return Stage(
        rng=np.random.default_rng([seed, 7]), params=params, control=control,
        held={**reference.known, **held}, **(values | changes),
    )  # fmt: skip
