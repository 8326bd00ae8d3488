"""BLEU of a whole set of translations, as it was published, on lower-case words and punctuation marks.

Source: Papineni, Roukos, Ward, Zhu, "BLEU: a Method for Automatic Evaluation of Machine Translation", 2002, section 2:
clipped counts of n-grams up to four, summed over the set, and a penalty where the translations are too short. One
reference for each sentence.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

__all__ = ["ORDER", "bleu", "pieces"]

ORDER = 4
_PIECES = re.compile(r"'s\b|[^\W_]+|[^\w\s]")


def pieces(text: str) -> list[str]:
    """Words and marks in lower case."""
    return _PIECES.findall(text.lower())


def bleu(translations: Sequence[str], references: Sequence[str]) -> float:
    """0 to 100; 0 where not a single run of four words is right. Raises ValueError where their numbers differ."""
    matched, given = [0] * ORDER, [0] * ORDER
    length = wanted = 0
    for translation, reference in zip(translations, references, strict=True):
        words, right = pieces(translation), pieces(reference)
        length, wanted = length + len(words), wanted + len(right)
        for n in range(1, ORDER + 1):
            counts, known = _grams(words, n), _grams(right, n)
            matched[n - 1] += sum(min(count, known[gram]) for gram, count in counts.items())
            given[n - 1] += sum(counts.values())
    if not all(matched):
        return 0.0
    shortness = min(0.0, 1.0 - wanted / length)
    return 100.0 * math.exp(shortness + sum(math.log(m / g) for m, g in zip(matched, given, strict=True)) / ORDER)


def _grams(words: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[at : at + n]) for at in range(len(words) - n + 1))
