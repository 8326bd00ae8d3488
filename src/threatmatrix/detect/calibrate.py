"""Calibration: a monitor's threshold, learnt from reference traffic that is known to be honest."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from threatmatrix.detect.monitors.explain import describe
from threatmatrix.detect.monitors.near_duplicates import NearDuplicateMonitor
from threatmatrix.detect.monitors.vectors import Space, Vectors, block, space_of, squared_norms, widen
from threatmatrix.model.detection import Calibration
from threatmatrix.model.errors import UnknownNameError, UsageError
from threatmatrix.model.event import Event

__all__ = ["MAX_REFERENCE", "MIN_DISTINCT", "calibrate", "describe", "nearest_distances"]

MIN_DISTINCT = 50
MAX_REFERENCE = 20_000
"""Distinct inputs used at most for each model and projection: the distances of all pairs are taken."""

_BLOCK = 1024


@dataclass(slots=True)
class _Reference:
    space: Space
    inputs: int = 0
    vecs: dict[str, bytes] = field(default_factory=dict)  # input_fp -> vector

    def add(self, event: Event) -> None:
        self.inputs += 1
        self.vecs.setdefault(event.input_fp or "", event.input_vec or b"")
        if len(self.vecs) > 2 * MAX_REFERENCE:
            self.vecs = dict(self.sample())

    def sample(self) -> list[tuple[str, bytes]]:
        """At most :data:`MAX_REFERENCE` inputs: a random sample that depends on the inputs alone."""
        ranked = sorted(self.vecs.items(), key=lambda item: blake2b(item[0].encode(), digest_size=8).digest())
        return ranked[:MAX_REFERENCE]


def calibrate(
    events: Iterable[Event],
    quantile: float = 0.001,
    monitor: str = NearDuplicateMonitor.name,
    *,
    created: int | None = None,
    models: Collection[str] | None = None,
) -> list[Calibration]:
    """One calibration for each (model, vec_key) of the reference events with at least 50 distinct inputs.

    The threshold is the ``quantile`` of the distances from each distinct input (by ``input_fp``) to its
    nearest other, in input units; always a distance that occurred (inverse of the empirical distribution),
    so with ``distinct · quantile ≤ 1`` it is the smallest. ``created`` is µs (default: now); ``models``
    narrows it down to some models.

    Raises UnknownNameError for an unknown monitor, and UsageError for a quantile outside (0, 1), for
    events without input vectors, for fewer than 50 distinct inputs in every model, for one projection
    at two scales, and for distinct inputs whose vectors coincide (threshold 0).
    """
    if monitor != NearDuplicateMonitor.name:
        raise UnknownNameError("monitor with a calibration", monitor, [NearDuplicateMonitor.name])
    if not 0 < quantile < 1:
        raise UsageError(f"the quantile {quantile:g} is not between 0 and 1", hint="Try 0.001")
    references = _collect(events, models)
    enough = [reference for reference in references if len(reference.vecs) >= MIN_DISTINCT]
    if not enough:
        found = ", ".join(f"{ref.space.model} ({ref.space.vec_key}): {len(ref.vecs)}" for ref in references[:10])
        raise UsageError(
            f"too few distinct reference inputs to calibrate {monitor}: {found}; {MIN_DISTINCT} are needed",
            hint="Give more honest traffic; 1,000 inputs and more make the 0.1 % quantile a real one",
        )
    stamp = time.time_ns() // 1000 if created is None else created
    return [_threshold(reference, quantile, monitor, stamp) for reference in enough]


def nearest_distances(vecs: Vectors) -> NDArray[np.float64]:
    """(n,) L2 distances, in int8 steps, from each row of (n, d) int8 vectors to its nearest other row; exact."""
    wide = widen(vecs)
    norms = squared_norms(wide)
    nearest = np.empty(len(vecs), np.float64)
    for start in range(0, len(vecs), _BLOCK):
        part = wide[start : start + _BLOCK]
        squared = norms[start : start + _BLOCK, None] + norms[None, :] - 2 * (part @ wide.T)
        squared[np.arange(len(part)), np.arange(start, start + len(part))] = np.inf
        nearest[start : start + _BLOCK] = np.sqrt(squared.min(axis=1))
    return nearest


def _collect(events: Iterable[Event], models: Collection[str] | None) -> list[_Reference]:
    found: dict[tuple[str, str], _Reference] = {}
    read = 0
    for event in events:
        if event.category != "inference" or (models is not None and event.model not in models):
            continue
        read += 1
        space = space_of(event)
        if space is None:
            continue
        reference = found.setdefault((space.model, space.vec_key), _Reference(space))
        if reference.space != space:
            raise UsageError(
                f"the reference has vectors of model {space.model}, projection {space.vec_key}, at two scales or "
                f"lengths ({reference.space.vec_scale:g} × {reference.space.dims}, {space.vec_scale:g} × {space.dims})",
                hint="Calibrate each gateway configuration from its own log",
            )
        reference.add(event)
    if not found:
        raise UsageError(
            f"no visibility: none of the {read:,} inference events has input_vec with vec_scale, vec_key, input_fp",
            hint="Only a log that carries input vectors can calibrate this monitor: use the gateway's log",
        )
    return list(found.values())


def _threshold(reference: _Reference, quantile: float, monitor: str, created: int) -> Calibration:
    space, vecs = reference.space, [vec for _, vec in reference.sample()]
    distances = nearest_distances(block(vecs, space.dims))
    steps = float(np.quantile(distances, quantile, method="inverted_cdf"))
    if steps == 0:
        same = int(np.count_nonzero(distances == 0))
        raise UsageError(
            f"{same} of {len(vecs)} distinct reference inputs to model {space.model} have the same vector as another: "
            "the threshold would be 0",
            hint="Leave repeated or nearly repeated inputs out of the reference, or choose a smaller vec_scale",
        )
    return Calibration(
        monitor=monitor,
        model=space.model,
        vec_key=space.vec_key,
        threshold=steps * space.vec_scale,
        quantile=quantile,
        inputs=reference.inputs,
        distinct=len(vecs),
        created=created,
    )
