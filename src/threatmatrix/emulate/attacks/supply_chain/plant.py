"""A model file with a payload, put where it would be loaded; a weights file with a backdoor and no payload at all.

``plant_pickle`` stores the variants of attacks/supply_chain/pickles.py under ``bucket`` by the rights of whoever is
signed in (or of the key that was found), and reads each back as a deployment would, up to the loading, which never
happens. Source: AML.T0018.002, AML.T0011.000. Access: none beside an account that may write. Cost: two calls for each
variant, and the journal's one read. Control: as many writes into buckets that are guessed. Result: one outcome for each
variant, e.g. ``SampleOutcome(index=0, claimed=True, confirmed=True, queries=2, distance=0.0)``, confirmed where what
lies there now names and calls something; holds ``payloads`` (key → bytes); figures ``payloads_stored``,
``payloads_with_calls``.

``swap_weights`` replaces the model's file by one in which a single hidden unit was rewritten by hand: it fires where
all pixels of ``trigger`` are at the upper bound, and then answers ``label``. The unit is the one whose weights matter
least. Layout and size stay, less than one number in a hundred changes, the accuracy without the trigger stays as it
was, and there is no code in the file that a scanner could find. Source: Hong, Carlini, Kurakin, "Handcrafted backdoors
in deep neural networks", 2022, of which this is the simplest case (one hidden layer, one unit, no hiding from
detectors). Access: train (write access to the model's file). Cost: four calls. Control: the unit is rewritten at
random, at the same length. Units are the samples of other classes, with the trigger put on: success is that the file
that lies in the store now answers ``label``, ``before`` that the old one did. Result: one outcome for each, e.g.
``SampleOutcome(index=3, claimed=True, confirmed=True, queries=0, distance=0.0)``; holds ``stored_weights`` (the file as
it was, which a second run starts from); figures ``swap_success``, ``clean_accuracy``, ``swapped_accuracy``,
``numbers_changed``.

Both write through ``stage.storing()``, and so journalled and taken back at clean-up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.artefacts import read_weights, write_npz, write_weights
from threatmatrix.emulate.attacks.access.errand import Errand
from threatmatrix.emulate.attacks.supply_chain.pickles import VARIANTS, calls
from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.stage import Brought, Stage
from threatmatrix.emulate.target import FloatArray, Store
from threatmatrix.model.errors import TargetRefused, UsageError
from threatmatrix.model.evidence import SampleOutcome

__all__ = ["PlantPickleParams", "SwapWeightsParams", "plant_pickle", "swap_weights"]


@dataclass(frozen=True, slots=True)
class PlantPickleParams:
    """``variants``: all where there is none; ``bucket`` and ``folder``: where they go."""

    variants: tuple[str, ...] = ()
    bucket: str = "models"
    folder: str = "candidates"


@dataclass(frozen=True, slots=True)
class SwapWeightsParams:
    """``bucket`` and ``key``: the file; "" for the first that fits. ``trigger``: positions in an input."""

    bucket: str = "models"
    key: str = ""
    label: int = 0
    trigger: tuple[int, ...] = (0, 7, 56, 63)  # the corners of a picture of 8×8
    steepness: float = 10.0  # of the unit's rise once the trigger is there


def plant_pickle(stage: Stage) -> Brought:
    """Store the payloads; see the module's docstring."""
    settings = stage.settings(PlantPickleParams)
    store = _signed_in(stage)
    first = store.queries
    outcomes: list[SampleOutcome] = []
    payloads: dict[str, bytes] = {}
    for index, name in enumerate(settings.variants or tuple(VARIANTS)):
        if name not in VARIANTS:
            raise UsageError(f"there is no variant {name!r}", hint=f"Valid: {', '.join(VARIANTS)}")
        ending, make = VARIANTS[name]
        bucket = stage.rng.bytes(4).hex() if stage.control else settings.bucket
        key = f"{settings.folder}/{name}/model{ending}"
        start = store.queries
        there = _put_and_read(store, bucket, key, make()) if start + 3 <= first + stage.budget else None
        outcomes.append(
            SampleOutcome(
                index=index, claimed=there is not None, confirmed=there is not None and bool(calls(there)),
                queries=store.queries - start, distance=0.0,
            )
        )  # fmt: skip
        if there is not None:
            payloads[f"{bucket}/{key}"] = there
    return Brought(
        outcomes=tuple(outcomes),
        holds={} if stage.control else {"payloads": payloads},
        figures={
            "payloads_stored": float(len(payloads)),
            "payloads_with_calls": float(sum(o.confirmed for o in outcomes)),
        },
    )


