"""What the attacks' benchmark attacks: the digits, a network and a forest, and who has been told what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from threatmatrix.emulate.confirm import choose_samples
from threatmatrix.emulate.reference.digits import Part, load_splits, train_product
from threatmatrix.emulate.target import FloatArray, IntArray
from threatmatrix.emulate.targets import InProcessTarget
from threatmatrix.model.evidence import Rate
from threatmatrix.model.procedure import Procedure, ProcedureStep

THRESHOLDS = {"l2": 1.0, "linf": 0.15}
SCORE_ATTACKS = ("square", "simba", "nes", "zoo")
TREES = 100


class Forest:
    """A random forest of scikit-learn as arrays: the same answers, one row in a tenth of a millisecond."""

    def __init__(self, forest: Any) -> None:
        trees = [estimator.tree_ for estimator in forest.estimators_]
        shape = (len(trees), max(tree.node_count for tree in trees))
        self.inputs, self.classes = int(forest.n_features_in_), len(forest.classes_)
        self.depth = max(tree.max_depth for tree in trees)
        self.numbers = np.arange(len(trees))[None]
        self.children = np.zeros((2, *shape), dtype=np.int64)
        self.feature, self.limit = np.zeros(shape, dtype=np.int64), np.full(shape, np.inf)
        self.shares = np.zeros((*shape, self.classes))
        for i, tree in enumerate(trees):
            nodes, n = np.arange(tree.node_count), tree.node_count
            leaf = tree.children_left < 0
            self.children[0, i, :n] = np.where(leaf, nodes, tree.children_left)
            self.children[1, i, :n] = np.where(leaf, nodes, tree.children_right)
            self.feature[i, :n] = np.where(leaf, 0, tree.feature)
            self.limit[i, :n] = np.where(leaf, np.inf, tree.threshold)
            self.shares[i, :n] = tree.value[:, 0] / tree.value[:, 0].sum(axis=1, keepdims=True)

    def scores(self, x: FloatArray) -> FloatArray:
        """Shares of the trees' votes: (n, inputs) → (n, classes). Compares in 32 bits, as scikit-learn does."""
        x = np.asarray(x, dtype=np.float32).astype(np.float64)
        rows, at = np.arange(len(x))[:, None], np.zeros((len(x), self.numbers.shape[1]), dtype=np.int64)
        for _ in range(self.depth):
            right = x[rows, self.feature[self.numbers, at]] > self.limit[self.numbers, at]
            at = self.children[right.astype(np.int64), self.numbers, at]
        return np.asarray(self.shares[self.numbers, at].mean(axis=1))


@dataclass(frozen=True)
class World:
    """One model, and n samples that it gets right."""

    name: str
    model: Any
    x: FloatArray
    y: IntArray
    own: Part  # digits that are neither attacked nor trained on: what a thief has
    held_out: Part  # digits that neither the model nor a thief has seen: what fidelity is measured on

    def target(self) -> InProcessTarget:
        return InProcessTarget(self.model)


def worlds(seed: int, n: int) -> list[World]:
    """The product's network, and a forest trained on the same digits."""
    from sklearn.ensemble import RandomForestClassifier

    splits = load_splits(seed)
    forest = RandomForestClassifier(TREES, random_state=seed, n_jobs=1).fit(splits.product.x, splits.product.y)
    unseen = [splits.calibration, splits.honest, splits.attacker]
    held_out = Part(np.concatenate([part.x for part in unseen]), np.concatenate([part.y for part in unseen]))
    made = []
    for name, model in (("network", train_product(splits, seed)), ("forest", Forest(forest))):
        target = InProcessTarget(model)
        chosen = choose_samples(target, splits.attacker.x, splits.attacker.y, n, seed=seed)
        made.append(World(name, model, splits.attacker.x[chosen], splits.attacker.y[chosen], splits.base, held_out))
    return made


def share(rate: Rate) -> str:
    """``.90 [.80–.95]``."""
    value, low, high = (f"{number:.2f}".removeprefix("0") for number in (rate.value, rate.low, rate.high))
    return f"{value} [{low}–{high}]"


def procedure(use: str, norm: str, budget: int) -> Procedure:
    """An attack by its defaults at a norm and a budget for each sample."""
    return Procedure(
        id=use.replace("_", "-"), name=use, technique="online-evasion",
        access="score" if use in SCORE_ATTACKS else "label", modality="vector", max_queries=budget,
        steps=(ProcedureStep(use, {}),), metric="confirmed_success", norm=norm, threshold=THRESHOLDS[norm],
        control="random_control", idempotent=True, destructive=False, revert="nothing", expected_detections=(),
    )  # fmt: skip
