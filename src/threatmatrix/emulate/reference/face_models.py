"""Two services on faces: who is it (identification), and is the one who is claimed really here (verification).

Both compare what a picture becomes in an embedding with templates of the people who are enrolled. The embedding is
Fisherfaces (Belhumeur, Hespanha, Kriegman 1997): the directions in which people differ most, measured by how much one
person differs from picture to picture. The live check asks for a blink and a little motion of the head, as the active
checks of 2020 did.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from threatmatrix.emulate.reference.base import ModelAnswer
from threatmatrix.emulate.reference.face_drawing import PIXELS, SIDE
from threatmatrix.emulate.target import FloatArray, IntArray, Rows

__all__ = ["ACCEPTED", "ANOTHER", "NOT_LIVE", "Embedding", "EyeGauge", "Identification", "Verification", "motion"]

SHARPNESS = 20.0
"""Of the scores: a cosine that is .05 higher makes a name e times as likely."""
SHRINKAGE = 0.003
ACCEPTED, ANOTHER, NOT_LIVE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Embedding:
    """Pictures (n, 1024) → unit vectors (n, dimensions), whatever the exposure and the contrast."""

    mean: FloatArray
    matrix: FloatArray

    @classmethod
    def train(cls, x: FloatArray, who: IntArray, dimensions: int) -> Embedding:
        """Learn from pictures of persons 0 … p-1, each of whom has some."""
        x = _normal(x)
        mean = x.mean(axis=0)
        persons = np.stack([x[who == number].mean(axis=0) for number in range(int(who.max()) + 1)])
        within = x - persons[who]
        scatter = within.T @ within / len(x)
        scatter[np.diag_indices(PIXELS)] += SHRINKAGE
        root = np.linalg.cholesky(scatter)
        _, _, directions = np.linalg.svd(np.linalg.solve(root, (persons - mean).T).T, full_matrices=False)
        return cls(mean, np.linalg.solve(root.T, directions[:dimensions].T))

    def __call__(self, x: FloatArray) -> FloatArray:
        return _unit((_normal(x) - self.mean) @ self.matrix)

    def templates(self, x: FloatArray, who: IntArray) -> FloatArray:
        """The mean direction of each person's pictures: (people, dimensions)."""
        embedded = self(x)
        return _unit(np.stack([embedded[who == number].mean(axis=0) for number in range(int(who.max()) + 1)]))


@dataclass(frozen=True, slots=True)
class Identification:
    """Pictures (n, 1024) → the enrolled person who is most alike, with a score for each.

    With ``least``, a picture that is like nobody to that cosine gets one label more, ``unknown``, the last one.
    """

    embedding: Embedding
    templates: FloatArray
    least: float | None = None

    def answer(self, rows: Rows) -> ModelAnswer:
        logits = SHARPNESS * (self.embedding(_checked(rows, PIXELS)) @ self.templates.T)
        if self.least is not None:
            logits = np.hstack([logits, np.full((len(logits), 1), SHARPNESS * self.least)])
        return _answer(logits)


@dataclass(frozen=True, slots=True)
class EyeGauge:
    """How far the eyes are open, up to a number that is the same for all frames of a take.

    Ridge regression on the local contrast around the eyes, where white and iris lie side by side until the lid covers
    them. Learnt from differences within takes, so that it follows the lids and not the person.
    """

    weights: FloatArray

    @classmethod
    def train(cls, takes: FloatArray, opened: FloatArray, ridge: float = 5.0) -> EyeGauge:
        """Learn from takes (n, frames, 1024) in which the eyes are known to be open so far (n, frames)."""
        n, frames, _ = takes.shape
        seen = _contrast(takes.reshape(n * frames, PIXELS)).reshape(n, frames, -1)
        seen = (seen - seen.mean(axis=1, keepdims=True)).reshape(n * frames, -1)
        inner = seen.T @ seen
        inner[np.diag_indices(len(inner))] += ridge
        return cls(np.linalg.solve(inner, seen.T @ (opened - opened.mean(axis=1, keepdims=True)).ravel()))

    def __call__(self, x: FloatArray) -> FloatArray:
        return np.asarray(_contrast(x) @ self.weights)


