"""What people write and what they mean: sentences as trees, drawn by topic.

A tree knows the sense that was meant. The translation service never sees it, only the English words of
:func:`english`; the human translator (translator_human.py) works from the tree.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from threatmatrix.emulate.reference.translator_words import (
    ADJECTIVES,
    GIVING,
    NAMES,
    NOUNS,
    RARE,
    TOPICS,
    VERBS,
    Adjective,
    Noun,
    Verb,
)

__all__ = ["Clause", "Phrase", "Sentence", "draw_sentences", "english"]

T = TypeVar("T")
_ON_TOPIC = 0.85  # of the nouns of a sentence
_NAMED, _RARE = 0.06, 0.02
_TIMES = ("yesterday", "today", "soon", "last night", "every morning")
_MANNERS = ("by heart", "in vain", "on foot", "at once", "once in a blue moon", "there")
_WHOLE = ("kicked the bucket", "let the cat out of the bag", "paid through the nose")
_PLACES = ("in", "near", "behind", "under", "with", "without", "from", "for", "after")
_JOINS = ("and", "but", "because", "when", "although")
_SINGLE = ("the", "the", "the", "a", "a", "this", "every", "my", "his", "her", "their", "our")
_SEVERAL = ("the", "the", "the", "these", "some", "many", "two", "my", "his", "her", "their", "our")
_PRONOUNS = ("he", "she", "they")


@dataclass(frozen=True, slots=True)
class Phrase:
    """A person or thing: ``owner``'s, with ``made_of`` before it (*stone bridge*), and a clause about it."""

    noun: Noun
    many: bool = False
    determiner: str = "the"
    adjectives: tuple[Adjective, ...] = ()
    owner: Phrase | None = None
    made_of: Noun | None = None
    about: Clause | None = None
    name: bool = False


