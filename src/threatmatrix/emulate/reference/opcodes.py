"""Programs as listings of opcodes, judged by ten engines that learn from what is shared on a platform.

Whoever uploads a program gets the engines' votes. What most of them say becomes the program's label, and the label
goes back into the training of all ten: nobody runs the program, and the uploader's own word counts for nothing.
One seed makes everything (opcode_programs.py); the parts are disjoint:

===========  ====================  ========================================================================
part         size                  used for
===========  ====================  ========================================================================
corpus       120 + 4 × 20          harmless programs and four families, from which the engines learn at first
calibration   40                   the defender's reference traffic
honest        60                   what honest users upload: a quarter of it malware
public        80                   harmless programs that anybody has (``known["public_programs"]``)
original       1                   a sample of the first family (``known["original"]``)
held out     100                   harmless programs that nobody uploaded: whom will the engines accuse?
===========  ====================  ========================================================================

The engines' views and their caution were chosen on seeds from 100 on, for few false alarms and few misses on programs
of the corpus's own kind. One of the ten was moved from whole programs to pieces after a first trial of the flood, on
the same seeds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.reference.base import ModelAnswer, Reference, Visit
from threatmatrix.emulate.reference.callers import seeded_calls
from threatmatrix.emulate.reference.opcode_engines import Pieces, View, coded, engines
from threatmatrix.emulate.reference.opcode_programs import World
from threatmatrix.emulate.stage import Samples
from threatmatrix.emulate.target import FloatArray, IntArray, Rows, texts

__all__ = ["FAMILIES", "HARMLESS", "Platform", "build"]

FAMILIES = ("locker", "banker", "miner", "worm")
HARMLESS = 0
LONGEST = 1_000_000  # characters of one listing
APPS = (
    "SampleShare/2.0 (Windows 11)",
    "SampleShare/2.0 (Ubuntu 24.04)",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0",
)


class Platform:
    """Ten engines, the programs that they know, and what users uploaded since the opening."""

    def __init__(self, corpus: Samples, learn_every: int) -> None:
        self._corpus = corpus
        self._learn_every = learn_every
        self._uploads: list[tuple[str, Rows]] = []
        self._opening: dict[View, Pieces] = {}
        self._begin()

    def _begin(self) -> None:
        """As at the opening: the engines know the corpus, and nothing else."""
        self._engines = engines()
        self._pieces = self._opening = self._opening or self._seen(self._corpus.x)
        self._labels = self._corpus.y
        self._waiting: list[tuple[dict[View, Pieces], IntArray]] = []
        self._stale = False
        self._learn()

    def _seen(self, rows: Rows) -> dict[View, Pieces]:
        programs = coded(rows)
        return {view: view(programs) for view in dict.fromkeys(engine.view for engine in self._engines)}

    def _learn(self) -> None:
        for seen, labels in self._waiting:
            self._pieces = {view: known + seen[view] for view, known in self._pieces.items()}
            self._labels = np.concatenate([self._labels, labels])
        self._waiting = []
        for engine in self._engines:
            engine.fit(self._pieces[engine.view], self._labels, 1 + len(FAMILIES))

    def _votes(self, seen: dict[View, Pieces]) -> FloatArray:
        judged = np.stack([engine.judge(seen[engine.view]) for engine in self._engines])
        return np.stack([(judged == label).mean(axis=0) for label in range(1 + len(FAMILIES))], axis=1)

    def answer(self, rows: Rows) -> ModelAnswer:
        """What most engines say (harmless, where two are level), and for each label the share that says so."""
        _check(rows)
        if self._stale:
            self._relearn()
        votes = self._votes(self._seen(rows))
        return ModelAnswer(np.argmax(votes, axis=1).astype(np.int64), votes)

    def teach(self, rows: Rows, labels: IntArray, user: str) -> None:
        """Programs are shared. Their labels are what most engines say on arrival, whatever the uploader says."""
        _check(rows)
        if not np.all((labels >= 0) & (labels <= len(FAMILIES))):
            raise ValueError(f"a label is 0 to {len(FAMILIES)}")
        if self._stale:
            self._relearn()
        self._uploads.append((user, rows))
        self._take_in(rows)

    def _take_in(self, rows: Rows) -> None:
        seen = self._seen(rows)
        self._waiting.append((seen, np.argmax(self._votes(seen), axis=1).astype(np.int64)))
        if sum(len(labels) for _, labels in self._waiting) >= self._learn_every:
            self._learn()

    def forget(self, user: str) -> int:
        """Take a user's uploads away; what the others shared is labelled and learnt again before the next answer."""
        gone = sum(len(rows) for who, rows in self._uploads if who == user)
        if gone:
            self._uploads = [(who, rows) for who, rows in self._uploads if who != user]
            self._stale = True
        return gone

    def _relearn(self) -> None:
        self._begin()
        for _, rows in self._uploads:
            self._take_in(rows)


