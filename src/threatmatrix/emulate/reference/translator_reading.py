"""How the translation service reads: each word looked up, its class decided, unknown ones taken apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from threatmatrix.emulate.reference.translator_words import (
    ADJECTIVES,
    ADVERBS,
    CONJUNCTIONS,
    DETERMINERS,
    GIVING,
    IDIOMS,
    NAMES,
    NOUNS,
    PREPOSITIONS,
    VERBS,
    Adjective,
    Noun,
    Verb,
)

__all__ = ["Dictionary", "Token"]

_BE = {"is": "third", "are": "base", "was": "past", "were": "past"}
_DO = {"does": "third", "do": "base", "did": "past"}
_WANT = {"wants": "third", "want": "base", "wanted": "past"}
_PRONOUNS = ("he", "she", "they", "it")
_OBJECTS = ("him", "them")
_VERB_IDIOMS = ("kicked", "cost", "rained", "let", "paid")
LONGEST_COMPOUND = 24


@dataclass(frozen=True, slots=True)
class Token:
    """One word as it was read. ``form`` of a verb: third, base or past; ``topic`` where it has exactly one."""

    text: str
    kind: str
    spanish: str = ""
    form: str = ""
    many: bool = False
    topic: str = ""
    nouns: tuple[Noun, ...] = ()
    verbs: tuple[Verb, ...] = ()
    adjective: Adjective | None = None
    may_be_adjective: bool = False


class Dictionary:
    """Looks words up; counts what it looks at."""

    def __init__(self) -> None:
        self.words: dict[str, Token] = {}
        self._idioms = {tuple(idiom.split()): spanish for idiom, spanish in IDIOMS.items()}
        self._longest = max(map(len, self._idioms))
        self._small()
        self._nouns()
        self._verbs()
        for adjective in ADJECTIVES:
            known = self.words.get(adjective.english)
            if known is not None and known.kind == "verb":
                self.words[adjective.english] = replace(known, adjective=adjective, may_be_adjective=True)
            else:
                self.words[adjective.english] = Token(adjective.english, "adjective", adjective=adjective)
        self._alike: dict[tuple[str, int], list[str]] = defaultdict(list)
        for word in self.words:
            self._alike[word[0], len(word)].append(word)

    def _small(self) -> None:
        tables = (("preposition", PREPOSITIONS), ("conjunction", CONJUNCTIONS), ("adverb", ADVERBS))
        for kind, table in tables:
            self.words |= {word: Token(word, kind, spanish) for word, spanish in table.items()}
        for word in ("who", "that"):
            self.words[word] = Token(word, "relative", "que")
        self.words |= {word: Token(word, "determiner") for word in (*DETERMINERS, "an")}
        self.words |= {word: Token(word, "be", form=form) for word, form in _BE.items()}
        self.words |= {word: Token(word, "do", form=form) for word, form in _DO.items()}
        self.words |= {word: Token(word, "want", form=form) for word, form in _WANT.items()}
        self.words |= {word: Token(word, "pronoun") for word in _PRONOUNS}
        self.words |= {word: Token(word, "object") for word in _OBJECTS}
        self.words |= {"not": Token("not", "not", "no"), "'s": Token("'s", "possessive")}
        self.words |= {name.lower(): Token(name.lower(), "name", name) for name in NAMES}

    def _nouns(self) -> None:
        senses: dict[str, list[Noun]] = defaultdict(list)
        for noun in NOUNS:
            senses[noun.english].append(noun)
        for nouns in senses.values():
            topic = nouns[0].topic if len(nouns) == 1 else ""
            for many, word in enumerate((nouns[0].english, nouns[0].english_plural)):
                self.words[word] = Token(word, "noun", many=bool(many), topic=topic, nouns=tuple(nouns))

    def _verbs(self) -> None:
        senses: dict[str, list[Verb]] = defaultdict(list)
        for verb in (*VERBS, *GIVING):
            senses[verb.english].append(verb)
        for verbs in senses.values():
            one = verbs[0]
            topic = one.topic if len(verbs) == 1 else ""
            forms = {one.english: "base", one.english_third: "third", one.english_past: "past"}
            for word, form in forms.items():
                self.words.setdefault(word, Token(word, "verb", form=form, topic=topic, verbs=tuple(verbs)))

    def read(self, pieces: Sequence[str]) -> tuple[list[Token], int]:
        """Tokens, and how many look-ups they took."""
        tokens: list[Token] = []
        looked_up = at = 0
        lower = [piece.lower() for piece in pieces]
        while at < len(pieces):
            for length in range(min(self._longest, len(pieces) - at), 1, -1):
                looked_up += 1
                idiom = self._idioms.get(tuple(lower[at : at + length]))
                if idiom is not None:
                    kind = "idiom-verb" if lower[at] in _VERB_IDIOMS else "idiom"
                    tokens.append(Token(" ".join(lower[at : at + length]), kind, idiom))
                    at += length
                    break
            else:
                found, cost = self._look_up(pieces[at])
                looked_up += cost
                tokens += found
                at += 1
        return self._decided(tokens), looked_up + len(tokens)

    def _look_up(self, piece: str) -> tuple[list[Token], int]:
        """A known word; one that is misspelt by a letter; one that is made of known ones; or as it is."""
        word = piece.lower()
        token = self.words.get("a" if word == "an" else word)
        if token is not None:
            return [token], 1
        if not piece[0].isalpha():
            return [Token(word, "mark", piece)], 1
        cost = 1
        for length in range(len(word) - 1, len(word) + 2):
            for other in self._alike.get((word[0], length), ()):
                cost += 1
                if len(word) > 4 and self.words[other].kind in ("noun", "adjective") and _one_letter(word, other):
                    return [self.words[other]], cost
        parts, tried = self._parts(word) if len(word) <= LONGEST_COMPOUND else (None, 1)
        return (parts or [Token(word, "unknown", piece)]), cost + tried

    def _parts(self, word: str) -> tuple[list[Token] | None, int]:
        """The word as nouns and adjectives that follow each other, with or without an s between them."""
        cost = 0
        for end in range(3, len(word) + 1):
            cost += 1
            first = self.words.get(word[:end])
            if first is None or first.kind not in ("noun", "adjective"):
                continue
            if end == len(word):
                return [first], cost
            for rest in dict.fromkeys((word[end:], word[end:].removeprefix("s"))):
                found, tried = self._parts(rest)
                cost += tried
                if found:
                    return [first, *found], cost
        return None, cost

    def _decided(self, tokens: list[Token]) -> list[Token]:
        """Words of two classes by what stands before and after them."""
        decided: list[Token] = []
        for at, token in enumerate(tokens):
            before = decided[-1].kind if decided else ""
            after = tokens[at + 1] if at + 1 < len(tokens) else None
            names_thing = after is not None and (
                after.kind in ("noun", "adjective", "unknown") or after.may_be_adjective
            )
            if token.text == "her" and not names_thing:
                decided.append(replace(token, kind="object"))
            elif token.may_be_adjective and before in ("determiner", "adjective", "be", "adverb", "possessive"):
                decided.append(replace(token, kind="adjective", topic=""))
            else:
                decided.append(token)
        return decided


def _one_letter(a: str, b: str) -> bool:
    """Whether one letter put in, taken out or replaced makes b of a."""
    short, long = sorted((a, b), key=len)
    start = next((i for i, (p, q) in enumerate(zip(short, long, strict=False)) if p != q), len(short))
    if len(short) == len(long):
        return short[start + 1 :] == long[start + 1 :]
    return short[start:] == long[start + 1 :]
