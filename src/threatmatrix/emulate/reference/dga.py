"""Sixteen published algorithms by which malware computes the names of its servers. All seeds are ours.

Source: the analyses that are collected in Bader, "Domain Generation Algorithms of malware"
(https://github.com/baderj/domain_generation_algorithms) and Plohmann et al., "A comprehensive measurement study of
domain generating malware", USENIX Security 2016. Only the arithmetic is taken from there; every seed, date and word is
made here, so no name is one that real malware asked for, but by chance. Each function gives the first label only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

__all__ = ["FAMILIES", "Seed", "family_seed"]

M32, M64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
A = ord("a")


@dataclass(frozen=True, slots=True)
class Seed:
    """What a botnet is configured with. ``words``: for the algorithms that join or bend words."""

    number: int  # of 32 bits
    year: int
    month: int
    day: int
    words: Sequence[str]


def family_seed(rng: np.random.Generator, words: Sequence[str]) -> Seed:
    """A configuration that nobody has used."""
    date = int(rng.integers(2015, 2026)), int(rng.integers(1, 13)), int(rng.integers(1, 29))
    return Seed(int(rng.integers(2**16, 2**32)), *date, words)


def _signed(value: int) -> int:
    return (value & M32) - ((value & 0x80000000) << 1)


def _ror(value: int, by: int) -> int:
    value &= M32
    return (value >> by | value << (32 - by)) & M32


def _rol(value: int, by: int) -> int:
    return _ror(value, (32 - by) % 32)


def _lehmer(value: int) -> int:
    """Park and Miller's generator by Schrage's method."""
    return (16807 * (value % 127773) - 2836 * (value // 127773)) & M32


def ramnit(seed: Seed, n: int) -> list[str]:
    found, r = [], seed.number
    for _ in range(n):
        first, r = r, _lehmer(r)
        length, second, label = r % 12 + 8, r, ""
        for _ in range(length):
            r = _lehmer(r)
            label += chr(A + r % 25)
        product = first * second
        r = (product + product // 2**32) & M32
        found.append(label)
    return found


def dircrypt(seed: Seed, n: int) -> list[str]:
    found, r = [], seed.number
    for _ in range(n):
        r = _lehmer(r)
        length, label = r % 13 + 8, ""
        for _ in range(length):
            r = _lehmer(r)
            label += chr(A + r % 26)
        found.append(label)
    return found


def kraken(seed: Seed, n: int) -> list[str]:
    found = []
    for index in range(n):
        number = 1000015 + index
        r = _signed(int(_signed(number * (number + 7) * (number + 12)) / 9) + number * (number + 1) + seed.number)
        draws = []
        for _ in range(3):
            r = _signed(1103515245 * r + 12435)
            draws.append(r // 256 % 32768)
        label = ""
        for _ in range((draws[0] * draws[1] - draws[2]) % 6 + 6):
            r = _signed(1103515245 * r + 12435)
            label += chr(A + r // 256 % 32768 % 26)
        found.append(label)
    return found


def _necurs_mix(value: int) -> int:
    for index in range((value & 0x7F) + 21):
        value = (value + ((value * 7) ^ (value << 15)) + 8 * index - (value >> 5)) & M64
    return value


def necurs(seed: Seed, n: int) -> list[str]:
    found = []
    for index in range(n):
        value = seed.year
        for term in (0, seed.month + 43690, seed.day >> 2, index, seed.number):
            value = _necurs_mix(value + term)
        label = ""
        for i in range(value % 15 + 7):
            value = _necurs_mix(value + i)
            label += chr(A + value % 25)
            value = _necurs_mix(value + 0xABBEDF)
        found.append(label)
    return found


def locky(seed: Seed, n: int) -> list[str]:
    def mix(value: int) -> int:
        return _ror(0xB11924E1 * value, 7)

    found = []
    for index in range(n):
        k = 0
        for year in range(seed.year, seed.year + 7):
            a = ((mix(year + k + 0x1BF5) + 0x27100001) ^ k) & M32
            b = ((mix(a + seed.number) + 0x27100001) ^ a) & M32
            c = (0xD8EFFFFF - mix(seed.day // 2 + b) + b) & M32
            d = (c + mix(seed.month + c - 0x65CAD) + 0x27100001) & M32
            k = ((mix(d + _rol(seed.number, 17) + _rol(index, 21)) + 0x27100001) ^ d) & M32
        length, label = k % 11 + 7, ""
        for i in range(length):
            k = (mix(_rol(k, i)) + 0x27100001) & M32
            label += chr(A + k % 25)
        found.append(label)
    return found


def _pushdo_part(r: int) -> str:
    text = "bcdfghjklmnpqrstvwx"[r % 19] + "aeiou"[((r + 1) & 0xFF) % 5]
    if text[1] == "e" and (r + 2) & 7:
        return text + "aio"[(r + 2) % 3]
    return text + "zxtsrqpnmlkgfdc"[(r + 3) % 15] if (r + 2) & 1 else text


def pushdo(seed: Seed, n: int) -> list[str]:
    found, r = [], seed.number
    for _ in range(n):
        digest = hashlib.md5(r.to_bytes(4, "little"), usedforsecurity=False).digest()
        r = int.from_bytes(digest[:4], "little")
        found.append("".join(map(_pushdo_part, digest))[: (r & 3) + 9])
        r = (r + 1) & M32
    return found


def ranbyus(seed: Seed, n: int) -> list[str]:
    found, state = [], seed.day * seed.month * seed.year ^ seed.number
    for _ in range(n):
        block = b""
        for _ in range(2):
            steps = [state]
            for _ in range(3):
                steps.append((0x5851F42D4C957F2D * steps[-1] + 0x14057B7EF767814F) & M64)
            one, two, state = steps[1:]
            low = (state >> 24 & 0xFFFFFF00 | (state & M32) >> 24) & M32
            parts = (low ^ two) & 0xFFFFF ^ two, two >> 32, one & 0xFFF00000 | (state >> 32) >> 12, one >> 32
            block += b"".join((part & M32).to_bytes(4, "little") for part in parts)
        found.append("".join(chr(A + byte % 25) for byte in block[:17]))
    return found


def tinba(seed: Seed, n: int) -> list[str]:
    key = hashlib.sha256(seed.number.to_bytes(4, "little")).hexdigest()[:16].encode()
    label, found = "startofalltin", []
    for _ in range(n):
        total, value, made = sum(key), key[15], ""
        for i in range(12):
            while True:
                value = (((value + ord(label[i])) ^ (total & 0xFF)) + ord(f"{label}."[i + 1])) & 0xFF
                if ord("a") < value < ord("z"):
                    break
                total += 1
            made += chr(value)
        label = made
        found.append(label)
    return found


def simda(seed: Seed, n: int) -> list[str]:
    step = sum(hashlib.md5(seed.number.to_bytes(4, "little"), usedforsecurity=False).hexdigest().encode())
    letters = ("qwrtpsdfghjklzxcvbnm", "eyuioa")
    bases = [seed.number + step * (i + 1) for i in range(n)]
    return ["".join(letters[i % 2][base // (3 + 2 * i) % (6 if i % 2 else 20)] for i in range(7)) for base in bases]


def padcrypt(seed: Seed, n: int) -> list[str]:
    found = []
    for index in range(n):
        text = f"{seed.day}-{seed.month}-{seed.year}|{index}-{seed.number}"
        digits = hashlib.sha256(text.encode()).hexdigest()[3:19]
        found.append("".join("abcdnfolmk"[int(c)] if c.isdigit() else c for c in digits))
    return found


def corebot(seed: Seed, n: int) -> list[str]:
    found, letters = [], "abcdefghijklmnopqrstuvwxy012345678"
    r = (seed.number + seed.year + (1 << 16) + (seed.month << 8 | seed.day)) & M32
    for _ in range(n):
        r = (1664525 * r + 1013904223) & M32
        length, label = 12 + r % 12, ""
        for _ in range(length):
            r = (1664525 * r + 1013904223) & M32
            label += letters[r % len(letters)]
        found.append(label)
    return found


def banjori(seed: Seed, n: int) -> list[str]:
    word = "".join(seed.words[(seed.number >> shift) % len(seed.words)] for shift in (0, 8, 16))[:26]
    codes, found = [ord(c) - A for c in word], []
    for _ in range(n):
        a, b, c, d = codes[:4]
        a = (a + d + A) % 26
        b = (a + 2 * b + 2 * A) % 26
        c = (a + c - 1 + A) % 26
        d = (b + c + d + 2 * A) % 26
        codes[:4] = a, b, c, d
        found.append("".join(chr(A + code) for code in codes))
    return found


def suppobox(seed: Seed, n: int) -> list[str]:
    order, found = (3, 9, 13, 6, 2, 4, 11, 7, 14, 1, 10, 5, 8, 12, 0), []
    for number in range(seed.number >> 9, (seed.number >> 9) + n):
        bits = [0] * 15
        for i, at in enumerate(order):
            bits[at] = number >> i & 1
        first = int("".join(map(str, bits[:7])), 2)
        second = int("".join(map(str, bits[7:])), 2) + 128
        found.append(seed.words[first % len(seed.words)] + seed.words[second % len(seed.words)])
    return found


def fobber(seed: Seed, n: int) -> list[str]:
    found, r = [], seed.number
    for _ in range(n):
        label = ""
        for _ in range(17):
            r = _ror(321167 * r + 0x9983F4AA, 16)
            label += chr(A + (r & 0x17FF) % 26)
        found.append(label)
    return found


def murofet(seed: Seed, n: int) -> list[str]:
    found = []
    for index in range(seed.number, seed.number + n):
        key = bytes(((seed.year + 0x30) & 0xFF, seed.month, seed.day // 7 * 7)) + (index & M32).to_bytes(4, "little")
        label = ""
        for byte in hashlib.md5(key, usedforsecurity=False).digest():
            low, high = byte & 0x1F, byte >> 3
            if low != high:
                label += "".join(chr(A + part) for part in (low, high) if part < 26)
        found.append(label)
    return found


def ramdo(seed: Seed, n: int) -> list[str]:
    found = []
    for index in range(n):
        s = 2 * seed.number * (index + 1)
        r, label = s ^ 26 * seed.number * index, ""
        for i in range(16):
            r &= M32
            label += chr(A + r % 26)
            r += r ^ s * i**2 * 26
        found.append(label)
    return found


FAMILIES: MappingProxyType[str, Callable[[Seed, int], list[str]]] = MappingProxyType(
    {
        "banjori": banjori, "corebot": corebot, "dircrypt": dircrypt, "fobber": fobber, "kraken": kraken,
        "locky": locky, "murofet": murofet, "necurs": necurs, "padcrypt": padcrypt, "pushdo": pushdo,
        "ramdo": ramdo, "ramnit": ramnit, "ranbyus": ranbyus, "simda": simda, "suppobox": suppobox, "tinba": tinba,
    }
)  # fmt: skip
"""Family → the first n labels of one configuration."""