def _check(rows: Rows) -> None:
    for row in rows:
        if not isinstance(row, str) or not 8 <= len(row) <= LONGEST:
            raise ValueError(f"a row is a listing of opcodes with 8 to {LONGEST} characters")


@dataclass(frozen=True, slots=True)
class _Users:
    """Honest users: they look programs up, and now and then they share one."""

    stock: Samples
    shares: float  # share of the requests that are uploads

    def __call__(self, *, clients: int, seed: int) -> Iterator[Visit]:
        rng = np.random.default_rng([seed, 0x0C0E])
        for call in seeded_calls(clients, len(self.stock), APPS, seed=seed):
            shared = not call.caller.scripted and rng.random() < self.shares
            yield Visit(
                at=call.at, account=call.caller.account, user_agent=call.caller.user_agent,
                address=call.caller.address, rows=self.stock.x[call.index],
                teaches=self.stock.y[call.index] if shared else None,
            )  # fmt: skip


def build(
    seed: int,
    *,
    benign: int = 120,
    malware: int = 20,
    held_out: int = 100,
    learn_every: int = 25,
    shares: float = 0.06,
) -> Reference:
    """Make the programs, train the engines. ``benign``, ``malware``: programs of the corpus, and of each family in it.

    ``held_out``: harmless programs to be accused. ``learn_every``: uploads after which all engines learn again.
    ``shares``: of honest requests that are uploads.
    """
    world = World.of(len(FAMILIES), np.random.default_rng([seed, 0x0C0D]))
    platform = Platform(_mixed(world, benign, malware), learn_every)
    innocent = texts(world.benign() for _ in range(held_out))
    unseen = _mixed(world, 0, 10)
    right = platform.answer(np.concatenate([innocent, unseen.x])).labels
    return Reference(
        name="opcodes",
        title="Programs as opcodes: harmless, or of which family of malware",
        modality="text",
        classes=("harmless", *FAMILIES),
        width=None,
        model=platform,
        calibration=_mixed(world, 28, 3).x,
        attacker=Samples(innocent, np.zeros(held_out, dtype=np.int64)),
        honest=_Users(_mixed(world, 44, 4), shares),
        accuracy=float(np.mean(right == np.concatenate([np.zeros(held_out), unseen.y]))),
        known={
            "taught": benign + len(FAMILIES) * malware,  # the platform boasts of it
            "public_programs": texts(world.benign() for _ in range(80)),
            "original": Samples(texts([world.malware(0)]), np.ones(1, dtype=np.int64)),
        },
    )


def _mixed(world: World, benign: int, malware: int) -> Samples:
    """So many harmless programs, and so many of each family."""
    families = [family for family in range(len(FAMILIES)) for _ in range(malware)]
    programs = [world.benign() for _ in range(benign)] + [world.malware(family) for family in families]
    labels = np.concatenate([np.zeros(benign, dtype=np.int64), 1 + np.asarray(families, dtype=np.int64)])
    return Samples(texts(programs), labels)
