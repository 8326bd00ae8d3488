"""In which order a translation takes the words of its source: templates of word classes, learnt from aligned pairs.

After Och, Tillmann, Ney, "Improved Alignment Models for Statistical Machine Translation", 1999 (alignment templates),
with Koehn, Och, Marcu, "Statistical Phrase-Based Translation", 2003, for which runs of words may be taken out of a
pair. A new sentence is cut into the runs that are likeliest to have been seen, and each is put into its usual order.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Order", "learn_order"]

_LONGEST = 9
_FREQUENT = 40  # words that are a class of their own in the finer templates
_CUT = 0.3  # what each further run costs, in logarithms
_ALONE = 6.0  # what a word costs that no template covers
_COARSE = 0.7  # what a run costs of which only the classes were seen
_DOUBT = 0.5  # added to each count
_SIGHT = ((2, 3), (2, 2), (1, 2), (1, 1))  # names before and after a boundary, the most telling first
_UNLIKE, _SURE = 0.4, 5  # how much, and in how many cases, a word differs from its class

Key = tuple[str, ...]
Moves = tuple[int, ...]
Run = tuple[int, int, Moves]
Boundary = tuple[int | str, ...]
"""How many names before a boundary, then those before it and those after it."""


@dataclass(frozen=True, slots=True)
class Order:
    """Learnt orders, by level, the finest first. ``templates``: a run's names → its usual order, and how sure it is."""

    levels: tuple[Mapping[str, str], ...]  # word → its name
    templates: tuple[Mapping[Key, tuple[Moves, float]], ...]
    cuts: tuple[Mapping[Boundary, float], ...]  # names around a boundary → what it costs to part them

    def of(self, words: Sequence[str]) -> list[int]:
        """Positions of the source, in the order of the translation."""
        names = [[level.get(word, "?") for word in words] for level in self.levels]
        best: list[tuple[float, list[int]]] = [(0.0, [])]
        for end in range(1, len(words) + 1):
            score, before = best[end - 1]
            found = (score - _ALONE, [*before, end - 1])
            for start in range(max(0, end - _LONGEST), end):
                cut = self._cut(names, start)
                for depth, table in enumerate(self.templates):
                    known = table.get(tuple(names[depth][start:end]))
                    if known is None:
                        continue
                    score = best[start][0] + known[1] + cut - depth * _COARSE
                    if score > found[0]:
                        found = (score, [*best[start][1], *(start + move for move in known[0])])
            best.append(found)
        return best[-1][1]

    def _cut(self, names: Sequence[Sequence[str]], at: int) -> float:
        """What it costs to begin a run at a position."""
        if not at:
            return 0.0
        for level, table in zip(names, self.cuts, strict=True):
            for before, after in _SIGHT:
                cost = table.get((before, *level[max(0, at - before) : at + after]))
                if cost is not None:
                    return cost
        return -_CUT


def learn_order(
    sentences: Sequence[Sequence[str]],
    orders: Sequence[Sequence[int]],
    classes: Mapping[str, int],
    coarse: Mapping[str, int],
) -> Order:
    """From sources and the orders of their positions that translations took; two ways to class the words."""
    places = [{position: at for at, position in enumerate(order)} for order in orders]
    medium, rough = (_names(sentences, places, each) for each in (classes, coarse))
    counts = Counter(word for sentence in sentences for word in sentence)
    levels = ({**medium, **{word: word for word, _ in counts.most_common(_FREQUENT)}}, rough)
    runs = [_runs(order, place) for order, place in zip(orders, places, strict=True)]
    return Order(
        levels, tuple(_templates(sentences, runs, level) for level in levels),
        tuple(_cuts(sentences, orders, level) for level in levels),
    )  # fmt: skip


def _cuts(
    sentences: Sequence[Sequence[str]], orders: Sequence[Sequence[int]], level: Mapping[str, str]
) -> dict[Boundary, float]:
    """How often the translation, too, has all that stands before a boundary before all that stands behind it."""
    seen: dict[Boundary, list[int]] = defaultdict(lambda: [0, 0])
    for words, order in zip(sentences, orders, strict=True):
        highest, whole = -1, set()
        for at, position in enumerate(order):
            highest = max(highest, position)
            if highest == at:
                whole.add(at + 1)
        names = [level.get(word, "?") for word in words]
        for at in range(1, len(words)):
            for before, after in _SIGHT:
                counts = seen[(before, *names[max(0, at - before) : at + after])]
                counts[0] += at in whole
                counts[1] += 1
    return {
        key: math.log((kept + 0.1 * _DOUBT) / (count + _DOUBT)) - _CUT
        for key, (kept, count) in seen.items()
        if count >= _SURE
    }


def _names(
    sentences: Sequence[Sequence[str]], places: Sequence[Mapping[int, int]], classes: Mapping[str, int]
) -> dict[str, str]:
    """Word → its class, with a mark where it keeps its place before the next word unlike the others of its class."""
    stays: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for words, place in zip(sentences, places, strict=True):
        for at in range(len(words) - 1):
            for key in (words[at], f"#{classes.get(words[at], -1)}"):
                stays[key][0] += place[at] < place[at + 1]
                stays[key][1] += 1
    share = {key: (kept + _DOUBT) / (seen + 2 * _DOUBT) for key, (kept, seen) in stays.items()}

    def unlike(word: str, kind: int) -> bool:
        return stays[word][1] >= _SURE and abs(share.get(word, 0.5) - share.get(f"#{kind}", 0.5)) > _UNLIKE

    return {word: f"#{kind}{'!' if unlike(word, kind) else ''}" for word, kind in classes.items()}


def _templates(
    sentences: Sequence[Sequence[str]], runs: Sequence[Sequence[Run]], level: Mapping[str, str]
) -> dict[Key, tuple[Moves, float]]:
    """The usual order of each run of names, and how sure it is."""
    seen: dict[tuple[Key, Moves], int] = defaultdict(int)
    for words, found in zip(sentences, runs, strict=True):
        names = tuple(level.get(word, "?") for word in words)
        for start, end, moves in found:
            seen[names[start:end], moves] += 1
    total: dict[Key, int] = defaultdict(int)
    best: dict[Key, tuple[int, Moves]] = {}
    for (key, moves), count in seen.items():
        total[key] += count
        best[key] = max(best.get(key, (0, ())), (count, moves))
    return {key: (moves, math.log(count / (total[key] + _DOUBT))) for key, (count, moves) in best.items()}


def _runs(order: Sequence[int], place: Mapping[int, int]) -> list[Run]:
    """Runs of the source whose words stand together in the translation as well, with their order there."""
    found = []
    for start in range(len(order)):
        low = high = place[start]
        for end in range(start + 1, min(start + _LONGEST, len(order)) + 1):
            low, high = min(low, place[end - 1]), max(high, place[end - 1])
            if high - low == end - start - 1:
                found.append((start, end, tuple(position - start for position in order[low : high + 1])))
    return found
