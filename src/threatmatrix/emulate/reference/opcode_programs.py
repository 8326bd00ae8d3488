"""Programs as listings of opcodes: what a disassembler leaves when it drops every operand.

A listing has one line for each basic block. Ordinary code follows a Markov chain over x86 mnemonics that all
compilers share, bent a little by each toolchain and a little more by each program. A malware family is a payload of
fixed blocks from a chain of its own; a sample carries most of them, in a version of its own, beside the run-time code
that its toolchain puts into every program, harmless or not.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.target import FloatArray

__all__ = ["OPCODES", "World"]

# fmt: off
OPCODES = (
    "mov", "push", "pop", "call", "ret", "lea", "add", "sub", "inc", "dec", "xor", "and", "or", "not", "neg", "shl",
    "shr", "rol", "ror", "sar", "imul", "mul", "div", "cmp", "test", "jmp", "jz", "jnz", "ja", "jb", "jg", "jl",
    "jbe", "jae", "sete", "setne", "cmovz", "movzx", "movsx", "cdq", "xchg", "nop", "leave", "loop", "rep", "movsb",
    "stosb", "lodsb", "scasb", "bswap", "adc", "sbb", "bt", "int", "cpuid", "rdtsc", "bsf", "bsr", "xadd", "sahf",
)
# fmt: on
SIZE = len(OPCODES)
COMMON = 14  # of the mnemonics in the order above: what most code is made of
TOOLCHAINS = 5
FAMILY_BLOCKS = 40
BLOCK = (4, 14)  # opcodes in a basic block

Steps = list[list[float]]
"""A Markov chain as its rows' running sums, each of which ends at 1."""


@dataclass(slots=True)
class World:
    """Toolchains and families of one seed, from which programs are drawn."""

    rng: np.random.Generator
    toolchains: list[FloatArray]
    runtimes: list[list[str]]  # the blocks that a toolchain puts into every program
    families: list[list[str]]  # the payload of each

    @classmethod
    def of(cls, families: int, rng: np.random.Generator) -> World:
        """Make one; the same generator state gives the same world."""
        popularity = np.full(SIZE, 0.15)
        popularity[:COMMON] = 2.0
        base = rng.dirichlet(popularity * 0.6, size=SIZE)
        chains = [_bent(base, 0.25, rng) for _ in range(TOOLCHAINS)]
        runtimes = [[_block(steps, rng) for _ in range(30)] for steps in map(_steps, chains)]
        return cls(rng, chains, runtimes, [_family(base, rng) for _ in range(families)])

    def benign(self) -> str:
        """A harmless program: some run-time code, and functions of its own."""
        kind = int(self.rng.integers(TOOLCHAINS))
        own = _steps(_bent(self.toolchains[kind], 0.35, self.rng))
        return self._joined(kind, [_block(own, self.rng) for _ in range(int(self.rng.integers(15, 40)))])

    def malware(self, family: int) -> str:
        """A sample of a family: most of the payload, a few opcodes changed by the version, and run-time code."""
        payload = [self._version(block) for block in self.families[family] if self.rng.random() < 0.9]
        return self._joined(int(self.rng.integers(TOOLCHAINS)), payload)

    def _version(self, block: str) -> str:
        words = block.split()
        changed = self.rng.random(len(words)) < 0.03
        return " ".join(
            OPCODES[int(self.rng.integers(COMMON))] if new else word for new, word in zip(changed, words, strict=True)
        )

    def _joined(self, kind: int, own: list[str]) -> str:
        runtime = self.runtimes[kind]
        kept = self.rng.choice(len(runtime), size=int(self.rng.integers(10, len(runtime))), replace=False)
        return "\n".join([*(runtime[i] for i in sorted(kept.tolist())), *own])


def _bent(chain: FloatArray, share: float, rng: np.random.Generator) -> FloatArray:
    """The chain with so much of another one mixed in, whose steps go to the same mnemonics for the most part."""
    other = rng.dirichlet(0.3 + 20.0 * chain.mean(axis=0), size=SIZE)
    return np.asarray((1.0 - share) * chain + share * other)


def _family(base: FloatArray, rng: np.random.Generator) -> list[str]:
    """Payload: arithmetic on bits and strings rather than calls; each family its own."""
    liking = np.full(SIZE, 0.05)
    liking[rng.choice(SIZE, size=14, replace=False)] = 1.5
    chain = 0.35 * base + 0.65 * rng.dirichlet(liking, size=SIZE)
    steps = _steps(chain)
    return [_block(steps, rng) for _ in range(FAMILY_BLOCKS)]


def _block(steps: Steps, rng: np.random.Generator) -> str:
    """One basic block: a walk along a chain."""
    at = int(rng.integers(COMMON))
    walk = []
    for draw in rng.random(int(rng.integers(*BLOCK))).tolist():
        walk.append(OPCODES[at])
        at = min(bisect_left(steps[at], draw), SIZE - 1)
    return " ".join(walk)


def _steps(chain: FloatArray) -> Steps:
    return np.cumsum(chain, axis=1).tolist()  # type: ignore[no-any-return]
