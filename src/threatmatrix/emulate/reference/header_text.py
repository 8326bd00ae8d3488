"""Fills the templates of HTTP requests with hosts, paths, tokens and numbers.

Some honest programs are built on the same Windows library as much malware, and send the same old agent and the same
``Cache-Control: no-cache``; some malware copies a browser's agent. Servers of malware are bare addresses from the
ranges for documentation (RFC 5737), random cheap names, and honest sites that were broken into.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from threatmatrix.emulate.reference.header_templates import CHOICES, MALWARE, PEOPLE, PROGRAMS
from threatmatrix.emulate.reference.mail_words import listed
from threatmatrix.emulate.target import Rows, texts

__all__ = ["Wire"]

SLOT = re.compile(r"\{(\w+)\}")
LOWER = "abcdefghijklmnopqrstuvwxyz"
DIGITS = "0123456789"
ANY = LOWER + LOWER.upper() + DIGITS
SITE = listed(
    "news shop cdn static api mail cloud media video maps forum wiki docs photo music travel bank store blog data img "
    "assets login app weather sports games health school city auto home world digital online group tech food"
)
PATH = listed(
    "index search products article images css js fonts assets user account cart list item page category static media "
    "thumbs icons scripts styles api v1 v2 feed events help about news archive tags login profile settings"
)
ENDINGS = ("com", "org", "net", "de", "io", "co.uk", "fr", "eu")
CHEAP = ("top", "xyz", "ru", "info", "club", "pw", "su", "biz", "com", "net")
FILES = (".js", ".css", ".png", ".jpg", ".html", "")
NETS = ("198.51.100", "203.0.113", "192.0.2")
RANDOM: Mapping[str, tuple[int, int, str]] = MappingProxyType(
    {
        "session": (20, 32, ANY),
        "token": (10, 40, ANY),
        "blob": (90, 140, ANY),
        "tag": (4, 16, ANY),
        "folder": (3, 9, LOWER),
        "identity": (16, 16, DIGITS + "ABCDEF"),
        "visitor": (9, 10, DIGITS),
    }
)
"""Placeholder → how many characters of what."""
NUMBERS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"length": (60, 2000), "day": (10, 29), "minor": (9, 13), "digit": (0, 10)}
)


@dataclass(frozen=True, slots=True)
class Wire:
    """Writes requests; each call draws from the generator that it was made with."""

    rng: np.random.Generator

    def people(self, n: int) -> Rows:
        return self._of(PEOPLE, n)

    def programs(self, n: int) -> Rows:
        return self._of(PROGRAMS, n)

    def honest(self, n: int) -> Rows:
        """Four of five are people's, the rest programs'."""
        programs = int(self.rng.binomial(n, 0.2))
        return np.concatenate([self.people(n - programs), self.programs(programs)])[self.rng.permutation(n)]

    def malware(self, n: int) -> Rows:
        """Of eight families, in turn."""
        return texts(self._fill(MALWARE[i % len(MALWARE)]) for i in range(n))

    def _of(self, templates: Sequence[str], n: int) -> Rows:
        return texts(self._fill(templates[i]) for i in self.rng.integers(len(templates), size=n).tolist())

    def _fill(self, template: str) -> str:
        drawn: dict[str, str] = {}

        def value(slot: re.Match[str]) -> str:
            name = slot.group(1)
            if name not in drawn:
                drawn[name] = self._draw(name)
            return drawn[name]

        lines = []
        for line in template.split("\n"):
            chance, _, rest = line[1:].partition(" ") if line.startswith("~") else ("1", "", line)
            if self.rng.random() < float(chance):
                lines.append(SLOT.sub(value, rest))
        return "\n".join(lines)

    def _draw(self, name: str) -> str:
        if name in CHOICES:
            return self._one(CHOICES[name])
        if name in RANDOM:
            return self._random(*RANDOM[name])
        if name in NUMBERS:
            return str(self._number(*NUMBERS[name]))
        made = {
            "site": self._site,
            "server": self._server,
            "path": self._path,
            "stale": self._stale,
            "build": self._build,
        }
        return made[name]()

    def _one(self, of: Sequence[str]) -> str:
        return of[int(self.rng.random() * len(of))]

    def _number(self, low: int, high: int) -> int:
        return low + int(self.rng.random() * (high - low))

    def _random(self, low: int, high: int, alphabet: str) -> str:
        return "".join(alphabet[int(i)] for i in self.rng.random(self._number(low, high + 1)) * len(alphabet))

    def _site(self) -> str:
        front = f"{self._one(SITE)}." if self.rng.random() < 0.6 else "www."
        return f"{front}{self._one(SITE)}{self._one(SITE)}.{self._one(ENDINGS)}"

    def _server(self) -> str:
        """Where malware reports to."""
        kind = self.rng.random()
        if kind < 0.35:
            return f"{self._one(NETS)}.{self._number(1, 255)}"
        return self._site() if kind < 0.5 else f"{self._random(7, 16, LOWER)}.{self._one(CHEAP)}"

    def _path(self) -> str:
        path = "".join(f"/{self._one(PATH)}" for _ in range(self._number(1, 4)))
        if self.rng.random() < 0.4:
            path += f"/{self._random(6, 12, LOWER + DIGITS)}{self._one(FILES)}"
        return path + (f"?{self._one(PATH)}={self._random(3, 16, ANY)}" if self.rng.random() < 0.3 else "")

    def _stale(self) -> str:
        """A browser's version of years ago."""
        return f"{self._number(49, 80)}.0.{self._number(2000, 4000)}.{self._number(10, 120)}"

    def _build(self) -> str:
        return f"{self._number(17000, 22000)}.{self._number(1, 900)}"
