"""The translation service itself: dictionary, word classes, senses, agreement, word order. It follows rules.

It counts its own work, one operation for each look-up and each rule that it tries: what a text costs, whatever the
machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from threatmatrix.emulate.reference.translator_reading import Dictionary, Token
from threatmatrix.emulate.reference.translator_words import (
    DETERMINERS,
    Adjective,
    Noun,
    Verb,
    agreeing,
    plural,
)

__all__ = ["Translated", "translate"]

_PIECES = re.compile(r"'s\b|[^\W_]+|[^\w\s]")
_SUBJECTS = {"he": ("m", False), "she": ("f", False), "it": ("m", False), "they": ("m", True)}
_OBJECTS = {"him": "lo", "her": "la", "it": "lo", "them": "los"}
_DICTIONARY = Dictionary()
MOST_TOKENS = 400


@dataclass(frozen=True, slots=True)
class Translated:
    """The translation, what it cost, and how many words it left as they were."""

    text: str
    operations: int
    tokens: int
    unknown: int


@dataclass(slots=True)
class _Head:
    """What agreement needs of a noun phrase: its gender and number, and whether it is a person."""

    gender: str = "m"
    many: bool = False
    person: bool = False


def translate(text: str) -> Translated:
    """English → Spanish; whatever it does not know stays as it is."""
    tokens, looked_up = _DICTIONARY.read(_PIECES.findall(text)[:MOST_TOKENS])
    work = _Work(tokens, operations=looked_up)
    out = f" {' '.join(work.sentence())} "
    out = out.replace(" de el ", " del ").replace(" a el ", " al ").strip()
    out = re.sub(r" ([.,;:!?])", r"\1", out)
    unknown = sum(token.kind == "unknown" for token in tokens)
    return Translated(out[:1].upper() + out[1:], work.operations, len(out.split()), unknown)


@dataclass(slots=True)
class _Work:
    """One pass over the tokens, from left to right."""

    tokens: list[Token]
    operations: int
    at: int = 0
    subject: _Head = field(default_factory=_Head)
    waiting: list[_Head] = field(default_factory=list)  # subjects of clauses that a relative one interrupts
    verb_seen: bool = False

    def peek(self, ahead: int = 0) -> Token | None:
        self.operations += 1
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else None

    def kind(self, ahead: int = 0) -> str:
        token = self.peek(ahead)
        return token.kind if token else ""

    def sentence(self) -> Iterator[str]:
        while (token := self.peek()) is not None:
            if token.kind in ("determiner", "adjective", "noun", "name"):
                words, head = self.phrase()
                if not self.verb_seen:
                    self.subject = head
                yield from words
            elif token.kind in ("verb", "be", "do", "want", "idiom-verb"):
                yield from self.predicate()
            else:
                self.at += 1
                yield from self.small(token)

    def small(self, token: Token) -> Iterator[str]:
        """Words that stand alone."""
        if token.kind == "pronoun":
            self.verb_seen = False
            self.subject = _Head(*_SUBJECTS.get(token.text, ("m", False)), True)
        elif token.kind == "relative":
            self.waiting.append(self.subject)
            self.verb_seen = False
            yield token.spanish
        elif token.kind == "conjunction":
            self.verb_seen, self.waiting = False, []
            yield token.spanish
        elif token.kind == "preposition":
            yield token.spanish
            if self.kind() in ("determiner", "adjective", "noun", "name"):
                yield from self.phrase()[0]
        else:
            yield token.spanish

    def phrase(self) -> tuple[list[str], _Head]:
        """A noun phrase: its words in Spanish order, and what agrees with it."""
        determiner = adjectives = None
        if self.kind() == "determiner":
            determiner = self.take().text
        adjectives = self.several("adjective")
        nouns = self.several("noun") or self.several("name") or self.several("unknown")
        words, head = self.of_nouns(determiner, adjectives, nouns)
        while self.kind() == "possessive":
            self.take()
            adjectives = self.several("adjective")
            nouns = self.several("noun") or self.several("unknown")
            owned, head = self.of_nouns("the", adjectives, nouns)
            words = [*owned, "de", *words]
        return words, head

    def take(self) -> Token:
        self.at += 1
        return self.tokens[self.at - 1]

    def several(self, kind: str) -> list[tuple[int, Token]]:
        found = []
        while self.kind() == kind:
            found.append((self.at, self.take()))
        return found

    def of_nouns(
        self, determiner: str | None, adjectives: list[tuple[int, Token]], nouns: list[tuple[int, Token]]
    ) -> tuple[list[str], _Head]:
        """The last noun is the head; those before it follow as *de …*."""
        senses = [self.sense(at, token.nouns) for at, token in nouns]
        last = nouns[-1][1] if nouns else None
        head = _Head(many=bool(last and last.many) or determiner in ("many", "two", "these"))
        main = last.spanish if last else ""
        if senses and senses[-1] is not None:
            head = _Head(senses[-1].gender, bool(last and last.many), senses[-1].person)
            main = plural(senses[-1].spanish) if head.many else senses[-1].spanish
        elif last is not None and last.kind == "name":
            head = _Head("f" if last.text.endswith("a") else "m", False, True)
            main = " ".join(token.spanish for _, token in nouns)
            senses = senses[-1:]
        words = [DETERMINERS[determiner][2 * head.many + (head.gender == "f")]] if determiner else []
        before, after = self.around([token.adjective for _, token in adjectives if token.adjective], head)
        words += [*before, main, *after]
        for noun, (_, token) in zip(reversed(senses[:-1]), reversed(nouns[:-1]), strict=True):
            words += ["de", noun.spanish if noun else token.spanish]
        return [word for word in words if word], head

    def around(self, adjectives: list[Adjective], head: _Head) -> tuple[list[str], list[str]]:
        """Adjectives before the noun and after it, in its gender and number."""
        before, after = [], []
        for adjective in adjectives:
            self.operations += 1
            word = agreeing(adjective.spanish, head.gender, head.many)
            if not adjective.before:
                after.append(word)
            elif head.many or (head.gender == "f" and adjective.before != "gran"):
                before.append(word)
            else:
                before.append(adjective.before)
        return before, after

    def sense(self, at: int, senses: tuple[Noun, ...]) -> Noun | None:
        """The sense whose topic the nearest telling word has; else the first."""
        if len(senses) < 2:
            return senses[0] if senses else None
        return next((sense for topic in self.topics(at) for sense in senses if sense.topic == topic), senses[0])

    def topics(self, at: int) -> Iterator[str]:
        """Topics of the words that have only one, the nearest first, the one before rather than the one after."""
        for away in range(1, max(at, len(self.tokens) - at) + 1):
            for near in (at - away, at + away):
                self.operations += 1
                if 0 <= near < len(self.tokens) and self.tokens[near].topic:
                    yield self.tokens[near].topic

    def predicate(self) -> Iterator[str]:
        """A verb with all that belongs to it, up to its object."""
        if self.verb_seen and self.waiting:
            self.subject = self.waiting.pop()
        self.verb_seen = True
        token = self.take()
        many = {"third": False, "base": True}.get(token.form, self.subject.many)
        if token.kind == "idiom-verb":
            yield token.spanish
        elif token.kind == "be":
            yield (("era", "eran") if token.form == "past" else ("es", "son"))[many]
            yield from self.state()
        elif token.kind == "do":
            yield from self.denied(token, many)
        elif token.kind == "want":
            yield from self.wanted(past=token.form == "past", many=many)
        else:
            yield from self.conjugated(self.at - 1, token, past=token.form == "past", many=many)

    def state(self) -> Iterator[str]:
        if self.kind() == "adverb":
            yield self.take().spanish
        while self.kind() == "adjective":
            adjective = self.take().adjective
            if adjective:
                yield agreeing(adjective.spanish, self.subject.gender, self.subject.many)

    def denied(self, do: Token, many: bool) -> Iterator[str]:
        if self.kind() == "not":
            self.take()
            yield "no"
        if self.kind() == "want":
            self.take()
            yield from self.wanted(past=do.form == "past", many=many)
        elif self.kind() == "verb":
            at, token = self.at, self.take()
            yield from self.conjugated(at, token, past=do.form == "past", many=many)

    def wanted(self, *, past: bool, many: bool) -> Iterator[str]:
        yield (("quería", "querían") if past else ("quiere", "quieren"))[many]
        token = self.peek(1)
        if self.kind() == "preposition" and token is not None and token.kind == "verb":
            self.take()
            at = self.at
            verb = self.verb(at, self.take())
            yield verb.infinitive + self.clitic()
            yield from self.marker()

    def conjugated(self, at: int, token: Token, *, past: bool, many: bool) -> Iterator[str]:
        verb = self.verb(at, token)
        clitic = self.clitic()
        if clitic:
            yield clitic
        yield verb.forms[2 * past + many]
        yield from self.marker()

    def verb(self, at: int, token: Token) -> Verb:
        """The sense of a verb, as that of a noun."""
        if len(token.verbs) == 1:
            return token.verbs[0]
        found = (verb for topic in self.topics(at) for verb in token.verbs if verb.topic == topic)
        return next(found, token.verbs[0])

    def clitic(self) -> str:
        """The pronoun that is the object; Spanish puts it before the verb, or ties it to an infinitive."""
        token = self.peek()
        if token is None or token.text not in _OBJECTS or token.kind not in ("object", "pronoun"):
            return ""
        return _OBJECTS[self.take().text]

    def marker(self) -> Iterator[str]:
        """The *a* before somebody who is the object, and the object itself."""
        if self.kind() in ("determiner", "adjective", "noun", "name"):
            words, head = self.phrase()
            if head.person:
                yield "a"
            yield from words
