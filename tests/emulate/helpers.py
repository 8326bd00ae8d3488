"""A tiny model, procedures and a scope for the tests of this room."""

from __future__ import annotations

import numpy as np

from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.model.procedure import Procedure, ProcedureStep
from threatmatrix.model.system import Scope

D = 16


def half_space() -> MLP:
    """Class 1 where the mean of 16 values is above one half."""
    weights = np.zeros((D, 2))
    weights[:, 1] = 1.0
    return MLP.of([weights * 8], [np.array([0.0, -8.0 * D / 2])])


def inputs(n: int, *, mean: float = 0.4) -> tuple[np.ndarray, np.ndarray]:
    x = np.clip(np.random.default_rng(0).normal(mean, 0.05, (n, D)), 0, 1)
    return x, half_space().labels(x)


def procedure(use: str, **changes: object) -> Procedure:
    values: dict[str, object] = {
        "id": use.replace("_", "-"), "name": use, "technique": "online-evasion",
        "access": "score" if use == "square" else "label", "modality": "vector", "max_queries": 200,
        "steps": (ProcedureStep(use),),
        "metric": "confirmed_success", "norm": "linf" if use == "square" else "l2",
        "threshold": 0.2 if use == "square" else 1.0, "control": "random_control", "idempotent": True,
        "destructive": False, "revert": "nothing", "expected_detections": (),
    }  # fmt: skip
    return Procedure(**(values | changes))  # type: ignore[arg-type]


def scope(**changes: object) -> Scope:
    values: dict[str, object] = {
        "owner": "red team", "hosts": ("127.0.0.1",), "models": ("digits",), "techniques": ("online-evasion",),
        "max_queries": 10_000, "rps": 1e6, "expires": 4_000_000_000_000_000, "file": "scope.yaml",
    }  # fmt: skip
    return Scope(**(values | changes))  # type: ignore[arg-type]
