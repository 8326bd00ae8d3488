"""What the scanner of the binaries target sees of a file, and its two models: boosted trees, and an override.

The first model is boosted trees on bytes, entropy, strings, imports and sizes of the whole file. The second one only
acquits: it compares the strings and imports of a file with those of one product that the trees take for malware, and
where they are alike enough, its opinion replaces theirs. Strings are counted wherever they stand, after the file's end
too, which is what an appended text can use.

A score goes from −1000 (malicious) to 1000 (benign); the served answer carries it as two shares that add up to 1.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from zlib import crc32

import numpy as np

from threatmatrix.emulate.reference.base import ModelAnswer
from threatmatrix.emulate.reference.binaries_files import HEADER, MAGIC
from threatmatrix.emulate.target import FloatArray, IntArray, Rows
from threatmatrix.model.errors import MissingExtraError

__all__ = [
    "BENIGN",
    "MALICIOUS",
    "Features",
    "Override",
    "Scanner",
    "look",
    "look_at_all",
    "make_override",
    "train_trees",
]

BENIGN, MALICIOUS = 0, 1
TEXT = re.compile(rb"[\x20-\x7e]{6,}")
BINS, WORDS, LIBRARY = 64, 1024, 64
"""Bins of the byte histogram, of the hashed strings, of the hashed imports."""

IMPORTS_SHARE = 0.25
"""Of the override's (squared) vector; the rest are strings."""


@dataclass(frozen=True, slots=True)
class Features:
    """Of one file: what the trees take (f,), and what the override takes (w,), of length 1."""

    trees: FloatArray
    likeness: FloatArray


def look(blob: bytes, *, strip_overlay: bool = False) -> Features:
    """The features of one file; raises ValueError where it is none."""
    if len(blob) < HEADER.size or not blob.startswith(MAGIC):
        raise ValueError("not an executable of this format")
    _, _, sections, imports, _, code, end = HEADER.unpack_from(blob)
    if strip_overlay:
        blob = blob[:end]
    table = blob[:end].rsplit(b"\0", imports + 1)[1:-1] if imports else []
    counts = np.bincount(np.frombuffer(blob, dtype=np.uint8), minlength=256) / len(blob)
    used = counts[counts > 0]
    found = set(TEXT.findall(blob)) - set(table)
    words, library = _hashed(found, WORDS), _hashed(table, LIBRARY)
    sizes = [len(blob), code, max(0, len(blob) - end), sum(map(len, found)), len(found)]
    trees = np.concatenate([
        counts.reshape(BINS, -1).sum(axis=1), [-float(np.sum(used * np.log2(used))), sections, imports],
        np.log1p(sizes), library, words.reshape(64, -1).sum(axis=1) / max(1, len(found)),
    ])  # fmt: skip
    likeness = np.concatenate([_unit(words) * (1 - IMPORTS_SHARE) ** 0.5, _unit(library) * IMPORTS_SHARE**0.5])
    return Features(trees, likeness)


def look_at_all(rows: Iterable[bytes], *, strip_overlay: bool = False) -> tuple[FloatArray, FloatArray]:
    """Features of n files, as two matrices (n, f) and (n, w)."""
    found = [look(bytes(blob), strip_overlay=strip_overlay) for blob in rows]
    return np.stack([f.trees for f in found]), np.stack([f.likeness for f in found])


def _hashed(words: Iterable[bytes], bins: int) -> FloatArray:
    counts = Counter(crc32(word) % bins for word in words)
    vector = np.zeros(bins)
    vector[list(counts)] = list(counts.values())
    return vector


def _unit(vector: FloatArray) -> FloatArray:
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector


@dataclass(frozen=True, slots=True)
class Override:
    """Acquits what is like one product: its centroid (w,), and from which likeness on."""

    centroid: FloatArray
    threshold: float
    typical: float  # how alike the product's own files are

    def score(self, alike: FloatArray) -> FloatArray:
        """Its opinion of what it recognises: 1000 for whatever is as alike as the product itself."""
        return 1000 * np.minimum(1.0, alike / self.typical)


def make_override(favoured: FloatArray, malicious: FloatArray) -> Override:
    """From a product's files (m, w) and malicious ones (n, w): half way between the least alike of the product (its
    lowest hundredth aside) and the most alike malicious file, so that on the vendor's desk it acquits no malware.
    """
    centroid = _unit(favoured.mean(axis=0))
    own, others = favoured @ centroid, malicious @ centroid
    return Override(centroid, float((np.quantile(own, 0.01) + others.max()) / 2), float(np.median(own)))


def train_trees(features: FloatArray, labels: IntArray, seed: int) -> Any:
    """Boosted trees; deterministic by seed."""
    try:
        ensemble = import_module("sklearn.ensemble")
    except ImportError as e:
        raise MissingExtraError("the binaries reference target", "emulate") from e
    model = ensemble.HistGradientBoostingClassifier(
        max_iter=40, max_leaf_nodes=15, max_bins=63, early_stopping=False, random_state=seed % 2**32
    )
    with import_module("threadpoolctl").threadpool_limits(limits=1):
        return model.fit(features, labels)


@dataclass(frozen=True, slots=True)
class Scanner:
    """The product. ``verbose`` is what it logs about a file when it is told to; the service never answers with it."""

    trees: Any
    override: Override | None
    strip_overlay: bool = False
    columns: tuple[str, ...] = ("score", "trees", "likeness")

    def verbose(self, rows: Rows) -> FloatArray:
        """N files → (n, 3): the score and what it was made from."""
        features, likeness = look_at_all(rows, strip_overlay=self.strip_overlay)
        with import_module("threadpoolctl").threadpool_limits(limits=1):
            first = 1000 - 2000 * self.trees.predict_proba(features)[:, MALICIOUS]
        if self.override is None:
            return np.column_stack([first, first, np.zeros(len(first))])
        alike = likeness @ self.override.centroid
        return np.column_stack(
            [np.where(alike >= self.override.threshold, self.override.score(alike), first), first, alike]
        )

    def answer(self, rows: Rows) -> ModelAnswer:
        """Labels, and shares for benign and malicious."""
        benign = (self.verbose(rows)[:, 0] + 1000) / 2000
        return ModelAnswer(
            np.where(benign >= 0.5, BENIGN, MALICIOUS).astype(np.int64), np.column_stack([benign, 1 - benign])
        )
