"""Natural-image patches of 32×32 grey levels as a target: which of two photographs, and which kind of region of it.

The photographs are those inside scikit-learn (a temple in China, a flower). Pillow is needed to read them, no network.
Each is cut into 70 blocks of 61×64 pixels, which are dealt to the parts of the table below, so that no part shares a
pixel with another; patches are cut from a block at random places. A label is a photograph and one of three kinds of
region, which are clusters (k-means) of the product's patches by their light, seen from afar (4×4).

===========  =====================================================================
part         used for
===========  =====================================================================
product      the model that is served: a multi-layer perceptron on the pixels
public       the attacker's own patches, with true labels: ``known["public"]``
calibration  the defender's reference traffic
honest       what honest clients send
attacker     what is attacked, and the accuracy
===========  =====================================================================
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module

import numpy as np

from threatmatrix.emulate.reference.base import ModelAnswer, Reference, Visit
from threatmatrix.emulate.reference.honest import honest_clients, honest_requests
from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.stage import Samples
from threatmatrix.emulate.target import FloatArray, IntArray, Rows
from threatmatrix.model.errors import MissingExtraError

__all__ = ["CLASSES", "PIXELS", "SIDE", "PatchModel", "build"]

SIDE = 32
PIXELS = SIDE * SIDE
ROWS, COLUMNS = 7, 10
"""Blocks of a photograph."""
KINDS = 3
CLASSES = tuple(f"{photo}-{kind + 1}" for photo in ("china", "flower") for kind in range(KINDS))
SHARES = {"product": 0.45, "public": 0.2, "calibration": 0.1, "honest": 0.1, "attacker": 0.15}
LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True, slots=True)
class PatchModel:
    """A perceptron on pixels."""

    mlp: MLP

    def answer(self, rows: Rows) -> ModelAnswer:
        if rows.ndim != 2 or rows.shape[1] != PIXELS or rows.dtype.kind != "f":
            raise ValueError(f"rows of {PIXELS} numbers are needed")
        scores = self.mlp.scores(np.asarray(rows, dtype=np.float64))
        return ModelAnswer(np.argmax(scores, axis=1).astype(np.int64), scores)


def build(seed: int, *, patches: int = 1500, hidden: int = 64) -> Reference:
    """Train the product's model on so many ``patches``; the other parts get a fifth of that each."""
    rng = np.random.default_rng([seed, 0x9A7C])
    cut = {
        name: _cut(share, patches if name == "product" else patches // 5, rng)
        for name, share in _deal(_photographs(), rng).items()
    }
    centres = [
        _clusters(_afar(cut["product"].at(np.flatnonzero(cut["product"].y == photo)).x), rng) for photo in range(2)
    ]
    parts = {name: Samples(part.x, _labels(part, centres)) for name, part in cut.items()}
    mlp = _train(parts["product"], hidden, seed)
    model, attacker = PatchModel(mlp), parts["attacker"]
    return Reference(
        name="patches", title="patches of two photographs: which one, and which kind of region", modality="image",
        classes=CLASSES, width=PIXELS, model=model, calibration=parts["calibration"].x, attacker=attacker,
        honest=partial(_visits, parts["honest"].x),
        accuracy=float(np.mean(model.answer(attacker.x).labels == attacker.y)),
        known={"public": parts["public"]}, weights=mlp, training=parts["product"],
    )  # fmt: skip


def _photographs() -> list[FloatArray]:
    """Two pictures (427, 640) in [0, 1], in 256 grey levels."""
    try:
        found = import_module("sklearn.datasets").load_sample_images()
    except ImportError as e:
        raise MissingExtraError("the patches reference target", "emulate") from e
    return [np.round(image @ LUMA) / 255.0 for image in found.images]


def _deal(pictures: list[FloatArray], rng: np.random.Generator) -> dict[str, list[list[FloatArray]]]:
    """Part → for each photograph its blocks."""
    ends = np.cumsum(list(SHARES.values()))[:-1]
    out: dict[str, list[list[FloatArray]]] = {name: [] for name in SHARES}
    for picture in pictures:
        height, width = picture.shape[0] // ROWS, picture.shape[1] // COLUMNS
        blocks = [
            picture[row * height : (row + 1) * height, column * width : (column + 1) * width]
            for row in range(ROWS)
            for column in range(COLUMNS)
        ]
        order = rng.permutation(len(blocks))
        for name, index in zip(SHARES, np.split(order, np.round(ends * len(blocks)).astype(int)), strict=True):
            out[name].append([blocks[i] for i in index])
    return out


def _cut(blocks: list[list[FloatArray]], n: int, rng: np.random.Generator) -> Samples:
    """N patches, the photographs in turn; the labels are those of the photographs."""
    x = np.empty((n, PIXELS))
    y = np.arange(n, dtype=np.int64) % len(blocks)
    for i, photo in enumerate(y):
        block = blocks[photo][int(rng.integers(len(blocks[photo])))]
        top, left = (int(rng.integers(size - SIDE + 1)) for size in block.shape)
        x[i] = block[top : top + SIDE, left : left + SIDE].ravel()
    return Samples(np.round(x, 3), y)


def _afar(x: FloatArray) -> FloatArray:
    """Patches (n, 1024) as 4×4 means: (n, 16)."""
    return np.asarray(x.reshape(-1, 4, 8, 4, 8).mean(axis=(2, 4)).reshape(len(x), 16))


def _clusters(x: FloatArray, rng: np.random.Generator) -> FloatArray:
    """K-means (Lloyd 1982): the centres, from dark to light."""
    centres = x[np.argsort(x.mean(axis=1))[np.linspace(0, len(x) - 1, KINDS + 2).astype(int)[1:-1]]]
    for _ in range(20):
        near = _nearest(x, centres)
        centres = np.stack([
            x[near == i].mean(axis=0) if np.any(near == i) else x[rng.integers(len(x))] for i in range(KINDS)
        ])  # fmt: skip
    return np.asarray(centres[np.argsort(centres.mean(axis=1))])


def _nearest(x: FloatArray, centres: FloatArray) -> IntArray:
    return np.asarray(np.argmin(((x[:, None] - centres[None]) ** 2).sum(axis=2), axis=1), dtype=np.int64)


def _labels(part: Samples, centres: list[FloatArray]) -> IntArray:
    """Of patches that are labelled by their photograph."""
    kinds = np.stack([_nearest(_afar(part.x), each) for each in centres], axis=1)
    return np.asarray(part.y * KINDS + kinds[np.arange(len(part)), part.y], dtype=np.int64)


def _train(part: Samples, hidden: int, seed: int) -> MLP:
    network = import_module("sklearn.neural_network").MLPClassifier(
        hidden_layer_sizes=(hidden,), alpha=1e-2, learning_rate_init=2e-3, batch_size=64, max_iter=25,
        n_iter_no_change=1000, tol=0.0, random_state=seed % 2**32,
    )  # fmt: skip
    with import_module("threadpoolctl").threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it stopped at max_iter, which is what it was told
        network.fit(part.x - 0.5, part.y)
    first = network.coefs_[0]
    biases = [network.intercepts_[0] - 0.5 * first.sum(axis=0), *network.intercepts_[1:]]
    return MLP.of(network.coefs_, biases)


def _visits(x: FloatArray, *, clients: int, seed: int) -> Iterator[Visit]:
    """Patches of the clients' own, some much more often than others."""
    for request in honest_requests(x, honest_clients(clients, len(x), seed=seed), seed=seed):
        yield Visit(
            at=request.offset_us, account=request.account, user_agent=request.user_agent,
            address=f"203.0.113.{int(request.account.rpartition('-')[2]) % 250 + 1}", rows=request.rows,
        )  # fmt: skip
