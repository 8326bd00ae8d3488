"""Generated executables and an antivirus that decides by learning alone, with an override for a favoured program.

The vendor trains the trees on office programs, tools, drivers, plain games and malware. Later releases include games
that protect themselves against cheats; the trees take them for malware. The vendor mends the loudest of these false
alarms, that about the product which they are surest of, by the second model (binaries_scanner.py). Nothing else was
chosen.

Parameters: ``files`` (training files; as many again for everything else), ``override`` (the second model is in force),
``strip_overlay`` (what stands behind the stated end of a file is ignored).

Known to an attacker: ``programs`` (benign programs to download, y: which product), ``own_malware``, ``top_ten`` (one
file of each of the ten most common families), ``own_copy`` (the product on his own machine, which logs verbosely).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from threatmatrix.emulate.reference.base import Reference, Visit
from threatmatrix.emulate.reference.binaries_files import Maker, World, make_file, make_world
from threatmatrix.emulate.reference.binaries_scanner import (
    BENIGN,
    MALICIOUS,
    Override,
    Scanner,
    look_at_all,
    make_override,
    train_trees,
)
from threatmatrix.emulate.stage import Samples
from threatmatrix.emulate.target import FloatArray, IntArray, Rows, blobs

__all__ = ["build"]

NEW = "protected-game"
SECOND = 1_000_000
AGENTS = ("EndpointAgent/4.1 (Windows 11)", "EndpointAgent/4.0 (Windows 10)", "MailScan/2.7")
PROGRAM = "curl/8.11.0"


def build(seed: int, *, files: int = 600, override: bool = True, strip_overlay: bool = False) -> Reference:
    """Make the world, train the trees, mend the loudest false alarm; see the module's docstring."""
    world = make_world(seed)
    old = [m for m in world.products if m.kind != NEW]
    stock = _Stock(world, np.random.default_rng([seed, 0xF11E5]))
    half = files // 2
    training, labels = stock.mix(old, half, half)
    features, likeness = look_at_all(training)
    trees = train_trees(features, labels, seed)
    second = _mend(trees, stock, files // 4, likeness[labels == MALICIOUS]) if override else None
    scanner = Scanner(trees, second, strip_overlay)
    calibration, truth = stock.mix(world.products, int(0.9 * half), half - int(0.9 * half))
    visitors, _ = stock.mix(world.products, int(0.9 * half), half - int(0.9 * half))
    attacked = _caught(scanner, stock.of(world.families, max(100, int(0.7 * files))))
    return Reference(
        name="binaries", title="A scanner of generated executables with an override", modality="binary",
        classes=("benign", "malicious"), width=None, model=scanner, calibration=calibration,
        attacker=Samples(attacked, np.full(len(attacked), MALICIOUS)), honest=_Honest(visitors),
        accuracy=float(np.mean(scanner.answer(calibration).labels == truth)),
        known=_known(world, stock, scanner, half),
    )  # fmt: skip


class _Stock:
    """Makes files, each a new one."""

    def __init__(self, world: World, rng: np.random.Generator) -> None:
        self.world = world
        self.rng = rng

    def of(self, makers: Sequence[Maker], n: int) -> Rows:
        """N files, of common makers more often."""
        weights = np.array([m.weight for m in makers]) ** 0.5
        drawn = self.rng.choice(len(makers), n, p=weights / weights.sum())
        return blobs(make_file(self.world, makers[i], self.rng) for i in drawn)

    def each(self, makers: Sequence[Maker], n: int) -> Samples:
        """N files of each maker; y says of which."""
        made = [make_file(self.world, maker, self.rng) for maker in makers for _ in range(n)]
        return Samples(blobs(made), np.repeat(np.arange(len(makers)), n))

    def mix(self, products: Sequence[Maker], benign: int, malicious: int) -> tuple[Rows, IntArray]:
        """Benign and malicious files in mixed order, with their labels."""
        rows = np.concatenate([self.of(products, benign), self.of(self.world.families, malicious)])
        labels = np.repeat([BENIGN, MALICIOUS], [benign, malicious])
        order = self.rng.permutation(len(rows))
        return rows[order], labels[order].astype(np.int64)


def _mend(trees: Any, stock: _Stock, n: int, malicious: FloatArray) -> Override:
    """The override for the product that, of the new releases, the trees take for malware most."""
    fresh = stock.each([m for m in stock.world.products if m.kind == NEW], max(8, n // 3))
    features, likeness = look_at_all(fresh.x)
    alarms = np.bincount(fresh.y, weights=trees.predict_proba(features)[:, MALICIOUS])
    return make_override(likeness[fresh.y == np.argmax(alarms)], malicious)


def _caught(scanner: Scanner, files: Rows) -> Rows:
    """Those that the product takes for malicious: nobody needs to alter the others."""
    return np.asarray(files[scanner.answer(files).labels == MALICIOUS])


def _known(world: World, stock: _Stock, scanner: Scanner, n: int) -> dict[str, object]:
    few = [stock.each([family], 4).x for family in world.families[:10]]
    top = [(caught if len(caught := _caught(scanner, made)) else made)[0] for made in few]
    return {
        "programs": stock.each(world.products, 3),
        "own_malware": Samples(own := stock.of(world.families, max(40, n // 3)), np.full(len(own), MALICIOUS)),
        "top_ten": Samples(blobs(top), np.full(len(top), MALICIOUS)),
        "own_copy": scanner,
    }


class _Honest:
    """Agents that hand in what people start or receive, the same files again and again, and two programs."""

    def __init__(self, files: Rows) -> None:
        self.files = files

    def __call__(self, *, clients: int, seed: int) -> Iterator[Visit]:
        """See ``Honest``: visits in order of time, without end."""
        rng = np.random.default_rng([seed, 0xA9E47])
        pools = [rng.choice(len(self.files), min(25, len(self.files)), replace=False) for _ in range(clients)]
        gaps = [float(rng.uniform(3, 6)) if i < 2 else float(rng.uniform(10, 60)) for i in range(clients)]
        agents = [PROGRAM if i < 2 else AGENTS[int(rng.integers(len(AGENTS)))] for i in range(clients)]
        due = [float(rng.uniform(0, gap)) for gap in gaps]
        while True:
            i = int(np.argmin(due))
            weights = 1.0 / np.arange(1, len(pools[i]) + 1)
            row = self.files[rng.choice(pools[i], 1, p=weights / weights.sum())]
            yield Visit(
                at=int(due[i] * SECOND), account=f"honest-{i + 1:02d}", user_agent=agents[i],
                address=f"198.51.100.{i % 250 + 1}", rows=row,
            )  # fmt: skip
            due[i] += gaps[i] if i < 2 else 0.2 + float(rng.exponential(gaps[i]))
