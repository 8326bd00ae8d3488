"""Domain names: those that people register, and those that sixteen published algorithms compute.

The defender's detector is a logistic regression on character n-grams of the first label, trained on all families. The
attacker has a public detector of another type: a small network, trained on other names of the ten families that were
known when it was published. Parts of one seed; the families of each part are configured anew:

===============  ===================  ==================================================
product          2 × 4,000            the defender's training names
check            600                  for the accuracy
calibration      250                  the defender's reference traffic
honest           500                  what people and programs look up
attacker         16 × 30              names of botnets
public detector  2 × 2,500            what it was trained on
families         16 × 40              names of each family that anybody has
popular names    1,500                registered names that anybody has
===============  ===================  ==================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.reference.base import Reference
from threatmatrix.emulate.reference.dga import FAMILIES, family_seed
from threatmatrix.emulate.reference.mail_words import COMMON, NAMES, TOPICS, listed
from threatmatrix.emulate.reference.text_crowd import Crowd, ServedText, cut
from threatmatrix.emulate.stage import Samples
from threatmatrix.emulate.target import Rows, texts
from threatmatrix.emulate.text_models import Grams, TextModel
from threatmatrix.emulate.text_training import fit_grams

__all__ = ["KNOWN", "build"]

KNOWN = ("corebot", "dircrypt", "fobber", "kraken", "locky", "necurs", "padcrypt", "ramnit", "ranbyus", "suppobox")
"""Families that the public detector was trained on."""

ENDINGS = ("com", "com", "com", "net", "org", "de", "co", "io", "info", "eu")
BRANDS = ("on", "ix", "ify", "ly", "io", "ora", "ex", "ium", "ster", "zy", "ia", "eo")
STEMS = listed(
    """ab ac al am an ar as av ba be bo ca ce co da de di do el em en fa fi ga ge he in ka ki la le li lo lu ma me mi mo
    na ne ni no nu or pa pe pi po ra re ri ro sa se si so sta sun ta te ti to tra ul va ve vi vo wa we xe ya ze"""
)
SIGNS = listed(
    """online shop my web the home best group media tech world city car house food travel club store blog news music
    life design art photo studio hotel auto real estate pro net digital solutions service services consulting center
    kids health fitness beauty style fashion sport sports game games play book books school academy green blue red
    star sun north south new first top super smart easy quick direct global inter euro trade market marketing
    business finance invest law legal bank insurance property rent build garden dental medical care doctor pet dog cat
    pizza cafe bar wine coffee restaurant kitchen farm bio natural eco energy solar power light water air cloud data
    soft code app mobile phone network systems lab labs works factory team hub zone point place land park"""
)
PATTERNS = (
    ("w", 0.10), ("ww", 0.24), ("w-w", 0.08), ("wn", 0.06), ("be", 0.15), ("iw", 0.09), ("wb", 0.10), ("wi", 0.05),
    ("www", 0.08), ("in", 0.03), ("ib", 0.02),
)  # fmt: skip
"""w: a word, b: a brand's stem, e: its ending, i: initials, n: a number; with how often each occurs."""
CONSONANTS = "bcdfghklmnprstvw"
AGENTS = ("stub-resolver/1.4", "stub-resolver/1.5", "dnsmasq/2.90", "systemd-resolved/256")
UPDATERS = ("updater/3.2", "ntp-client/4.2")


def _words() -> tuple[str, ...]:
    """What people make names of, the likelier first: words of shop signs, then the words of mail."""
    every = {word for topic in TOPICS.values() for word in topic} | set(COMMON) | set(NAMES)
    others = sorted({word for word in every if 3 <= len(word) <= 11} - set(SIGNS))
    return (*SIGNS, *(others[int(i)] for i in np.random.default_rng(0x516).permutation(len(others))))


