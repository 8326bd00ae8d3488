"""A translator that was learnt from pairs alone: align the words, learn their order, learn what each becomes.

Where several words of a translation stand for one word of the source, the last run of them is its core; whatever
stands for nothing, or apart from its run, is the prefix of the word that follows (the *a* before a person).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from threatmatrix.emulate.attacks.extraction.bleu import pieces
from threatmatrix.emulate.attacks.extraction.imitation_order import Order, learn_order
from threatmatrix.emulate.attacks.extraction.imitation_tree import Cases, Endings, Tree, learn_endings, learn_tree
from threatmatrix.emulate.attacks.extraction.imitation_view import COPY, Item, View
from threatmatrix.emulate.attacks.extraction.word_alignment import NOWHERE, align
from threatmatrix.emulate.attacks.extraction.word_classes import word_classes, word_topics

__all__ = ["Imitation", "Pair", "learn_imitation"]

Pair = tuple[str, str]
_CONTRACTIONS = MappingProxyType({"al": ("a", "el"), "del": ("de", "el")})
_SENSES = 3  # letters in which two ways must differ to be two senses, not two endings


@dataclass(frozen=True, slots=True)
class Imitation:
    """The learnt translator."""

    order: Order
    prefixes: Mapping[int, Tree]  # by class
    cores: Mapping[str, Endings]  # by word
    view: View
    ambiguous: frozenset[str]  # words of several senses

    def translate(self, text: str) -> str:
        """Source → translation."""
        words = pieces(text)
        shown = {word.lower(): word for word in re.findall(r"[^\W_]+", text)}
        order = self.order.of(words)
        given: list[str] = []
        out: list[str] = []
        for place, at in enumerate(order):
            word = words[at]
            features = frozenset(self.view.features(words, order, place, given))
            prefix = self.prefixes.get(self.view.classes.get(word, -1))
            core = self.cores[word].best(features) if word in self.cores else COPY
            given.append(core)
            out += prefix.best(features).split() if prefix else ()
            out += (shown.get(word, word) if core == COPY else core).split()
        return _written(out)


def learn_imitation(
    pairs: Sequence[Pair], rng: np.random.Generator, *, texts: Sequence[str] = (), classes: int = 16
) -> Imitation:
    """Learn from (source, translation) pairs; word classes from further texts of the source language as well."""
    read = [(pieces(source), _split(translation)) for source, translation in pairs]
    sources = [source for source, translation in read if source and translation]
    targets = [translation for source, translation in read if source and translation]
    lines = [_items(*each) for each in zip(sources, targets, align(sources, targets), strict=True)]
    more = [words for words in map(pieces, texts) if words]
    found, coarse = (word_classes([*sources, *more], k, rng) for k in (classes, classes // 2 + 1))
    topics = word_topics([*sources, *more], classes // 2, rng)
    view = View(found, topics, _agreement(sources, lines), _usual_cores(sources, lines))
    order = learn_order(sources, [[item.at for item in line] for line in lines], found, coarse)
    return _with_choices(order, view, sources, lines, _of_several_senses(sources, lines))


def _with_choices(
    order: Order, view: View, sources: Sequence[list[str]], lines: Sequence[list[Item]], ambiguous: frozenset[str]
) -> Imitation:
    prefixes: dict[int, Cases] = defaultdict(lambda: ([], []))
    cores: dict[int, dict[str, Cases]] = defaultdict(lambda: defaultdict(lambda: ([], [])))
    for words, line in zip(sources, lines, strict=True):
        positions, given = [item.at for item in line], [item.core for item in line]
        for place, item in enumerate(line):
            word = words[item.at]
            kind = view.classes[word]
            features = view.features(words, positions, place, given)
            for (cases, ways), way in ((cores[kind][word], item.core), (prefixes[kind], item.prefix)):
                cases.append(features)
                ways.append(way)
    chosen: dict[str, Endings] = {}
    for by_word in cores.values():
        chosen |= learn_endings({word: each for word, each in by_word.items() if word not in ambiguous})
        for word in sorted(ambiguous & set(by_word)):
            chosen |= learn_endings({word: by_word[word]})
    return Imitation(order, {kind: learn_tree(*each) for kind, each in prefixes.items()}, chosen, view, ambiguous)


def _split(translation: str) -> list[str]:
    """Words of a translation, its contractions taken apart."""
    return [part for word in pieces(translation) for part in _CONTRACTIONS.get(word, (word,))]


def _written(words: list[str]) -> str:
    text = f" {' '.join(words)} ".replace(" de el ", " del ").replace(" a el ", " al ").strip()
    text = re.sub(r" ([.,;:!?])", r"\1", text)
    return text[:1].upper() + text[1:]


def _items(words: list[str], translation: list[str], stands_for: list[int]) -> list[Item]:
    """The words of one source in the translation's order, each with its prefix and core."""
    last = {position: at for at, position in enumerate(stands_for) if position != NOWHERE}
    items: list[Item] = []
    prefix: list[str] = []
    at = 0
    while at < len(translation):
        position = stands_for[at]
        end = at + 1
        while end < len(translation) and stands_for[end] == position:
            end += 1
        if position == NOWHERE or last[position] >= end:
            prefix += translation[at:end]
        else:
            core = translation[at:end]
            items.append(Item(position, " ".join(prefix), COPY if core == [words[position]] else " ".join(core)))
            prefix = []
        at = end
    if prefix and items:
        items[-1] = Item(items[-1].at, items[-1].prefix, f"{items[-1].core} {' '.join(prefix)}")
    return _with_silent(len(words), items)


