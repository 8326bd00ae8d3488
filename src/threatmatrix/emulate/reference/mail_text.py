"""A grammar of mail: who writes what about what, in which words. Faithful in its frequencies, empty in its sense.

A mail is a subject, an opening, sentences, a closing. Each word of a sentence is drawn from one of five sources: words
that hold a sentence together, common words, words of the mail's own kind, words of another kind, and a long tail (names
of products, people and places) that each kind uses in an order of its own. Within a source words follow Zipf's law.
One spam in five borrows half of its subject from an honest kind, as real ones do.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from threatmatrix.emulate.reference.mail_words import COMMON, FUNCTION, NAMES, OPENINGS, TOPICS
from threatmatrix.emulate.target import FloatArray, IntArray, Rows, texts

__all__ = ["HAM", "SPAM", "Post"]

HAM = ("work", "newsletter", "receipt", "private")
SPAM = ("pills", "loan", "fortune", "account", "replica", "jobs")
SOURCES = (0.40, 0.17, 0.21, 0.08, 0.14)  # function words, common words, own kind, another kind, tail
TAIL = 900
BORROWING = 0.2
STARTS = ("b", "br", "c", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "st", "t", "tr", "v")
VOWELS = ("a", "e", "i", "o", "u", "ai", "ea")
ENDS = ("", "", "l", "n", "r", "s", "t", "ck", "nd")
CLOSINGS = ("best regards {name}", "thanks {name}", "see you {name}", "yours {name}", "regards", "the team", "")


@dataclass(frozen=True, slots=True)
class _Source:
    """Words with the cumulative probability of each."""

    words: tuple[str, ...]
    cumulative: FloatArray

    @classmethod
    def zipf(cls, words: tuple[str, ...], exponent: float) -> _Source:
        weight = 1.0 / np.arange(1, len(words) + 1) ** exponent
        return cls(words, np.cumsum(weight / weight.sum()))

    def draw(self, n: int, rng: np.random.Generator) -> list[str]:
        at = np.minimum(np.searchsorted(self.cumulative, rng.random(n)), len(self.words) - 1)
        return [self.words[i] for i in at]


@dataclass(slots=True)
class Post:
    """A world of mail: the same seed has the same long tail of words and the same writers' habits."""

    seed: int
    _function: _Source = field(init=False)
    _common: _Source = field(init=False)
    _topic: dict[str, _Source] = field(init=False)
    _tail: dict[str, _Source] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng([self.seed, 0x9057])
        self._function = _Source.zipf(FUNCTION, 0.9)
        self._common = _Source.zipf(COMMON, 0.6)
        self._topic = {kind: _Source.zipf(words, 0.5) for kind, words in TOPICS.items()}
        tail = _tail_words(rng)
        self._tail = {}
        for kind in TOPICS:
            order = np.argsort(np.arange(TAIL) + rng.normal(0.0, TAIL / 2, TAIL))  # alike, and not the same
            self._tail[kind] = _Source.zipf(tuple(tail[i] for i in order), 0.8)

    def mails(self, kinds: list[str], rng: np.random.Generator) -> Rows:
        """One mail of each kind that is listed."""
        return texts(self._mail(kind, rng) for kind in kinds)

    def mixed(self, n: int, spam: float, rng: np.random.Generator) -> tuple[Rows, IntArray]:
        """N mails of all kinds, a share of them spam, and their labels: 0 spam, 1 honest."""
        is_spam = rng.random(n) < spam
        kinds = [str(rng.choice(SPAM if bad else HAM)) for bad in is_spam]
        return self.mails(kinds, rng), np.where(is_spam, 0, 1).astype(np.int64)

    def _mail(self, kind: str, rng: np.random.Generator) -> str:
        borrowed = str(rng.choice(HAM)) if kind in SPAM and rng.random() < BORROWING else ""
        size = int(np.clip(rng.lognormal(4.1, 0.45), 20, 180))
        words = self._words(kind, borrowed, size, rng)
        name = NAMES[int(rng.integers(len(NAMES)))]
        opening = OPENINGS[kind][int(rng.integers(len(OPENINGS[kind])))].format(name=name)
        closing = CLOSINGS[int(rng.integers(len(CLOSINGS)))].format(name=NAMES[int(rng.integers(len(NAMES)))])
        subject = " ".join(self._topic[borrowed or kind].draw(int(rng.integers(2, 6)), rng))
        parts = f"Subject: {subject}", f"{opening.capitalize()},", _sentences(words, rng), closing.capitalize()
        return "\n\n".join(parts).strip()

    def _words(self, kind: str, borrowed: str, size: int, rng: np.random.Generator) -> list[str]:
        others = [other for other in TOPICS if other != kind]
        counts = rng.multinomial(size, SOURCES)
        half = int(counts[2]) // 2 if borrowed else 0
        words = self._function.draw(int(counts[0]), rng) + self._common.draw(int(counts[1]), rng)
        words += self._topic[kind].draw(int(counts[2]) - half, rng)
        words += self._topic[borrowed or kind].draw(half, rng)
        words += self._topic[others[int(rng.integers(len(others)))]].draw(int(counts[3]), rng)
        words += self._tail[borrowed or kind].draw(int(counts[4]), rng)
        return [words[i] for i in rng.permutation(len(words))]


def _tail_words(rng: np.random.Generator) -> list[str]:
    """Invented words of two or three syllables, no two alike."""
    made: dict[str, None] = {}
    while len(made) < TAIL:
        parts = (str(rng.choice(s)) for _ in range(int(rng.integers(2, 4))) for s in (STARTS, VOWELS, ENDS))
        made.setdefault("".join(parts))
    return list(made)


def _sentences(words: list[str], rng: np.random.Generator) -> str:
    """Full stops after every five to fourteen words, a number now and then."""
    said, at = [], 0
    while at < len(words):
        part = words[at : at + int(rng.integers(5, 15))]
        at += len(part)
        if rng.random() < 0.15:
            part.append(str(int(rng.integers(1, 100)) * 5))
        said.append(" ".join(part).capitalize() + ".")
    return " ".join(said)