@dataclass(frozen=True, slots=True)
class Clause:
    """Who does what. ``subject``: a phrase, a pronoun, or None for the one that the clause is about."""

    subject: Phrase | str | None
    verb: Verb | None = None  # None: ``state``, or the idiom in ``manner``
    past: bool = True
    denied: bool = False
    wanted: bool = False  # wants to …
    objects: Phrase | str | None = None  # a phrase, or him, her, them, it
    receiver: Phrase | None = None
    state: tuple[Adjective, str] | None = None  # with "very", "too" or nothing
    place: tuple[str, Phrase] | None = None
    time: str = ""
    manner: str = ""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One clause, or two with a word between them."""

    first: Clause
    join: str = ""
    second: Clause | None = None


_BY_TOPIC: dict[str, list[Noun]] = defaultdict(list)
for _each in NOUNS:
    _BY_TOPIC[_each.topic].append(_each)
_VERBS_OF = {topic: [verb for verb in VERBS if verb.topic in ("", topic)] for topic in TOPICS}


@dataclass(slots=True)
class _Writer:
    """Writes one sentence about a topic."""

    rng: np.random.Generator
    topic: str

    def one(self, items: Sequence[T]) -> T:
        return items[int(self.rng.integers(len(items)))]

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def noun(self, *, person: bool | None = None) -> Noun:
        topic = self.topic if self.chance(_ON_TOPIC) else self.one(TOPICS)
        found = _BY_TOPIC[topic]
        return self.one(found if person is None else [noun for noun in found if noun.person is person] or found)

    def phrase(self, depth: int = 0, *, person: bool | None = None) -> Phrase:
        if person and self.chance(_NAMED):
            name = self.one(NAMES)
            gender = "f" if name.endswith("a") else "m"
            return Phrase(Noun(name, name, name, gender, "", True), determiner="", name=True)
        noun = self.noun(person=person)
        if person is not True and self.chance(_RARE):
            rare = self.one(tuple(RARE))
            noun = Noun(rare, f"{rare}s", *RARE[rare], "", False)
        many = self.chance(0.3)
        owner = self.phrase(2, person=True) if depth < 2 and self.chance(0.1) else None
        made_of = self.noun(person=False) if depth < 2 and owner is None and self.chance(0.07) else None
        about = self.clause(None, depth + 1) if depth == 0 and self.chance(0.08) else None
        adjectives = tuple({self.one(ADJECTIVES): None for _ in range(int(self.rng.choice(3, p=[0.55, 0.38, 0.07])))})
        return Phrase(
            noun, many, self.one(_SEVERAL if many else _SINGLE) if owner is None else "", adjectives,
            owner, made_of, about,
        )  # fmt: skip

    def subject(self, depth: int) -> Phrase | str:
        if self.chance(0.2):
            return self.one(_PRONOUNS)
        return self.phrase(depth, person=True if self.chance(0.75) else None)

    def clause(self, subject: Phrase | str | None, depth: int) -> Clause:
        """One clause; about its subject where that is None (a relative one)."""
        past = self.chance(0.65)
        place = (self.one(_PLACES), self.phrase(depth + 1)) if depth == 0 and self.chance(0.4) else None
        time = self.one(_TIMES) if depth == 0 and self.chance(0.15) else ""
        kind = self.rng.random()
        if kind < 0.03 and depth == 0:
            return Clause(subject, manner=self.one(_WHOLE), time=time)
        if kind < 0.15:
            grade = self.one(("", "", "very", "too"))
            return Clause(subject, past=past, state=(self.one(ADJECTIVES), grade), place=place, time=time)
        denied, wanted = self.chance(0.12), self.chance(0.08)
        manner = self.one(_MANNERS) if depth == 0 and place is None and self.chance(0.12) else ""
        common = {"past": past, "denied": denied, "wanted": wanted, "time": time, "manner": manner, "place": place}
        if kind < 0.27 and depth == 0:
            thing, receiver = self.phrase(1, person=False), self.phrase(2, person=True)
            return Clause(subject, self.one(GIVING), objects=thing, receiver=receiver, **common)  # type: ignore[arg-type]
        verb = self.one(_VERBS_OF[self.topic])
        objects = self.one(("him", "her", "them")) if self.chance(0.12) else self.phrase(depth + 1)
        return Clause(subject, verb, objects=objects, **common)  # type: ignore[arg-type]

    def sentence(self) -> Sentence:
        first = self.clause(self.subject(0), 0)
        if not self.chance(0.25):
            return Sentence(first)
        return Sentence(first, self.one(_JOINS), self.clause(self.subject(1), 1))


def draw_sentences(n: int, rng: np.random.Generator, *, topics: Sequence[str] = TOPICS) -> Iterator[Sentence]:
    """N sentences, each about one of the topics."""
    for _ in range(n):
        yield _Writer(rng, topics[int(rng.integers(len(topics)))]).sentence()


def english(sentence: Sentence) -> str:
    """As a person writes it."""
    words = list(_clause(sentence.first))
    if sentence.second is not None:
        words += [sentence.join, *_clause(sentence.second)]
    text = " ".join(words).replace(" 's", "'s")
    return f"{text[0].upper()}{text[1:]}."


def _phrase(phrase: Phrase) -> Iterator[str]:
    if phrase.owner is not None:
        yield from _phrase(phrase.owner)
        yield "'s"
    elif phrase.determiner:
        first = phrase.adjectives[0].english if phrase.adjectives else (phrase.made_of or phrase.noun).english
        yield "an" if phrase.determiner == "a" and first[0] in "aeiou" else phrase.determiner
    yield from (adjective.english for adjective in phrase.adjectives)
    if phrase.made_of is not None:
        yield phrase.made_of.english
    yield phrase.noun.english_plural if phrase.many else phrase.noun.english
    if phrase.about is not None:
        yield "who" if phrase.noun.person else "that"
        yield from _predicate(phrase.about, several=phrase.many)


def _clause(clause: Clause) -> Iterator[str]:
    if isinstance(clause.subject, Phrase):
        yield from _phrase(clause.subject)
        yield from _predicate(clause, several=clause.subject.many)
    else:
        yield str(clause.subject)
        yield from _predicate(clause, several=clause.subject == "they")


def _predicate(clause: Clause, *, several: bool) -> Iterator[str]:
    yield from _verb(clause, several=several)
    if isinstance(clause.objects, Phrase):
        yield from _phrase(clause.objects)
    elif clause.objects:
        yield clause.objects
    if clause.receiver is not None:
        yield "to"
        yield from _phrase(clause.receiver)
    if clause.place is not None:
        yield clause.place[0]
        yield from _phrase(clause.place[1])
    yield from (part for part in (clause.manner if clause.manner not in _WHOLE else "", clause.time) if part)


def _verb(clause: Clause, *, several: bool) -> Iterator[str]:
    if clause.manner in _WHOLE:
        yield clause.manner
    elif clause.state is not None:
        adjective, grade = clause.state
        yield ("were" if several else "was") if clause.past else ("are" if several else "is")
        yield from (word for word in (grade, adjective.english) if word)
    elif clause.verb is not None:
        base, past, third = clause.verb.english, clause.verb.english_past, clause.verb.english_third
        if clause.wanted:
            base, past, third = "want", "wanted", "wants"
        if clause.denied:
            yield "did" if clause.past else ("do" if several else "does")
            yield "not"
            yield base
        else:
            yield past if clause.past else (base if several else third)
        if clause.wanted:
            yield "to"
            yield clause.verb.english
