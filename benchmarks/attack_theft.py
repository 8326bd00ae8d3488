"""Theft of a model, own beside ART's: the same victim, the same inputs to choose from, the same number of answers.

ART brings the way of asking and leaves the training to who uses it. Its thieves train as ours do, so that what a row
compares is what was asked and what was made of the answers.
"""

from __future__ import annotations

import time
import warnings
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.attack_world import World, share
from threatmatrix.emulate.attacks.extraction.trainer import Training, train_mlp
from threatmatrix.emulate.run import Hands, run_procedure
from threatmatrix.emulate.stage import Samples
from threatmatrix.emulate.target import FloatArray
from threatmatrix.emulate.targets import InProcessTarget
from threatmatrix.model.evidence import Rate
from threatmatrix.model.procedure import Procedure, ProcedureStep
from threatmatrix.remediate.compare import rate, wilson

BUDGET = 400
THEFTS = (
    ("labels", "in_distribution", "CopycatCNN"),
    ("labels", "active", ""),
    ("labels", "jacobian_augmentation", ""),
    ("labels", "random_queries", ""),
    ("scores", "in_distribution", "KnockoffNets"),
    ("scores", "active", ""),
    ("scores", "jacobian_augmentation", ""),
    ("scores", "random_queries", ""),
    ("scores", "", "FunctionallyEquivalentExtraction"),
)
"""What the victim gives away, our way of asking, ART's."""
HIDDEN = 128
MOST = 50_000


def _procedure(use: str, access: str) -> Procedure:
    return Procedure(
        id=use.replace("_", "-"), name=use, technique="model-stealing", access=access, modality="vector",  # type: ignore[arg-type]
        max_queries=BUDGET, steps=(ProcedureStep(use, {}),), metric="fidelity", norm="none", threshold=0.0,
        control="same", idempotent=True, destructive=False, revert="nothing", expected_detections=(),
    )  # fmt: skip


def own(world: World, use: str, answers: str, seed: int, variant: str = "plain") -> tuple[Rate, int]:
    """Fidelity on the held-out digits, and what was asked."""
    target = InProcessTarget(world.model, gives_scores=answers == "scores")
    result = run_procedure(
        _procedure(use, answers.removesuffix("s")), target, world.held_out.x, world.held_out.y, seed=seed,
        variant=variant, confirm_target=world.target(),
        hands=Hands(held={"public": Samples(world.own.x, world.own.y)}),
    )  # fmt: skip
    return rate(result.outcomes), target.queries


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
    """A network that ART can train: what its thefts ask of a thief, over our trainer."""
    classification = import_module("art.estimators.classification")

    class Thief(classification.BlackBoxClassifierNeuralNetwork):  # type: ignore[misc, name-defined]
        def fit(self, x: FloatArray, y: FloatArray, **how: Any) -> None:
            del how
            rows = np.asarray(x, dtype=np.float64)
            self.net = train_mlp(rows, y, Training(hidden=(HIDDEN,)), np.random.default_rng(seed))

        def predict(self, x: FloatArray, **how: Any) -> FloatArray:
            del how
            return self.net.scores(np.asarray(x, dtype=np.float64))

    return Thief(lambda rows: rows, (world.model.inputs,), world.model.classes, clip_values=(0.0, 1.0))


def art(world: World, use: str, answers: str, seed: int) -> tuple[Rate, int]:
    """Fidelity on the held-out digits, and what was asked; raises what ART raises."""
    classification, extraction = import_module("art.estimators.classification"), import_module("art.attacks.extraction")
    counted = Counted(world)
    victim = classification.BlackBoxClassifierNeuralNetwork(
        counted, (world.model.inputs,), world.model.classes, clip_values=(0.0, 1.0)
    )
    np.random.seed(seed)  # ART draws from it
    pool = world.own.x[np.random.default_rng(seed).permutation(len(world.own))][:BUDGET]
    if use == "FunctionallyEquivalentExtraction":
        stolen = extraction.FunctionallyEquivalentExtraction(victim, num_neurons=HIDDEN).extract(pool)
    else:
        more = {"use_probability": True} if answers == "scores" else {}
        attack = getattr(extraction, use)(victim, batch_size_fit=64, batch_size_query=50, nb_stolen=BUDGET, **more)
        stolen = attack.extract(pool, thieved_classifier=_thief(world, seed))
    labels = np.argmax(stolen.predict(world.held_out.x), axis=1)
    theirs = np.argmax(world.model.scores(world.held_out.x), axis=1)
    return wilson(int(np.count_nonzero(labels == theirs)), len(theirs)), counted.queries


def theft(world: World, answers: str, way: str, library: str, seed: int) -> str:
    """One line: ours, ART's, and the control, which learns from the same answers handed out by lot."""
    cells = []
    for use, steal in ((way, own), (library, art)):
        started = time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = steal(world, use, answers, seed) if use else None
        except Exception as error:  # noqa: BLE001 - whatever a library raises is its result
            cells.append(f"{use} does not work: {type(error).__name__}: {str(error)[:60]}")
            continue
        seconds = time.process_time() - started
        named = f"{use}: " if steal is art else ""
        cells.append("–" if found is None else f"{named}{share(found[0])} @{found[1]:4} {seconds:5.1f}s")
    if way:
        cells.append(f"control {share(own(world, way, answers, seed, 'random-control')[0])}")
    return f"{way or '–':22} {answers:7} {world.name:8} " + "   ".join(f"{text:31}" for text in cells).rstrip()
