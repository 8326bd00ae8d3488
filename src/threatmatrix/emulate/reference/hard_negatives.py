"""Honest traffic that looks like an attack: reported as it comes out, never tuned away."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from threatmatrix.emulate.reference.digits import LEVEL
from threatmatrix.emulate.reference.honest import SECOND, HonestRequest
from threatmatrix.emulate.reference.mlp import FloatArray

__all__ = ["rescanning_user", "static_camera"]


def static_camera(
    x: FloatArray, image: int, *, frames: int, seed: int, sigma: float = 0.02, fps: float = 1.0
) -> Iterator[HonestRequest]:
    """A camera that looks at one digit and sends every frame: gaussian sensor noise ``sigma`` (input units)."""
    rng = np.random.default_rng([seed, 0xCA3E])
    index = np.array([image], dtype=np.int64)
    for frame in range(frames):
        row = np.clip(x[image] + rng.normal(0.0, sigma, x.shape[1]), 0.0, 1.0)
        yield HonestRequest(int(frame / fps * SECOND), "camera-01", "DoorCam/1.4 (RTOS)", row[None], index)


def rescanning_user(x: FloatArray, image: int, *, scans: int, seed: int, share: float = 0.3) -> Iterator[HonestRequest]:
    """A user who scans one digit again and again: ``share`` of the values are off by one grey level (1/16)."""
    rng = np.random.default_rng([seed, 0x5CA9])
    index = np.array([image], dtype=np.int64)
    at = 0
    for _ in range(scans):
        jitter = rng.choice([-LEVEL, 0.0, LEVEL], x.shape[1], p=[share / 2, 1 - share, share / 2])
        row = np.clip(x[image] + jitter, 0.0, 1.0)
        yield HonestRequest(at, "rescan-01", "DigitsApp/2.3 (Android 14)", row[None], index)
        at += int(rng.uniform(3.0, 15.0) * SECOND)
