"""A metamorphic engine for listings of opcodes: other code, the same behaviour, as far as one can tell.

A listing has one basic block in each line. The engine does what public ones do: it puts instructions in place of
others that do the same, puts in idle ones, moves blocks about with jumps between them, and takes in dead code from
harmless programs. Renamed registers do not show in opcodes. It also breaks a share of what it makes, as such engines
do: a jump that leads nowhere cuts off all blocks of the payload behind it, and what is left of them is never reached
by a disassembler that follows the flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

__all__ = ["EQUAL", "IDLE", "Metamorph"]

EQUAL: MappingProxyType[str, tuple[str, ...]] = MappingProxyType({
    "xor": ("sub", "mov", "and"),  # to zero a register
    "sub": ("add", "lea"),
    "add": ("sub", "lea"),
    "inc": ("add", "lea", "sub"),
    "dec": ("sub", "lea", "add"),
    "mov": ("push pop", "lea", "xchg"),
    "lea": ("mov add", "add"),
    "test": ("or", "and", "cmp"),
    "cmp": ("sub", "test"),
    "shl": ("add", "imul", "lea"),
    "neg": ("not inc",),
    "not": ("xor", "neg dec"),
    "rol": ("ror", "shl shr or"),
    "ror": ("rol", "shr shl or"),
    "leave": ("mov pop",),
    "loop": ("dec jnz",),
    "jz": ("jnz jmp",),
    "jnz": ("jz jmp",),
    "lodsb": ("mov inc",),
    "stosb": ("mov inc",),
    "imul": ("shl add",),
    "movzx": ("xor mov", "and"),
    "bswap": ("rol rol rol",),
    "call": ("push jmp",),
})  # fmt: skip
"""Opcode → what may stand in its place with other operands."""

IDLE = ("nop", "push pop", "mov", "xchg xchg", "lea", "inc dec", "add sub", "not not", "test", "cmp")
"""Instructions that change nothing that is read later."""


@dataclass(frozen=True, slots=True)
class Metamorph:
    """``substitute``, ``idle``: chances for each instruction. ``moved``: share of the blocks that change their place.
    ``donors``: listings of harmless programs, for dead code.
    """

    substitute: float
    idle: float
    moved: float
    donors: Sequence[str]

    def mutant(self, listing: str, dead: float, lost: float, rng: np.random.Generator) -> str:
        """One mutant. ``dead``: blocks of dead code for each block of its own. ``lost``: share of its blocks that a
        broken jump cuts off; 0 leaves it whole.
        """
        blocks = listing.split("\n")
        if lost:
            blocks = self._broken(blocks, lost, rng)
        blocks = [self._rewritten(block, rng) for block in blocks]
        self._shuffle(blocks, rng)
        wanted = round(dead * len(blocks))
        while wanted > 0 and self.donors:
            routine = self._routine(wanted, rng)
            at = int(rng.integers(0, len(blocks) + 1))
            blocks[at:at] = routine
            wanted -= len(routine)
        return "\n".join(blocks)

    def _routine(self, most: int, rng: np.random.Generator) -> list[str]:
        """A run of blocks out of a harmless program."""
        donor = self.donors[int(rng.integers(len(self.donors)))].split("\n")
        size = min(most, len(donor), int(rng.integers(5, 16)))
        start = int(rng.integers(0, len(donor) - size + 1))
        return donor[start : start + size]

    def _rewritten(self, block: str, rng: np.random.Generator) -> str:
        words: list[str] = []
        for word, draw in zip(block.split(), rng.random((len(block.split()), 2)), strict=True):
            equal = EQUAL.get(word)
            words.append(equal[int(rng.integers(len(equal)))] if equal and draw[0] < self.substitute else word)
            if draw[1] < self.idle:
                words.append(IDLE[int(rng.integers(len(IDLE)))])
        return " ".join(words)

    def _shuffle(self, blocks: list[str], rng: np.random.Generator) -> None:
        """Some blocks change places; each is left by a jump."""
        chosen = np.flatnonzero(rng.random(len(blocks)) < self.moved)
        for at, source in zip(chosen.tolist(), [blocks[i] for i in rng.permutation(chosen)], strict=True):
            blocks[at] = f"{source} jmp"

    @staticmethod
    def _broken(blocks: list[str], lost: float, rng: np.random.Generator) -> list[str]:
        """A run of blocks behind one jump is not reached any more."""
        gone = min(len(blocks) - 1, round(lost * len(blocks)))
        start = int(rng.integers(0, len(blocks) - gone + 1))
        return [*blocks[:start], *blocks[start + gone :]]
