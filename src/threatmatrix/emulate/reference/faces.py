"""Parametric faces of 32×32 as a target: an identification service, or a verification service behind a camera.

``service: identification``: one picture in, a name out. ``service: verification``: a take of six frames and the person
who is claimed in, ``accepted``, ``another face`` or ``not live`` out (face_models.py). The embedding is learnt from
strangers (the background) and from the pictures with which people were enrolled.

What an attacker has is different pictures of the same people, as the internet has: ``public`` for identification (an
album of the enrolled and of strangers, in an order that says nothing about the service's numbers), the samples
themselves for verification (one bought photograph of each victim). Thresholds are set on takes of their own, so that
about one honest user in twenty has to try again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from threatmatrix.emulate.reference.base import Reference
from threatmatrix.emulate.reference.face_drawing import PIXELS, draw, moments, people
from threatmatrix.emulate.reference.face_models import (
    ACCEPTED,
    NOT_LIVE,
    Embedding,
    EyeGauge,
    Identification,
    Verification,
)
from threatmatrix.emulate.reference.face_takes import album, claims, live_takes, still_takes, takes
from threatmatrix.emulate.reference.face_visitors import identification_visits, verification_visits
from threatmatrix.emulate.stage import Samples
from threatmatrix.emulate.target import FloatArray, IntArray
from threatmatrix.model.errors import UsageError

__all__ = ["FRAMES", "SERVICES", "build"]

FRAMES = 6
SERVICES = ("identification", "verification")
DIMENSIONS = 24
STRANGERS = 3
"""So many enrolled people come on each stranger in the public album, whom the service does not know."""
STAFF = 36
"""People on the pictures that the defender calibrates with: those of some offices, not everybody."""
VISITS = 4
"""Takes of each person that the defender calibrates with: people come more than once."""
OWN = 10
"""Photographs of each wearer."""


@dataclass(frozen=True, slots=True)
class _Town:
    """Everybody: strangers for the background, the enrolled, and what was learnt of both."""

    background: FloatArray
    enrolled: FloatArray
    embedding: Embedding
    templates: FloatArray


def build(
    seed: int, *, service: str = "identification", enrolled: int = 60, background: int = 60, photographs: int = 25,
    public: int = 16, unknown: bool = False, wearers: int = 12,
) -> Reference:  # fmt: skip
    """Train one of the services on ``enrolled`` people.

    ``background``: strangers that the embedding learns from, with so many ``photographs`` each. ``public``: pictures of
    each person in the attacker's album. ``unknown``: identification names nobody where nobody is near enough.
    ``wearers``: enrolled people who work for the attacker.
    """
    if service not in SERVICES:
        raise UsageError(f"the reference target faces has no service {service!r}", hint=f"One of {', '.join(SERVICES)}")
    rng = np.random.default_rng([seed, 0xFACE])
    strangers, known = people(background, rng), people(enrolled, rng)
    x, who = album(strangers, photographs, rng)
    gallery, name = album(known, 10, rng)
    embedding = Embedding.train(np.vstack([x, gallery]), np.concatenate([who, name + background]), DIMENSIONS)
    town = _Town(strangers, known, embedding, embedding.templates(gallery, name))
    if service == "identification":
        return _identification(town, rng, public, wearers, unknown=unknown)
    return _verification(town, rng)


def _identification(town: _Town, rng: np.random.Generator, public: int, wearers: int, *, unknown: bool) -> Reference:
    model = Identification(town.embedding, town.templates, _least_alike(town, rng) if unknown else None)
    staff = rng.permutation(town.enrolled)[:STAFF]
    clean, names = album(town.enrolled, 3, rng)
    own, wearer = album(town.enrolled[:wearers], OWN, rng)
    in_turn = np.arange(len(wearer)).reshape(wearers, OWN).T.ravel()  # the first n are spread over the wearers
    return Reference(
        name="faces", title="parametric faces: who is it", modality="image",
        classes=(*(f"person-{i + 1:02d}" for i in range(len(town.enrolled))), *(("unknown",) if unknown else ())),
        width=PIXELS, model=model,
        calibration=album(staff, 3, rng)[0], attacker=Samples(own, wearer).at(in_turn),
        honest=partial(identification_visits, town.enrolled, town.background),
        accuracy=float(np.mean(model.answer(clean).labels == names)),
        known={"public": _album_of_all(town, rng, public)},
    )  # fmt: skip


def _least_alike(town: _Town, rng: np.random.Generator) -> float:
    """The cosine with their own template that nearly all pictures of the enrolled reach."""
    x, who = album(town.enrolled, 3, rng)
    alike = town.embedding(x) @ town.templates.T
    return float(np.quantile(alike[np.arange(len(who)), who], 0.03))


def _album_of_all(town: _Town, rng: np.random.Generator, each: int) -> Samples:
    """Pictures of everybody of public interest, numbered in an order of their own."""
    everybody = np.vstack([town.enrolled, people(len(town.enrolled) // STRANGERS, rng)])
    return Samples(*album(everybody[rng.permutation(len(everybody))], each, rng))


def _verification(town: _Town, rng: np.random.Generator) -> Reference:
    at = np.arange(180) % len(town.background)
    opened = rng.random((180, 4))
    gauge = EyeGauge.train(takes(town.background[at], opened, rng), opened)
    model = _set(Verification(town.embedding, town.templates, gauge, FRAMES, 0.0, 1.0, 1.0), town, rng)
    n = len(town.enrolled)
    everybody = np.arange(n, dtype=np.int64)
    again = np.tile(everybody, VISITS)
    live = claims(live_takes(town.enrolled[again], FRAMES, rng), again, n)
    clean = claims(live_takes(town.enrolled, FRAMES, rng), everybody, n)
    bought = draw(town.enrolled, moments(n, rng), rng)
    stills = claims(still_takes(bought, FRAMES, rng), everybody, n)
    return Reference(
        name="faces", title="parametric faces: is it really this person, and alive", modality="image",
        classes=("accepted", "another face", "not live"), width=stills.shape[1], model=model, calibration=live,
        attacker=Samples(stills, np.full(n, NOT_LIVE, dtype=np.int64)),
        honest=partial(verification_visits, town.enrolled, FRAMES),
        accuracy=float(np.mean(model.answer(clean).labels == ACCEPTED)),
        known={"take_pixels": PIXELS, "take_frames": FRAMES, "accepted": ACCEPTED},
    )  # fmt: skip


def _set(model: Verification, town: _Town, rng: np.random.Generator) -> Verification:
    """The same with thresholds that let most honest people pass."""
    strangers = np.zeros(len(town.background), dtype=np.int64)
    _, blinks, sways = model.measure(claims(live_takes(town.background, FRAMES, rng), strangers, len(town.enrolled)))
    everybody: IntArray = np.arange(len(town.enrolled), dtype=np.int64)
    likeness, _, _ = model.measure(claims(live_takes(town.enrolled, FRAMES, rng), everybody, len(town.enrolled)))
    return Verification(
        model.embedding, model.templates, model.gauge, model.frames, float(np.quantile(likeness, 0.02)),
        float(np.quantile(blinks, 0.02)), float(0.5 * np.quantile(sways, 0.02)),
    )  # fmt: skip
