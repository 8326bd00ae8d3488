"""What an imitation sees around a word whose translation it is about to choose, as numbers of features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["COPY", "Item", "View"]

COPY = "="
"""A core that is the word itself."""
_SLOT = 1 << 20
_AROUND = (-3, -2, -1, 1, 2)
_BEFORE = (-2, -1, 1)
_OWN, _LATER = 90 * _SLOT, 100 * _SLOT
_EDGE = "|"


@dataclass(frozen=True, slots=True)
class Item:
    """One word of the source in the translation's order, with what it became."""

    at: int
    prefix: str
    core: str


@dataclass(frozen=True, slots=True)
class View:
    """What is known of words: class, topic, and ``agreement``: word or ``=core`` → the article that goes before it."""

    classes: Mapping[str, int]
    topics: Mapping[str, int]
    agreement: Mapping[str, str]
    usual: Mapping[str, str]  # word → the core that it usually becomes
    numbers: dict[str, int] = field(default_factory=dict)  # of all words and endings that were ever looked at
    cards: dict[str, tuple[tuple[int, ...], ...]] = field(default_factory=dict)

    def number(self, name: str) -> int:
        """The number of a word or ending."""
        return self.numbers.setdefault(name, len(self.numbers))

    def card(self, word: str) -> tuple[tuple[int, ...], ...]:
        """Features of a word for each place around another, and for that of the other itself."""
        found = self.cards.get(word)
        if found is None:
            kind, number = self.classes.get(word, -1) + 1, self.number
            ends = number(word[-1:]), number(self.usual.get(word, "")[-2:])
            told = (number(word), kind, number(self.agreement.get(word, "")), *ends)
            slots = iter(range(_SLOT, 1000 * _SLOT, _SLOT))
            around = [tuple(next(slots) + each for each in told) for _ in _AROUND]
            before = [tuple(next(slots) + each for each in told[:2]) for _ in _BEFORE]
            found = self.cards[word] = (*around, *before, told)
        return found

    def features(self, words: Sequence[str], order: Sequence[int], place: int, given: Sequence[str]) -> list[int]:
        """What stands around a place of the translation's order, in both languages; ``given``: cores up to there."""
        at, card = order[place], self.card
        own, _, _, letter, ending = card(words[at])[-1]
        found = [own, _OWN + letter, _OWN + _SLOT + ending]
        for number, away in enumerate(_AROUND):
            near = place + away
            found += card(words[order[near]] if 0 <= near < len(order) else _EDGE)[number]
        for number, away in enumerate(_BEFORE, len(_AROUND)):
            found += card(words[at + away] if 0 <= at + away < len(words) else _EDGE)[number]
        before = order[place - 1] if place else at
        jump = max(-4, min(4, at - before)) + 4
        found.append(_LATER + jump * 100 + card(words[before])[-1][1])
        said = (*self._said(given[:place]), *self._topics(words, at))
        return found + [_LATER + (number + 1) * _SLOT + value for number, value in enumerate(said)]

    def _said(self, given: Sequence[str]) -> tuple[int, ...]:
        """What the cores before say: the last two that ask for agreement, the first, and the end of the last."""
        agreeing = [self.agreement[f"={core}"] for core in given if f"={core}" in self.agreement]
        last = given[-1] if given else _EDGE
        names = (*(*agreeing[-1:-3:-1], "", "")[:2], agreeing[0] if agreeing else "", last, last[-2:])
        return tuple(self.number(name) for name in names)

    def _topics(self, words: Sequence[str], at: int) -> tuple[int, int, int]:
        """Topics of the nearest words that have one: of all, and of those before and after."""
        before = next((near for near in range(at - 1, -1, -1) if words[near] in self.topics), -1)
        after = next((near for near in range(at + 1, len(words)) if words[near] in self.topics), -1)
        first = self.topics[words[before]] + 1 if before >= 0 else 0
        second = self.topics[words[after]] + 1 if after >= 0 else 0
        nearer = second if after >= 0 and (before < 0 or after - at < at - before) else first
        return nearer, first, second