def _with_silent(n: int, items: list[Item]) -> list[Item]:
    """Words that became nothing stand behind the word before them."""
    spoken = {item.at for item in items}
    for at in range(n):
        if at not in spoken:
            after = next((place + 1 for place, item in enumerate(items) if item.at == at - 1), 0)
            items.insert(after, Item(at, "", ""))
    return items


def _agreement(sources: Sequence[list[str]], lines: Sequence[list[Item]]) -> dict[str, str]:
    """For words and their cores: what the word that varies most became before them (*the*: el, la, los, las)."""
    ways: dict[str, Counter[str]] = defaultdict(Counter)
    for words, line in zip(sources, lines, strict=True):
        for item in line:
            ways[words[item.at]][item.core] += 1
    pivot = max(ways, key=lambda word: ways[word].total() - max(ways[word].values()), default="")
    usual = {way for way, count in ways[pivot].items() if count >= 0.02 * ways[pivot].total()}
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for words, line in zip(sources, lines, strict=True):
        for first, second in pairwise(line):
            if words[first.at] == pivot and first.core in usual:
                seen[words[second.at]][first.core] += 1
                seen[f"={second.core}"][first.core] += 1
    return {word: counts.most_common(1)[0][0] for word, counts in seen.items() if word not in ("=", "==")}


def _usual_cores(sources: Sequence[list[str]], lines: Sequence[list[Item]]) -> dict[str, str]:
    ways: dict[str, Counter[str]] = defaultdict(Counter)
    for words, line in zip(sources, lines, strict=True):
        for item in line:
            ways[words[item.at]][item.core] += 1
    return {word: counts.most_common(1)[0][0] for word, counts in ways.items()}


def _of_several_senses(sources: Sequence[list[str]], lines: Sequence[list[Item]]) -> frozenset[str]:
    """Words with two frequent cores that begin differently."""
    ways: dict[str, Counter[str]] = defaultdict(Counter)
    for words, line in zip(sources, lines, strict=True):
        for item in line:
            if len(item.core) > _SENSES:
                ways[words[item.at]][item.core[:_SENSES]] += 1
    return frozenset(
        word
        for word, found in ways.items()
        if sum(count >= max(2, 0.05 * found.total()) for count in found.values()) > 1
    )
