"""A multi-layer perceptron in plain NumPy: forward pass, input gradient, and a safe file format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from threatmatrix.model.errors import InputError

__all__ = ["MLP"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MLP:
    """ReLU layers and a softmax at the end, all float64.

    ``weights[i]`` is (inputs, outputs) and ``biases[i]`` (outputs,) of layer i, the layout of
    scikit-learn's ``coefs_`` and ``intercepts_``, so that a server needs no scikit-learn.
    """

    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]

    @classmethod
    def of(cls, weights: Sequence[FloatArray], biases: Sequence[FloatArray]) -> MLP:
        """Make one from any sequences of arrays; raises ValueError where the shapes do not chain."""
        if not weights or len(weights) != len(biases):
            raise ValueError("an MLP needs as many weight matrices as bias vectors, at least one")
        for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
            if w.ndim != 2 or b.shape != (w.shape[1],) or (i and weights[i - 1].shape[1] != w.shape[0]):
                raise ValueError(f"layer {i}: weights {w.shape} and biases {b.shape} do not chain")
        return cls(
            tuple(np.ascontiguousarray(w, dtype=np.float64) for w in weights),
            tuple(np.ascontiguousarray(b, dtype=np.float64) for b in biases),
        )

    @property
    def inputs(self) -> int:
        return int(self.weights[0].shape[0])

    @property
    def classes(self) -> int:
        return int(self.weights[-1].shape[1])

    def logits(self, x: FloatArray) -> FloatArray:
        """Scores before the softmax: (n, inputs) → (n, classes)."""
        for w, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = np.maximum(x @ w + b, 0.0)
        return np.asarray(x @ self.weights[-1] + self.biases[-1])

    def scores(self, x: FloatArray) -> FloatArray:
        """Class probabilities: (n, inputs) → (n, classes), rows add up to 1."""
        z = self.logits(x)
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True))

    def labels(self, x: FloatArray) -> IntArray:
        """The most likely class: (n, inputs) → (n,) int64."""
        return np.asarray(np.argmax(self.logits(x), axis=1), dtype=np.int64)

    def input_gradient(self, x: FloatArray, upstream: FloatArray) -> FloatArray:
        """Gradient of ``sum(logits * upstream)`` with respect to x: both (n, ·) → (n, inputs)."""
        masks = []
        for w, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            z = x @ w + b
            masks.append(z > 0)
            x = np.where(masks[-1], z, 0.0)
        g = upstream @ self.weights[-1].T
        for w, mask in zip(reversed(self.weights[:-1]), reversed(masks), strict=True):
            g = (g * mask) @ w.T
        return np.asarray(g)

    def save(self, path: Path) -> None:
        """Write the arrays as ``.npz`` (w0, b0, w1, …); no pickle."""
        arrays = {f"w{i}": w for i, w in enumerate(self.weights)} | {f"b{i}": b for i, b in enumerate(self.biases)}
        with path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> MLP:
        """Read what :meth:`save` wrote; raises InputError for anything else, and never unpickles."""
        hint = "Write the weights with MLP.save"
        try:
            with np.load(path, allow_pickle=False) as arrays:
                n = len(arrays.files) // 2
                return cls.of([arrays[f"w{i}"] for i in range(n)], [arrays[f"b{i}"] for i in range(n)])
        except FileNotFoundError as e:
            raise InputError(path, "no such file", hint=hint) from e
        except (OSError, ValueError, KeyError, BadZipFile, EOFError, AttributeError) as e:
            raise InputError(path, f"not an MLP's .npz ({e})", hint=hint) from e