@dataclass(frozen=True, slots=True)
class Verification:
    """Rows of ``frames`` pictures and a claimed person (1 at that person's place) → accepted, another face, not live.

    Accepted: the typical frame is near enough to the claimed person's template, the eyes open, shut and open again,
    and the head moves.
    """

    embedding: Embedding
    templates: FloatArray
    gauge: EyeGauge
    frames: int
    least: float  # cosine
    blink: float  # how far the eyes must shut between two open frames
    sway: float  # pixels that the head must move

    def answer(self, rows: Rows) -> ModelAnswer:
        likeness, blinks, sways = self.measure(rows)
        match = SHARPNESS * (likeness - self.least)
        live = 5.0 * np.minimum(blinks / self.blink - 1.0, sways / self.sway - 1.0)
        return _answer(np.column_stack([np.minimum(match, live), -match, -live]))

    def measure(self, rows: Rows) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Likeness (cosine), depth of the blink, motion in pixels: each (n,)."""
        rows = _checked(rows, self.frames * PIXELS + len(self.templates))
        pictures = rows[:, : self.frames * PIXELS].reshape(-1, PIXELS)
        claimed = np.argmax(rows[:, self.frames * PIXELS :], axis=1)
        embedded = self.embedding(pictures).reshape(len(rows), self.frames, -1)
        likeness = np.median(np.einsum("nfd,nd->nf", embedded, self.templates[claimed]), axis=1)
        opened = self.gauge(pictures).reshape(len(rows), self.frames)
        return likeness, _blink(opened), motion(pictures.reshape(len(rows), self.frames, PIXELS))


_EYE_ROWS = slice(4, 20)


def _contrast(x: FloatArray) -> FloatArray:
    """The standard deviation in windows of 3×5 around each pixel of the rows where eyes lie: (n, pixels)."""
    z = _normal(x).reshape(-1, SIDE, SIDE)[:, _EYE_ROWS.start - 1 : _EYE_ROWS.stop + 1]
    windows = sliding_window_view(z, (3, 5), axis=(1, 2))
    return np.asarray(2.0 * windows.std(axis=(3, 4)).reshape(len(z), -1))


def _blink(opened: FloatArray) -> FloatArray:
    """The deepest dip between two open frames: (n, frames) → (n,)."""
    inner = range(1, opened.shape[1] - 1)
    around = [np.minimum(opened[:, :t].max(axis=1), opened[:, t + 1 :].max(axis=1)) for t in inner]
    return np.asarray(np.max([side - opened[:, t] for t, side in zip(inner, around, strict=True)], axis=0))


def motion(sequences: FloatArray) -> FloatArray:
    """How far the picture wanders, in pixels: (n, frames, 1024) → (n,); shifts by least squares on the slopes."""
    n, frames, _ = sequences.shape
    pictures = sequences.reshape(n, frames, SIDE, SIDE)
    first = pictures.mean(axis=1)
    down, right = np.gradient(first, axis=(1, 2))
    slopes = np.stack([right.reshape(n, -1), down.reshape(n, -1)], axis=2)
    inner = np.einsum("npa,npb->nab", slopes, slopes) + 1e-6 * np.eye(2)
    change = (pictures - first[:, None]).reshape(n, frames, -1)
    shifts = np.linalg.solve(inner[:, None], np.einsum("npa,nfp->nfa", slopes, change)[..., None])[..., 0]
    return np.asarray(np.sqrt(shifts.var(axis=1).sum(axis=1)))


def _normal(x: FloatArray) -> FloatArray:
    """Each picture with mean 0 and the same contrast."""
    x = x - x.mean(axis=1, keepdims=True)
    return np.asarray(0.2 * x / np.maximum(x.std(axis=1, keepdims=True), 1e-6))


def _unit(v: FloatArray) -> FloatArray:
    return np.asarray(v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12))


def _checked(rows: Rows, width: int) -> FloatArray:
    if rows.ndim != 2 or rows.shape[1] != width or rows.dtype.kind != "f":
        raise ValueError(f"rows of {width} numbers are needed")
    return np.asarray(rows, dtype=np.float64)


def _answer(logits: FloatArray) -> ModelAnswer:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return ModelAnswer(np.argmax(logits, axis=1).astype(np.int64), odds / odds.sum(axis=1, keepdims=True))
