"""The index: recall of near pairs, exactness of what it returns, and bounded dense buckets."""

from __future__ import annotations

import numpy as np
import pytest

from threatmatrix.detect.monitors import memory as parameters
from threatmatrix.detect.monitors.hashing import StableHash, collision_probability
from threatmatrix.detect.monitors.index import CHUNK, NeighbourIndex

RADIUS = 12.0  # int8 steps


def hasher(key: bytes = b"k", radius: float = RADIUS) -> StableHash:
    return StableHash(64, parameters.WIDTH * radius, tables=parameters.TABLES, hashes=parameters.HASHES, key=key)


@pytest.mark.parametrize("key", [b"a", b"b", b"c"])
def test_hash_recall_of_pairs_within_the_threshold_without_the_cap(key: bytes) -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(-60, 61, (20_000, 64)).astype(np.int8)
    step = rng.standard_normal(first.shape)
    step *= rng.uniform(0, RADIUS, (len(first), 1)) / np.linalg.norm(step, axis=1, keepdims=True)
    second = np.rint(first + step).astype(np.int8)
    within = ((first.astype(int) - second) ** 2).sum(axis=1) <= RADIUS**2
    subject = hasher(key)
    recall = (subject.keys(first) == subject.keys(second))[within].any(axis=1).mean()
    assert recall >= 0.99


def test_the_chosen_tables_keep_the_worst_pair_too() -> None:
    one = collision_probability(parameters.WIDTH) ** parameters.HASHES
    assert 1 - (1 - one) ** parameters.TABLES >= 0.99


def test_collision_probability_agrees_with_trials() -> None:
    rng = np.random.default_rng(1)
    offset, step = rng.random(400_000) * 4.0, rng.standard_normal(400_000)
    assert np.mean(np.floor(offset / 4.0) == np.floor((offset + step) / 4.0)) == pytest.approx(
        collision_probability(4.0), abs=0.003
    )


def test_keys_do_not_depend_on_how_many_are_hashed_at_once() -> None:
    vecs = np.random.default_rng(2).integers(-127, 128, (300, 64)).astype(np.int8)
    subject = hasher()
    assert np.array_equal(subject.keys(vecs), np.concatenate([subject.keys(vec[None]) for vec in vecs]))


def test_links_are_exactly_within_the_radius_and_dense_buckets_stay_bounded() -> None:
    rng = np.random.default_rng(3)
    index = NeighbourIndex(64, RADIUS**2, hasher(), reach=8, limit=5000)
    vecs = np.rint(rng.normal(0, 1.0, (4000, 64))).astype(np.int8)  # all within reach of one another: one dense ball
    wide = vecs.astype(float)
    squared = (wide**2).sum(axis=1)[:, None] + (wide**2).sum(axis=1)[None] - 2 * (wide @ wide.T)  # whole numbers: exact
    lonely = 0
    for start in range(0, len(vecs), CHUNK):
        rows = vecs[start : start + CHUNK]
        links = index.add(rows, np.zeros(len(rows), np.int64))
        assert len(links.rows) <= len(rows) * parameters.TABLES * 8
        gaps = ((rows[links.rows].astype(int) - vecs[links.seqs]) ** 2).sum(axis=1)
        assert (gaps <= RADIUS**2).all()
        assert (links.seqs < start).all()
        linked = set(links.rows.tolist()) | {row for row, bits in enumerate(links.local) if bits}
        near = squared[start : start + CHUNK, : start + CHUNK] <= RADIUS**2
        earlier = np.arange(min(start + CHUNK, len(vecs)))[None, :] < (start + np.arange(len(rows)))[:, None]
        lonely += sum(row not in linked for row in np.flatnonzero((near & earlier).any(axis=1)))
    assert lonely == 0
    assert index.truncated > 0
