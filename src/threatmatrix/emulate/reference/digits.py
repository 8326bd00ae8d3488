"""Real handwritten digits (8×8, 1797 images, bundled with scikit-learn) as a target to attack.

One seeded shuffle is cut into disjoint parts:

=============  ====  ==============================================================
part           size  used for
=============  ====  ==============================================================
base            400  the public base model, whose weights the attacker has
product         700  the product's model, served over HTTP
calibration     250  the defender's reference traffic
honest          250  what honest clients send
attacker        197  what the attacker starts from; and the clean accuracy
=============  ====  ==============================================================

Images are float64 in [0, 1], 64 values (sixteenths, as the data set has 17 grey levels).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from threatmatrix.emulate.reference.base import Reference, Visit
from threatmatrix.emulate.reference.forest import Forest
from threatmatrix.emulate.reference.honest import honest_clients, honest_requests
from threatmatrix.emulate.reference.mlp import MLP, FloatArray, IntArray
from threatmatrix.emulate.reference.offer import ScoredModel
from threatmatrix.emulate.stage import Samples
from threatmatrix.model.errors import MissingExtraError

__all__ = [
    "BOUNDS",
    "CLASSES",
    "INPUTS",
    "LEVEL",
    "SIZES",
    "DigitSplits",
    "Part",
    "accuracy",
    "build",
    "load_splits",
    "train_base",
    "train_product",
]

INPUTS = 64
CLASSES = 10
BOUNDS = (0.0, 1.0)
LEVEL = 1 / 16
SIZES = {"base": 400, "product": 700, "calibration": 250, "honest": 250, "attacker": 197}


@dataclass(frozen=True, slots=True)
class Part:
    """Images (n, 64) float64 in [0, 1] and their true digits (n,) int64."""

    x: FloatArray
    y: IntArray

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, slots=True)
class DigitSplits:
    """The five disjoint parts of one seeded shuffle."""

    base: Part
    product: Part
    calibration: Part
    honest: Part
    attacker: Part


def _sklearn(module: str) -> Any:
    try:
        return import_module(f"sklearn.{module}")
    except ImportError as e:
        raise MissingExtraError("the digits reference target", "emulate") from e


def load_splits(seed: int) -> DigitSplits:
    """Cut the digits into their parts; the same seed gives the same parts."""
    x, y = _sklearn("datasets").load_digits(return_X_y=True)
    order: NDArray[np.int64] = np.random.default_rng([seed, 0xD161]).permutation(len(y))
    ends = np.cumsum(list(SIZES.values()))[:-1]
    parts = (Part(np.asarray(x[i], dtype=np.float64) / 16.0, y[i].astype(np.int64)) for i in np.split(order, ends))
    return DigitSplits(*parts)


def _train(part: Part, hidden: tuple[int, ...], alpha: float, seed: int) -> MLP:
    classifier = _sklearn("neural_network").MLPClassifier(
        hidden_layer_sizes=hidden, alpha=alpha, solver="adam", learning_rate_init=2e-3,
        batch_size=64, max_iter=60, n_iter_no_change=1000, tol=0.0, random_state=seed % 2**32,
    )  # fmt: skip
    with import_module("threadpoolctl").threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it stopped at max_iter, which is what it was told
        classifier.fit(part.x, part.y)
    return MLP.of(classifier.coefs_, classifier.intercepts_)


def train_base(splits: DigitSplits, seed: int) -> MLP:
    """The public base model: 64 hidden units, trained on the base part. Deterministic by seed."""
    return _train(splits.base, (64,), 1e-3, seed)


def train_product(splits: DigitSplits, seed: int) -> MLP:
    """The product's model: 128 hidden units, trained on the product part. Deterministic by seed."""
    return _train(splits.product, (128,), 1e-3, seed + 1)


def accuracy(model: MLP | Forest, *parts: Part) -> float:
    """Share of correct labels over all images of the parts."""
    x, y = np.concatenate([p.x for p in parts]), np.concatenate([p.y for p in parts])
    return float(np.mean(model.labels(x) == y))


def _known(splits: DigitSplits) -> dict[str, Samples]:
    """Own digits of the attacker, and the candidates of membership attacks, whose truth is for the judgement alone."""
    parts = {"public": splits.base, "members": splits.product, "non_members": splits.honest, "corpus": splits.product}
    return {name: Samples(part.x, part.y) for name, part in parts.items()}


def _forest(splits: DigitSplits, seed: int) -> Forest:
    return Forest.train(splits.product.x, splits.product.y, classes=CLASSES, seed=seed)


def _retraining(seed: int, *, forest: bool) -> Callable[[Samples], ScoredModel]:
    """The product's training on other data: what an attacker with a hand in them has the owner do."""

    def retrain(data: Samples) -> ScoredModel:
        if forest:
            return ScoredModel(Forest.train(data.x, data.y, classes=CLASSES, seed=seed))
        return ScoredModel(_train(Part(data.x, data.y), (128,), 1e-3, seed + 1))

    return retrain


def build(seed: int, *, forest: bool = False) -> Reference:
    """The product as a reference target; an attacker knows the public base model (``surrogate``) and digits of his own.

    ``forest``: the product is a random forest, which remembers its training data more than the perceptron does.
    """
    splits = load_splits(seed)
    product = _forest(splits, seed) if forest else train_product(splits, seed)

    def honest(*, clients: int, seed: int) -> Iterator[Visit]:
        people = honest_clients(clients, len(splits.honest), seed=seed)
        addresses = {person.account: f"198.51.100.{number % 254 + 1}" for number, person in enumerate(people)}
        for request in honest_requests(splits.honest.x, people, seed=seed):
            yield Visit(
                at=request.offset_us, account=request.account, user_agent=request.user_agent,
                address=addresses[request.account], rows=request.rows,
            )  # fmt: skip

    return Reference(
        name="digits",
        title=f"handwritten digits of 8×8, a {'random forest' if forest else 'multi-layer perceptron'}",
        modality="image",
        classes=tuple("0123456789"),
        width=INPUTS,
        bounds=BOUNDS,
        model=ScoredModel(product),
        calibration=splits.calibration.x,
        attacker=Samples(splits.attacker.x, splits.attacker.y),
        honest=honest,
        accuracy=accuracy(product, splits.calibration, splits.honest, splits.attacker),
        known={"surrogate": train_base(splits, seed), "retrain": _retraining(seed, forest=forest)} | _known(splits),
        weights=product if isinstance(product, MLP) else None,
        training=Samples(splits.product.x, splits.product.y),
    )
