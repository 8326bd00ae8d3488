"""A language model of word n-grams: interpolated Kneser–Ney, as anybody may take it from the literature.

Source: Kneser, Ney, "Improved Backing-off for M-gram Language Modeling", 1995; Chen, Goodman, "An Empirical Study of
Smoothing Techniques for Language Modeling", 1999, section 2.7 (interpolated, one discount for each order).
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["END", "START", "UNKNOWN", "NGramModel", "Recipe", "train_ngrams", "words_of"]

START, END, UNKNOWN = "<s>", "</s>", "<unk>"
_WORDS = re.compile(r"[^\W_]+(?:'[^\W_]+)?|[.,;:!?%]")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a training is told beside its texts."""

    order: int = 3
    least: int = 2  # times that a word must occur to be one


@dataclass(frozen=True, slots=True)
class _Level:
    """Counts of n-grams of one length, and what follows each of their beginnings."""

    counts: Mapping[tuple[str, ...], int]
    totals: Mapping[tuple[str, ...], int]  # by beginning
    kinds: Mapping[tuple[str, ...], int]  # different words that follow it
    discount: float


@dataclass(frozen=True, slots=True)
class NGramModel:
    """A trained model."""

    recipe: Recipe
    vocabulary: frozenset[str]
    levels: tuple[_Level, ...]  # one word, two words, …

    def chance(self, word: str, before: Sequence[str]) -> float:
        """Of a word, after the words before it."""
        found = 1.0 / len(self.vocabulary)
        for length, level in enumerate(self.levels):
            beginning = tuple(before[len(before) - length :])
            total = level.totals.get(beginning)
            if total is None:
                break
            kept = max(level.counts.get((*beginning, word), 0) - level.discount, 0.0)
            found = (kept + level.discount * level.kinds[beginning] * found) / total
        return found

    def log_likelihood(self, text: str) -> tuple[float, int]:
        """Natural logarithm of the chance of a text with its end, and of how many words that is."""
        words = [word if word in self.vocabulary else UNKNOWN for word in words_of(text)]
        padded = [START] * (self.recipe.order - 1) + words + [END]
        first = self.recipe.order - 1
        total = sum(math.log(self.chance(padded[at], padded[at - first : at])) for at in range(first, len(padded)))
        return total, len(padded) - first

    def perplexity(self, text: str) -> float:
        """Of one text: the number of equally likely words that it was, on average, a choice of."""
        total, words = self.log_likelihood(text)
        return math.exp(-total / words)

    def following(self, before: Sequence[str]) -> Mapping[str, int]:
        """The words that were seen after the longest known end of these, and how often."""
        for length in range(min(self.recipe.order - 1, len(before)), -1, -1):
            beginning = tuple(before[len(before) - length :])
            level = self.levels[length]
            found = {
                word: count
                for word in self.vocabulary
                if (count := level.counts.get((*beginning, word), 0)) and word not in (UNKNOWN, START)
            }
            if found:
                return found
        return {END: 1}


def words_of(text: str) -> list[str]:
    """Words and marks in lower case."""
    return _WORDS.findall(text.lower())


def train_ngrams(documents: Iterable[str], recipe: Recipe) -> NGramModel:
    """Count; raises ValueError without a single word."""
    read = [words_of(document) for document in documents]
    often = Counter(word for words in read for word in words)
    vocabulary = frozenset({word for word, count in often.items() if count >= recipe.least} | {END, UNKNOWN})
    if len(vocabulary) == 2:
        raise ValueError("there is nothing to learn from")
    counts: Counter[tuple[str, ...]] = Counter()
    for words in read:
        padded = [START] * (recipe.order - 1) + [word if word in vocabulary else UNKNOWN for word in words] + [END]
        counts.update(zip(*(padded[at:] for at in range(recipe.order)), strict=False))
    levels = [_level(counts)]
    for _ in range(recipe.order - 1):
        counts = Counter(gram[1:] for gram in counts)  # in how many different words' company each was seen
        levels.append(_level(counts))
    return NGramModel(recipe, vocabulary, tuple(reversed(levels)))


def _level(counts: Mapping[tuple[str, ...], int]) -> _Level:
    once = sum(count == 1 for count in counts.values())
    twice = sum(count == 2 for count in counts.values())
    totals: dict[tuple[str, ...], int] = defaultdict(int)
    kinds: dict[tuple[str, ...], int] = defaultdict(int)
    for gram, count in counts.items():
        totals[gram[:-1]] += count
        kinds[gram[:-1]] += 1
    discount = once / (once + 2 * twice) if once + twice else 0.5
    return _Level(counts, dict(totals), dict(kinds), min(max(discount, 0.05), 0.95))
