"""Calibration: the threshold, what it says about itself, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.detect.monitors.samples import SCALE, Make

from threatmatrix.detect import calibrate as module
from threatmatrix.detect.calibrate import calibrate, describe, nearest_distances
from threatmatrix.model.errors import UnknownNameError, UsageError


def random(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, 64))


def test_nearest_distances_are_exact_across_blocks() -> None:
    vecs = np.random.default_rng(1).integers(-127, 128, (1300, 7)).astype(np.int8)
    wide = vecs.astype(int)
    expected = [np.sort(((wide - row) ** 2).sum(axis=1))[1] ** 0.5 for row in wide]
    assert nearest_distances(vecs) == pytest.approx(expected)


def test_few_inputs_give_their_minimum_and_say_so(make: Make) -> None:
    events = make(random(200))
    (found,) = calibrate(events * 3, created=7)
    vecs = np.array([np.frombuffer(e.input_vec or b"", np.int8) for e in events])
    assert found.threshold == pytest.approx(nearest_distances(vecs).min() * SCALE)
    assert (found.inputs, found.distinct, found.created) == (600, 200, 7)
    assert "just their smallest distance (from 1,000 on it is a real quantile)" in describe(found)
    assert "200 distinct inputs (600 read)" in describe(found)


def test_enough_inputs_give_a_quantile(make: Make) -> None:
    events = make(random(400))
    (found,) = calibrate(events, quantile=0.1)
    vecs = np.array([np.frombuffer(e.input_vec or b"", np.int8) for e in events])
    assert np.mean(nearest_distances(vecs) * SCALE <= found.threshold * (1 + 1e-9)) == pytest.approx(0.1, abs=0.006)
    assert "smallest" not in describe(found)


def test_each_model_has_its_own(make: Make) -> None:
    events = make(random(60)) + make(random(60) * 0.5, model="faces") + make(random(20), model="rare")
    found = {c.model: c.threshold for c in calibrate(events)}
    assert set(found) == {"digits", "faces"}
    assert found["faces"] < found["digits"]
    assert [c.model for c in calibrate(events, models=["faces"])] == ["faces"]


def test_a_large_reference_is_sampled_whatever_its_order(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REFERENCE", 100)
    events = make(random(450))
    (one,), (other,) = calibrate(events, created=1), calibrate(events[::-1], created=1)
    assert one == other
    assert (one.inputs, one.distinct) == (450, 100)


def test_refusals(make: Make) -> None:
    with pytest.raises(UsageError, match=r"too few distinct.*digits \(k1\): 49; 50 are needed"):
        calibrate(make(random(49)) * 4)
    with pytest.raises(UsageError, match="no visibility: none of the 60 inference events has input_vec"):
        calibrate([replace(e, input_vec=None) for e in make(random(60))])
    with pytest.raises(UsageError, match="two scales"):
        calibrate(make(random(60)) + [replace(e, vec_scale=0.5) for e in make(random(60))])
    with pytest.raises(UsageError, match="the threshold would be 0"):
        calibrate(make(np.repeat(random(40), 2, axis=0)))
    with pytest.raises(UsageError, match="quantile"):
        calibrate(make(random(60)), quantile=1.0)
    with pytest.raises(UnknownNameError):
        calibrate(make(random(60)), monitor="drift")
