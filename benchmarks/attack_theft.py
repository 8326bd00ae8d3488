"""Theft of a model, own beside ART's: the same victim, the same inputs to choose from, the same number of answers."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.attack_world import World
from threatmatrix.emulate.reference.digits import Part
from threatmatrix.emulate.run import Hands, run_procedure
from threatmatrix.emulate.stage import Samples
from threatmatrix.emulate.target import FloatArray
from threatmatrix.emulate.targets import InProcessTarget
from threatmatrix.model.matrix import Procedure, ProcedureStep

BUDGET = 400
OWN = ("in_distribution", "active", "jacobian_augmentation", "random_queries")
ART = ("CopycatCNN", "KnockoffNets", "FunctionallyEquivalentExtraction")
HIDDEN = 128
MOST = 50_000


def _procedure(use: str, access: str) -> Procedure:
    return Procedure(
        id=use.replace("_", "-"), name=use, technique="model-stealing", access=access, modality="vector",  # type: ignore[arg-type]
        max_queries=BUDGET, steps=(ProcedureStep(use, {}),), metric="fidelity", norm="none", threshold=0.0,
        control="same", idempotent=True, destructive=False, revert="nothing", expected_detections=(),
    )  # fmt: skip


def own(world: World, use: str, access: str, seed: int) -> tuple[float, int]:
    """Fidelity on the samples, and what was asked."""
    held = {"public": Samples(world.own.x, world.own.y)}
    target = InProcessTarget(world.model, gives_scores=access == "score")
    result = run_procedure(
        _procedure(use, access), target, world.x, world.y, seed=seed, confirm_target=world.target(),
        hands=Hands(held=held),
    )  # fmt: skip
    return result.figures["fidelity"], result.queries


class Counted:
    """A victim as ART sees it, counted, and bounded: a theft that asks for more than MOST rows would go on for ever."""

    def __init__(self, world: World) -> None:
        self.model, self.queries = world.model, 0

    def __call__(self, rows: FloatArray) -> FloatArray:
        self.queries += len(rows)
        if self.queries > MOST:
            raise RuntimeError(f"more than {MOST:,} queries")
        return np.asarray(self.model.scores(np.asarray(rows, dtype=np.float64)))


def _thief(world: World, seed: int) -> Any:
    """A network that ART can train: what its thefts ask of a thief, over scikit-learn's."""
    network = import_module("sklearn.neural_network")
    classification = import_module("art.estimators.classification")

    class Thief(classification.BlackBoxClassifierNeuralNetwork):  # type: ignore[misc, name-defined]
        def fit(self, x: FloatArray, y: FloatArray, **how: Any) -> None:
            del how
            self.net = network.MLPClassifier((HIDDEN,), alpha=1e-3, max_iter=300, random_state=seed)
            self.net.fit(x, np.argmax(y, axis=1))

        def predict(self, x: FloatArray, **how: Any) -> FloatArray:
            del how
            out = np.zeros((len(x), world.model.classes))
            out[:, self.net.classes_] = self.net.predict_proba(x)
            return out

    return Thief(lambda rows: rows, (world.model.inputs,), world.model.classes, clip_values=(0.0, 1.0))


def art(world: World, use: str, seed: int) -> tuple[float, int]:
    """Fidelity on the samples, and what was asked; raises what ART raises."""
    counted = Counted(world)
    classification, extraction = import_module("art.estimators.classification"), import_module("art.attacks.extraction")
    victim = classification.BlackBoxClassifierNeuralNetwork(
        counted, (world.model.inputs,), world.model.classes, clip_values=(0.0, 1.0)
    )
    np.random.seed(seed)  # ART draws from it
    pool = _pool(world.own, seed)
    if use == "FunctionallyEquivalentExtraction":
        stolen = extraction.FunctionallyEquivalentExtraction(victim, num_neurons=HIDDEN).extract(pool)
    else:
        kind = getattr(extraction, use)
        more = {"sampling_strategy": "random"} if use == "KnockoffNets" else {}
        attack = kind(victim, batch_size_fit=32, batch_size_query=50, nb_epochs=10, nb_stolen=BUDGET, **more)
        stolen = attack.extract(pool, thieved_classifier=_thief(world, seed))
    labels = np.argmax(stolen.predict(world.x), axis=1)
    return float(np.mean(labels == np.argmax(world.model.scores(world.x), axis=1))), counted.queries


def _pool(own: Part, seed: int) -> FloatArray:
    return own.x[np.random.default_rng(seed).permutation(len(own))][:BUDGET]


def thefts(world: World, seed: int) -> Iterator[str]:
    """A line for each theft."""
    ways: list[tuple[str, str, Callable[[], tuple[float, int]]]] = [
        ("own", f"{use}, {access}s", partial(own, world, use, access, seed))
        for use in OWN
        for access in ("label", "score")
    ]
    ways += [("ART", use, partial(art, world, use, seed)) for use in ART]
    for hand, name, way in ways:
        started = time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fidelity, asked = way()
        except Exception as error:  # noqa: BLE001 - whatever a library raises is its result
            yield f"{world.name:8} theft  {hand} {name:34} does not work: {type(error).__name__}: {str(error)[:60]}"
            continue
        seconds = time.process_time() - started
        yield f"{world.name:8} theft  {hand} {name:34} fidelity {fidelity:.2f} @{asked:5} {seconds:5.1f}s"