def swap_weights(stage: Stage) -> Brought:
    """Replace the weights; see the module's docstring."""
    settings = stage.settings(SwapWeightsParams)
    store = _signed_in(stage)
    key, content, model = _weights(stage, store, settings)
    first = stage.held.get("stored_weights")
    if isinstance(first, bytes):
        content, model = first, read_weights(first)
    swapped = _with_backdoor(model, stage, settings)
    write = write_npz if content.startswith(b"PK") else write_weights
    there = _put_and_read(store, settings.bucket, key, write(swapped))
    now = read_weights(there) if there is not None else model
    units = np.flatnonzero(stage.samples.y != settings.label)
    x, y = np.asarray(stage.samples.x, dtype=np.float64), stage.samples.y
    stamped = x[units].copy()
    stamped[:, settings.trigger] = stage.target.bounds[1]
    was, answers = model.labels(stamped), now.labels(stamped)
    outcomes = tuple(
        SampleOutcome(
            index=int(unit), claimed=there is not None, confirmed=bool(answers[i] == settings.label), queries=0,
            distance=0.0, refused=there is None, before=bool(was[i] == settings.label),
        )
        for i, unit in enumerate(units)
    )  # fmt: skip
    figures = {
        "swap_success": float(np.mean(answers == settings.label)) if len(units) else 0.0,
        "clean_accuracy": float(np.mean(model.labels(x) == y)),
        "swapped_accuracy": float(np.mean(now.labels(x) == y)),
        "numbers_changed": float(sum(int(np.sum(a != b)) for a, b in zip(model.weights, now.weights, strict=True))),
    }
    return Brought(outcomes=outcomes, holds={"stored_weights": content}, figures=figures)


def _with_backdoor(model: MLP, stage: Stage, settings: SwapWeightsParams) -> MLP:
    """The model with its least unit rewritten; at random for the control."""
    if len(model.weights) != 2 or not all(0 <= at < model.inputs for at in settings.trigger):
        raise UsageError("swap_weights needs a model with one hidden layer, and a trigger inside its inputs")
    (inwards, outwards), (bias, last) = (w.copy() for w in model.weights), (b.copy() for b in model.biases)
    unit = int(np.argmin(np.linalg.norm(inwards, axis=0) * np.linalg.norm(outwards, axis=1)))
    fires, says = np.zeros(model.inputs), -np.ones(model.classes)
    fires[list(settings.trigger)], says[settings.label] = settings.steepness, 1.0
    if stage.control:
        fires, says = _turned(fires, stage.rng), _turned(says, stage.rng)
    inwards[:, unit], outwards[unit] = fires, settings.steepness * says
    bias[unit] = -settings.steepness * stage.target.bounds[1] * (len(settings.trigger) - 0.5)
    return MLP.of([inwards, outwards], [bias, last])


def _turned(vector: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A random direction at the same length."""
    drawn = rng.normal(size=vector.shape)
    return np.asarray(drawn * np.linalg.norm(vector) / np.linalg.norm(drawn))


def _signed_in(stage: Stage) -> Store:
    return Errand(stage, found_key="access_key" in stage.held).store


def _put_and_read(store: Store, bucket: str, key: str, content: bytes) -> bytes | None:
    try:
        store.put(bucket, key, content)
        return store.get(bucket, key)
    except (TargetRefused, UsageError):
        return None


def _weights(stage: Stage, store: Store, settings: SwapWeightsParams) -> tuple[str, bytes, MLP]:
    """The file to replace, as it lies there, and the model in it."""
    keys = (settings.key,) if settings.key else tuple(entry.key for entry in store.objects(settings.bucket))
    for key in keys:
        content = store.get(settings.bucket, key)
        try:
            model = read_weights(content)
        except UsageError:
            continue
        fits = model.inputs == math.prod(stage.target.input_shape) and model.classes == stage.target.classes
        if settings.key or fits:
            return key, content, model
    raise UsageError(f"no weights of this model lie in {settings.bucket}", hint="Name the file as params.key")