@dataclass(frozen=True, slots=True)
class _Registrar:
    """Names of shops, clubs, firms and people: words (by Zipf's law), brands, initials, numbers."""

    words: tuple[str, ...]
    rng: np.random.Generator

    def names(self, n: int) -> Rows:
        return texts(f"{self._label()}.{self.rng.choice(ENDINGS)}" for _ in range(n))

    def _label(self) -> str:
        parts, chance = zip(*PATTERNS, strict=True)
        pattern = parts[int(self.rng.choice(len(parts), p=chance))]
        return "".join(self._part(kind) for kind in pattern)

    def _part(self, kind: str) -> str:
        rng = self.rng
        match kind:
            case "w":  # a word; the r-th with probability ~ 1/r, by inverting the integral
                return self.words[int(len(self.words) ** rng.random()) - 1]
            case "b":
                return "".join(STEMS[int(i)] for i in rng.integers(len(STEMS), size=int(rng.integers(2, 4))))
            case "e":
                return BRANDS[int(rng.integers(len(BRANDS)))]
            case "i":
                return "".join(CONSONANTS[int(i)] for i in rng.integers(len(CONSONANTS), size=int(rng.integers(2, 4))))
            case "n":
                return str(int(rng.integers(1, 1000)))
            case _:
                return kind


def _generated(families: Sequence[str], n: int, rng: np.random.Generator, words: tuple[str, ...]) -> dict[str, Rows]:
    """N names of each family, from three configurations."""
    made: dict[str, Rows] = {}
    for family in families:
        labels: list[str] = []
        for _ in range(3):
            own = [words[int(i)] for i in rng.permutation(len(words))[:384]]
            labels += FAMILIES[family](family_seed(rng, own), -(-n // 3))
        made[family] = texts(f"{labels[int(i)]}.{rng.choice(ENDINGS)}" for i in rng.permutation(len(labels))[:n])
    return made


def _detector(
    features: Grams, families: Sequence[str], size: int, words: tuple[str, ...], rng: np.random.Generator,
    *, hidden: int = 0, seed: int = 0,
) -> TextModel:  # fmt: skip
    """Trained on as many registered names as generated ones. Label 0: generated, 1: registered."""
    bad = np.concatenate(list(_generated(families, -(-size // len(families)), rng, words).values()))
    good = _Registrar(words, rng).names(len(bad))
    y = np.repeat(np.array([0, 1], dtype=np.int64), len(bad))
    return fit_grams(features, np.concatenate([bad, good]), y, hidden=hidden, seed=seed)


def build(seed: int, *, product: int = 4000, public: int = 2500, each: int = 30) -> Reference:
    """Compute the names and train both detectors. ``each``: names of a family that the attacker wants to pass."""
    rng = np.random.default_rng([seed, 0xD6A])
    words = _words()
    model = ServedText(_detector(Grams((1, 2, 3), 2**15, until="."), tuple(FAMILIES), product, words, rng))
    check = (
        _Registrar(words, rng).names(300),
        np.concatenate(list(_generated(tuple(FAMILIES), 19, rng, words).values())),
    )
    calibration, honest = cut(_Registrar(words, rng).names(750), 250, 500)
    attacked = _generated(tuple(FAMILIES), each, rng, words)
    names = texts(attacked[family][i] for i in range(each) for family in FAMILIES)  # every prefix has all families
    detector = _detector(Grams((1, 2, 3), 2**13, until="."), KNOWN, public, words, rng, hidden=8, seed=seed)
    right = [model.answer(rows).labels == label for rows, label in ((check[0], 1), (check[1], 0))]
    return Reference(
        name="domains",
        title="Domain names, generated or registered",
        modality="text",
        classes=("generated", "registered"),
        width=None,
        model=model,
        calibration=calibration,
        attacker=Samples(names, np.zeros(len(names), dtype=np.int64)),
        honest=Crowd(
            people=(honest,), programs=(honest[:20], honest[20:40]), agents=AGENTS, scripts=UPDATERS,
            gap=(3.0, 25.0), several=0.4,
        ),
        accuracy=float(np.mean(np.concatenate(right))),
        known={
            "public_detector": detector,
            "families": _generated(tuple(FAMILIES), 40, rng, words),
            "family_of": {str(name): family for family, rows in attacked.items() for name in rows},
            "popular_names": _Registrar(words, rng).names(1500),
        },
    )  # fmt: skip
