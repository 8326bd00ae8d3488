"""Where an evasion may go, and in which directions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threatmatrix.emulate.attacks.base import Attempt
from threatmatrix.emulate.attacks.evasion.ball import Ball, directions, margins
from threatmatrix.emulate.attacks.evasion.cosines import Cosines, image_shape


@given(
    seed=st.integers(0, 10_000), norm=st.sampled_from(["l2", "linf"]), radius=st.floats(0.01, 3.0), d=st.integers(1, 40)
)
@settings(max_examples=150, deadline=None)
def test_every_point_is_within_the_norm_and_the_bounds(seed: int, norm: str, radius: float, d: int) -> None:
    rng = np.random.default_rng(seed)
    ball = Ball(rng.choice([0.0, 0.25, 1.0], d), norm, radius, (0.0, 1.0))
    for point in (ball.project(rng.normal(0.5, 2, d)), ball.outermost(rng.normal(size=d)), ball.outermost(np.zeros(d))):
        assert ball.length(point) <= radius + 1e-9
        assert point.min() >= -1e-12
        assert point.max() <= 1 + 1e-12


def test_what_the_bounds_cut_off_is_made_up_for() -> None:
    x = np.array([0.0, 0.0, 0.5, 0.5])
    ball = Ball(x, "l2", 0.4, (0.0, 1.0))
    point = ball.outermost(np.array([-1.0, -1.0, 1.0, 1.0]))
    assert ball.length(point) == pytest.approx(0.4, rel=2e-3)
    assert np.array_equal(point[:2], [0.0, 0.0])


@pytest.mark.parametrize("width", [16, 48, 64, 15])
def test_the_cosines_are_an_orthonormal_basis(width: int) -> None:
    cosines = Cosines.of(width)
    basis = np.stack([cosines.vector(i) for i in range(width)])
    assert np.allclose(basis @ basis.T, np.eye(width))
    assert sorted(cosines.low_first(np.random.default_rng(0))) == list(range(width))


def test_smooth_directions_change_little_from_one_value_to_the_next() -> None:
    drawn = np.random.default_rng(0).normal(size=(50, 64))
    cosines = Cosines.of(64)

    def roughness(share: float) -> float:
        images = cosines.smooth(drawn, share).reshape(50, 8, 8)
        return float(np.mean(np.diff(images, axis=2) ** 2))

    assert roughness(0.2) < roughness(0.6) < roughness(1.0)
    assert np.allclose(np.linalg.norm(cosines.smooth(drawn, 0.3), axis=1), 1.0)


def test_the_shape_of_an_image_is_told_by_its_width() -> None:
    assert [image_shape(n) for n in (64, 192, 3072, 1, 3, 17)] == [(8, 1), (8, 3), (32, 3), (0, 0), (0, 0), (0, 0)]


def test_heavy_tails_give_few_large_values() -> None:
    attempt = Attempt(np.zeros(64), 0, np.random.default_rng(0), lambda repeat: 1)
    plain, heavy = (
        np.abs(directions(attempt, 200, draws)).max(axis=1).mean() for draws in ("gaussian", "heavy-tailed")
    )
    assert heavy > 1.3 * plain


def test_a_margin_below_zero_is_a_flip() -> None:
    found = margins(np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [1.0, 0.0, 0.0]]), 0)
    assert found[0] == pytest.approx(np.log(3.5))
    assert found[1] < 0 < found[2] < np.inf
