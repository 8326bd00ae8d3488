"""Events with vectors, made by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from threatmatrix.model.event import Event

SCALE = 1 / 24
Make = Callable[..., list[Event]]


def make_events(
    inputs: NDArray[np.float64],
    principals: str | list[str] = "alice",
    *,
    start: int = 0,
    step: int = 1_000_000,
    times: list[int] | None = None,
    fingerprints: list[str] | None = None,
    model: str = "digits",
    tenant: str | None = None,
) -> list[Event]:
    """One inference event for each (d,) row, in input units, without a projection."""
    steps = np.clip(np.rint(inputs / SCALE), -127, 127).astype(np.int8)
    return [
        Event(
            event_id=f"e{start + i}",
            time=times[i] if times else (start + i) * step,
            source="test",
            category="inference",
            principal=principals if isinstance(principals, str) else principals[i],
            model=model,
            tenant=tenant,
            system="shop",
            input_fp=fingerprints[i] if fingerprints else f"fp{start + i}",
            input_vec=steps[i].tobytes(),
            vec_scale=SCALE,
            vec_key="k1",
        )
        for i in range(len(inputs))
    ]
