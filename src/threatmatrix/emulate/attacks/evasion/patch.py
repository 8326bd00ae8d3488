"""A patch for impersonation, computed on a model at hand so that it holds in many places, turns and lights.

Source: Brown, Mané, Roy, Abadi, Gilmer, "Adversarial patch", 2017 (section 2); Athalye, Engstrom, Ilyas, Kwok,
"Synthesizing robust adversarial examples", 2018 (expectation over transformation, section 3); Sharif et al.,
"Accessorize to a crime", 2016 (impersonation by what is worn before the eyes, and values that a printer can make).
Access: file, of a stand-in held as ``surrogate``; the target is not asked. Cost: none.

For each wearer among the samples a chosen person is drawn by lot from the names that the service knows
(``label_names``), before anything is computed. Then the gradient of the chosen name's log-likelihood, averaged over
pictures of the wearer (from ``public``) and ways of wearing the patch (wearing.py), is followed by its sign with
momentum (Dong et al. 2018), within what a printer can make. Unlike Brown's, a patch is made for one wearer and one
chosen person.

Holds ``patches`` (wearer → ``Patch``). Figures: ``stand_in_success``, the share of fresh wearings in which the stand-in
itself names the chosen person. Control: values by lot.

Result: no outcomes, as it only prepares; ``show_patch`` (show_patch.py) is what is judged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from threatmatrix.emulate.attacks.evasion.wearing import DARKEST, LIGHTEST, Fit, Wear, printed, side_of, worn
from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.emulate.target import Differentiable, FloatArray
from threatmatrix.model.errors import UsageError

__all__ = ["EotPatchParams", "Patch", "eot_patch", "random_patch"]

MOMENTUM = 0.9


@dataclass(frozen=True, slots=True)
class EotPatchParams:
    """Height, width and place of the patch as shares of the picture's side; steps, and wearings for each of them."""

    height: float = 0.25
    width: float = 0.625
    down: float = 0.42
    right: float = 0.5
    steps: int = 60
    batch: int = 16
    step: float = 0.1  # of the values, at the start; falls to nothing


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch (h, w) for one wearer, in whom the chosen label is to be seen; ``spot``: where it is worn."""

    chosen: int
    values: FloatArray
    spot: tuple[float, float]


def eot_patch(stage: Stage) -> Brought:
    """Make a patch for each wearer; holds the ``patches``."""
    how = stage.settings(EotPatchParams)
    model = stage.held.get("surrogate")
    if model is None:
        raise UsageError("a patch needs a model at hand", hint="Hold one as 'surrogate'")
    public, names = stage.take("public", Samples), stage.take("label_names", dict)
    patches, shares = _blank(stage, how, names), []
    for wearer, blank in patches.items():
        own = public.x[public.y == names[wearer]] if wearer in names else stage.samples.x[stage.samples.y == wearer]
        patch = blank if stage.control else replace(blank, values=_optimised(model, own, blank, how, stage.rng))
        ways = worn(32, Fit(side_of(own.shape[1]), patch.values.shape, patch.spot), Wear(), stage.rng)
        seen = ways.seen(own[stage.rng.integers(len(own), size=32)], patch.values)
        shares.append(float(np.mean(np.argmax(model.logits(seen), axis=1) == patch.chosen)))
        patches[wearer] = patch
        stage.report(f"patch for {wearer}, to be taken for {patch.chosen}: {shares[-1]:.2f} on the stand-in")
    return Brought(holds={"patches": patches}, figures={"stand_in_success": float(np.mean(shares))})


def _blank(stage: Stage, how: EotPatchParams, names: dict[int, int]) -> dict[int, Patch]:
    """For each wearer among the samples a chosen label and a patch by lot."""
    side = side_of(stage.samples.x.shape[1])
    shape = (max(2, round(how.height * side)), max(2, round(how.width * side)))
    patches = {}
    for wearer in np.unique(stage.samples.y).tolist():
        others = sorted(set(names) - {wearer})
        if not others:
            raise UsageError("there is nobody to be taken for", hint="Enumerate the labels with more queries first")
        patches[wearer] = Patch(int(stage.rng.choice(others)), random_patch(shape, stage.rng), (how.down, how.right))
    return patches


def random_patch(shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """Values that a printer can make, by lot."""
    return printed(rng.uniform(DARKEST, LIGHTEST, shape))


def _optimised(
    model: Differentiable, own: FloatArray, blank: Patch, how: EotPatchParams, rng: np.random.Generator
) -> FloatArray:
    patch = 0.5 + 0.05 * rng.standard_normal(blank.values.shape)
    velocity = np.zeros_like(patch)
    goal = np.eye(model.classes)[blank.chosen]
    fit = Fit(side_of(own.shape[1]), blank.values.shape, blank.spot)
    for number in range(how.steps):
        ways = worn(how.batch, fit, Wear(), rng)
        seen = ways.seen(own[rng.integers(len(own), size=how.batch)], patch)
        logits = model.logits(seen)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        gradient = ways.back(model.input_gradient(seen, goal - odds / odds.sum(axis=1, keepdims=True)))
        velocity = MOMENTUM * velocity + gradient / max(float(np.abs(gradient).mean()), 1e-12)
        patch = np.clip(patch + how.step * (1.0 - number / how.steps) * np.sign(velocity), DARKEST, LIGHTEST)
    return printed(patch)
