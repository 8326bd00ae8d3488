"""Hashes and projections: equality, distances, ranges."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threatmatrix.telemetry.inputs.fingerprint import DEFAULT_STEP, Fingerprinter, _orthonormal, gaussian_matrix
from threatmatrix.telemetry.inputs.oip import Tensor

KEY = b"k" * 32
PINNED = (0.07426323481859393, 0.480106767605447)


def tensor(x: np.ndarray, datatype: str = "FP64") -> Tensor:
    return Tensor("x", datatype, x.shape, x.reshape(len(x), -1), None, True)


def project(x: np.ndarray, **more: Any) -> tuple[np.ndarray, Fingerprinter, str, int]:
    made = Fingerprinter(more.pop("key", KEY), **more)
    found = made.vectors([tensor(x)])
    assert found is not None
    rows = np.stack([np.frombuffer(b64decode(text), dtype=np.int8) for text in found.encoded]).astype(float)
    return rows, made, found.key, found.clipped


@settings(deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.29, 0.44, 0.63, 1.0]), st.binary(min_size=16, max_size=32))
def test_distances_of_8x8_images_are_kept(seed: int, distance: float, key: bytes) -> None:
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 17, (200, 64)) / 16
    move = rng.normal(size=a.shape)
    b = a + distance * move / np.linalg.norm(move, axis=1, keepdims=True)
    rows, made, _, clipped = project(np.concatenate([a, b]).reshape(-1, 8, 8), key=key)
    measured = np.linalg.norm(rows[:200] - rows[200:], axis=1) * made.scale
    # rounding each of 2 x 64 components adds scale * sqrt(64 / 6) in quadrature
    expected = np.hypot(distance, made.scale * np.sqrt(64 / 6))
    assert clipped == 0
    assert measured.mean() == pytest.approx(expected, rel=0.015)
    assert np.abs(measured / expected - 1).max() < 0.25


@settings(deadline=None, max_examples=25)
@given(st.binary(min_size=16, max_size=32))
def test_no_corner_of_the_unit_cube_clips(key: bytes) -> None:
    matrix = project(np.zeros((1, 64)), key=key)[1]._projections[64].matrix
    worst = np.concatenate([(matrix > 0).T, (matrix < 0).T]).astype(float)  # each pushes one component furthest
    assert project(worst, key=key)[3] == 0


def test_inputs_far_out_of_range_clip_and_are_counted() -> None:
    for value in (50.0, 1e300, -1e300):
        rows, _, _, clipped = project(np.full((2, 64), value))
        assert 0 < clipped <= 128
        assert rows.min() >= -127


@pytest.mark.parametrize("d", [784, 3072, 5000])
def test_larger_rows_keep_distances_of_smooth_changes(d: int) -> None:
    rng = np.random.default_rng(d)
    a = rng.random((300, d)) * 0.1 + 0.45
    smooth = np.repeat(rng.normal(size=(300, 49)), d // 49 + 1, axis=1)[:, :d]
    b = a + smooth / np.linalg.norm(smooth, axis=1, keepdims=True)
    rows, made, _, clipped = project(np.concatenate([a, b]))
    assert rows.shape[1] == 64
    assert clipped == 0
    measured = np.linalg.norm(rows[:300] - rows[300:], axis=1) * made.scale
    assert measured.mean() == pytest.approx(1.0, rel=0.06)
    assert measured.std() < 0.15


def test_the_projection_depends_on_the_key_and_its_id_on_all_that_changes_it() -> None:
    x = np.random.default_rng(0).random((1, 64))
    base, _, name, _ = project(x)
    again, _, same, _ = project(x)
    assert np.array_equal(base, again)
    assert name == same
    variants: list[dict[str, Any]] = [{"key": b"z" * 32}, {"dims": 32}, {"scale": 0.1}, {"input_range": (0.0, 255.0)}]
    names = {project(x, **more)[2] for more in variants} | {project(np.zeros((1, 63)))[2], name}
    assert len(names) == 6
    assert not np.array_equal(base, project(x, key=b"z" * 32)[0])


def test_the_gaussian_source_never_changes() -> None:
    found = gaussian_matrix(b"fixed", 50, 40)
    assert found[0, :2] == pytest.approx(PINNED, abs=1e-9)  # a change would make old vectors incomparable
    assert abs(found.mean()) < 0.1
    assert found.std() == pytest.approx(1, abs=0.05)


def test_the_scale_follows_the_input_range() -> None:
    assert Fingerprinter(KEY).scale == DEFAULT_STEP
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64)).astype(np.uint8)
    rows, made, _, clipped = project(pixels, input_range=(0.0, 255.0))
    assert made.scale == DEFAULT_STEP * 255
    assert clipped == 0
    true = np.linalg.norm(pixels[0].astype(float) - pixels[1])
    assert np.linalg.norm(rows[0] - rows[1]) * made.scale == pytest.approx(true, rel=0.02)


def test_hashes_tell_bytes_shape_datatype_and_key_apart() -> None:
    x = np.zeros((1, 4))
    made = Fingerprinter(KEY)
    cases = [
        made.hashes([tensor(x)], 1),
        made.hashes([tensor(x.reshape(1, 2, 2))], 1),
        made.hashes([tensor(x.astype(np.float32), "FP32")], 1),
        made.hashes([tensor(x + 1e-300)], 1),
        Fingerprinter(b"z" * 32).hashes([tensor(x)], 1),
        made.hashes([tensor(x), tensor(x)], 1),
    ]
    assert len({case[0] for case in cases}) == 6
    assert all(len(case[0]) == 32 for case in cases)
    assert made.hashes([tensor(np.zeros((3, 4)))], 3) == cases[0] * 3


def test_a_refused_request_makes_no_new_projection_and_few_are_kept() -> None:
    made = Fingerprinter(KEY)
    assert made.vectors([tensor(np.zeros((1, 8)))], build=False) is None
    for d in range(1, 100):
        made.vectors([tensor(np.zeros((1, d)))])
    assert len(made._projections) <= 16


@pytest.mark.parametrize(("n", "k"), [(1, 1), (3, 3), (64, 64), (65, 64), (1024, 64)])
def test_the_columns_are_those_of_a_qr_decomposition(n: int, k: int) -> None:
    drawn = gaussian_matrix(b"k" * 32, n, k)
    q, r = np.linalg.qr(drawn)
    made = _orthonormal(drawn)
    assert np.abs(made - q * np.sign(np.diagonal(r))).max() < 1e-11
    assert np.abs(made.T @ made - np.eye(k)).max() < 1e-13
