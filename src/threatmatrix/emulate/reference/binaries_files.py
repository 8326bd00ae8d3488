"""Generated executables in a made-up container that no machine runs: header, sections, strings, imports, overlay.

A file is ``TMXF``, counts, sizes, a table of sections, the sections (bytes with the statistics of some compiler, or
packed ones that look like noise), a block of strings, a block of imports, and after its stated end an overlay that
nothing reads. Names and words are made of syllables; nothing is taken from a real program, and no loader of any system
knows the format.

A world has products (benign) and families (malicious). Both come in versions, share compilers and runtime strings, and
may be packed. Some games are protected against cheats: packed, and with imports that watch other programs.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.target import FloatArray

__all__ = ["HEADER", "MAGIC", "World", "make_file", "make_world"]

MAGIC = b"TMXF"
HEADER = struct.Struct("<4sHHHHII")
"""Magic, version, sections, imports, flags, size of the code, length without overlay."""

SECTION = struct.Struct("<8sII")
SYLLABLES = tuple(a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "or"))
COMPILERS = 5
OVERLAID = 0.35
"""Share of files with an overlay, whatever they are: noise (an archive) or text (settings, a licence)."""

KINDS = {
    # share packed, median of own strings, how alike two versions are
    "office": (0.05, 160, 0.8),
    "media": (0.15, 200, 0.8),
    "tool": (0.2, 80, 0.75),
    "driver": (0.1, 50, 0.8),
    "updater": (0.3, 60, 0.75),
    "game": (0.2, 380, 0.85),
    "protected-game": (0.95, 380, 0.85),
    "malware": (0.6, 80, 0.7),
}
COMMON_IMPORTS = tuple(f"core.{w}" for w in ("open", "read", "write", "close", "time", "alloc", "free", "thread"))
WATCHING = tuple(f"watch.{w}" for w in ("process", "memory", "keys", "screen", "module", "debug"))
TAKING = tuple(f"take.{w}" for w in ("inject", "elevate", "persist", "encrypt", "upload", "hide", "delete", "spread"))
IMPORTS = {
    "office": ("print.page", "font.load", "doc.save", "clip.copy", "net.get"),
    "media": ("audio.play", "video.draw", "codec.open", "net.get", "gpu.draw"),
    "tool": ("disk.list", "shell.run", "net.get", "registry.read", "watch.process"),
    "driver": ("port.read", "port.write", "irq.hook", "dma.map", "watch.module"),
    "updater": ("net.get", "shell.run", "registry.write", "take.persist", "take.delete"),
    "game": ("gpu.draw", "audio.play", "pad.read", "net.play", "score.send"),
    "protected-game": ("gpu.draw", "audio.play", "pad.read", "net.play", *WATCHING, "take.hide", "take.inject"),
    "malware": ("net.get", "shell.run", "registry.write", *WATCHING[:4], *TAKING),
}


@dataclass(frozen=True, slots=True)
class Maker:
    """One product or family: what its files have in common."""

    kind: str
    strings: tuple[bytes, ...]
    imports: tuple[str, ...]
    compiler: int
    weight: float  # how common it is


@dataclass(frozen=True, slots=True)
class World:
    """Everything files are made from. ``runtime``: strings that compilers leave in any file."""

    products: tuple[Maker, ...]
    families: tuple[Maker, ...]
    runtime: tuple[bytes, ...]
    opcodes: FloatArray  # (compilers, 256): shares of the bytes of code


def make_world(seed: int, *, families: int = 16) -> World:
    """Products and families; the first ones are the most common. Deterministic by seed."""
    rng = np.random.default_rng([seed, 0xB10B])
    opcodes = np.stack([rng.dirichlet(np.full(256, 0.15)) for _ in range(COMPILERS)])
    kinds = ["office"] * 5 + ["media"] * 4 + ["tool"] * 5 + ["driver"] * 4 + ["updater"] * 4 + ["game"] * 3
    products = [_maker(kind, rng, number) for number, kind in enumerate([*kinds, *["protected-game"] * 3])]
    return World(
        products=tuple(products),
        families=tuple(_maker("malware", rng, number) for number in range(families)),
        runtime=tuple(_strings(rng, 60)),
        opcodes=opcodes,
    )


def _maker(kind: str, rng: np.random.Generator, number: int) -> Maker:
    own = list(rng.permutation(IMPORTS[kind]))[: int(rng.integers(3, len(IMPORTS[kind]) + 1))]
    shared = list(rng.permutation(COMMON_IMPORTS))[: int(rng.integers(4, len(COMMON_IMPORTS) + 1))]
    count = int(KINDS[kind][1] * rng.lognormal(0.0, 0.8 if kind == "malware" else 0.5)) + 10
    return Maker(kind, tuple(_strings(rng, count)), (*shared, *own), int(rng.integers(COMPILERS)), 1 / (1 + number))


def _strings(rng: np.random.Generator, n: int) -> list[bytes]:
    """Names, messages and paths of syllables."""
    syllables = rng.integers(len(SYLLABLES), size=(n, 8)).tolist()
    forms = rng.integers(4, size=n).tolist()
    cuts = rng.integers(1, 4, size=n).tolist()
    return [
        _string([SYLLABLES[i] for i in row], form, cut) for row, form, cut in zip(syllables, forms, cuts, strict=True)
    ]


def _string(parts: list[str], form: int, words: int) -> bytes:
    """A path, an identifier or a message, of one to three words."""
    cut = ["".join(parts[:3]), "".join(parts[3:5]), "".join(parts[5:])][:words]
    return ("/".join(cut) + ".dat" if form == 0 else ("_" if form == 1 else " ").join(cut)).encode()


def make_file(world: World, maker: Maker, rng: np.random.Generator) -> bytes:
    """One version of a product, or one sample of a family."""
    packed, _, alike = KINDS[maker.kind]
    sections = [(b".code", _code(world, maker, rng))]
    if rng.random() < packed:
        sections.append((b".pack", rng.bytes(int(rng.integers(1000, 4000)))))
    sections += [(b".text", _text(world, maker, alike, rng)), (b".rsrc", _picture(rng))]
    imports = [name for name in maker.imports if rng.random() < 0.9]
    table = "\0".join(imports).encode() + b"\0"
    start = HEADER.size + SECTION.size * len(sections)
    heads, at = b"", start
    for name, content in sections:
        heads += SECTION.pack(name, at, len(content))
        at += len(content)
    body = b"".join(content for _, content in sections) + table
    head = HEADER.pack(MAGIC, 1, len(sections), len(imports), 0, len(sections[0][1]), start + len(body))
    return head + heads + body + (_overlay(rng) if rng.random() < OVERLAID else b"")


def _overlay(rng: np.random.Generator) -> bytes:
    if rng.random() < 0.5:
        return rng.bytes(int(rng.integers(200, 4000)))
    return b"\0".join(_strings(rng, int(rng.integers(20, 500))))


def _code(world: World, maker: Maker, rng: np.random.Generator) -> bytes:
    size = int(rng.integers(1500, 5000))
    return rng.choice(256, size, p=world.opcodes[maker.compiler]).astype(np.uint8).tobytes()


def _picture(rng: np.random.Generator) -> bytes:
    """An icon: few values, in runs."""
    return bytes(np.repeat(rng.integers(128, 192, int(rng.integers(30, 120)), dtype=np.uint8), 8))


def _text(world: World, maker: Maker, alike: float, rng: np.random.Generator) -> bytes:
    """Most of what the maker's files share, strings of this file alone, and the runtime's."""
    own = [text for text, kept in zip(maker.strings, rng.random(len(maker.strings)) < alike, strict=True) if kept]
    fresh = _strings(rng, int(len(maker.strings) * (1 - alike) * rng.lognormal(0.0, 0.8)) + 3)
    runtime = [text for text, kept in zip(world.runtime, rng.random(len(world.runtime)) < 0.6, strict=True) if kept]
    return b"\0".join([*own, *fresh, *runtime]) + b"\0"
