"""A human translator: works from what was meant, and says one thing in several ways.

It has its own grammar and its own taste (other words of the same meaning, the tense that comes to mind, what stands
first), so that a service that is right still differs from it. Its translations are the references of BLEU.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from threatmatrix.emulate.reference.translator_text import Clause, Phrase, Sentence
from threatmatrix.emulate.reference.translator_words import (
    ADVERBS,
    CONJUNCTIONS,
    DETERMINERS,
    IDIOMS,
    PREPOSITIONS,
    Verb,
    agreeing,
    plural,
)

__all__ = ["human_translation"]

_OTHER_WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "coche": ("automóvil", "carro"), "barca": ("bote",), "sendero": ("camino", "senda"), "tienda": ("comercio",),
        "comerciante": ("mercader", "tendero"), "casa": ("vivienda",), "calle": ("vía",), "préstamo": ("crédito",),
        "abogado": ("letrado",), "canción": ("canto",), "público": ("espectadores",), "puerto": ("muelle",),
        "maestra": ("profesora",), "alumno": ("estudiante",), "libro": ("volumen",), "chica": ("muchacha",),
        "chico": ("muchacho", "niño"), "pastel": ("tarta",), "hermoso": ("bello", "bonito"), "viejo": ("antiguo",),
        "pequeño": ("chico",), "famoso": ("célebre",), "extraño": ("raro",), "dirigir": ("guiar",),
        "contento": ("feliz",), "rojo": ("encarnado",), "tranquilo": ("callado",), "barato": ("económico",),
        "sucio": ("mugriento",), "mercado": ("plaza",), "oficina": ("despacho",), "enemigo": ("adversario",),
        "tormenta": ("tempestad",), "taller": ("estudio",), "lámpara": ("luz",), "cuchillo": ("navaja",),
    }
)  # fmt: skip
_OTHER_VERBS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "mirar": ("observar",), "encontrar": ("hallar",), "llevar": ("transportar",), "reparar": ("arreglar",),
        "esconder": ("ocultar",), "robar": ("hurtar",), "amar": ("adorar",), "odiar": ("detestar",),
        "limpiar": ("asear",), "ayudar": ("auxiliar",), "comprar": ("adquirir",), "romper": ("quebrar",),
        "necesitar": ("precisar",), "levantar": ("alzar",), "atacar": ("asaltar",), "enviar": ("mandar",),
    }
)  # fmt: skip
_OTHER_JOINS = {"pero": ("mas", "sin embargo"), "porque": ("ya que", "pues"), "aunque": ("a pesar de que",)}
_OTHER_PLACES = {"cerca de": ("junto a",), "debajo de": ("bajo",), "detrás de": ("tras",), "después de": ("tras",)}
_OTHER_IDIOMS = {
    "en seguida": ("inmediatamente", "al instante"), "de higos a brevas": ("muy de vez en cuando",),
    "anoche": ("la noche pasada",), "cada mañana": ("todas las mañanas",), "estiró la pata": ("murió", "falleció"),
    "pagó un dineral": ("pagó carísimo",), "en vano": ("inútilmente",), "se fue de la lengua": ("reveló el secreto",),
}  # fmt: skip
_OTHER = 0.5  # how often another word of the same meaning comes to mind
_FIRST = 0.5  # how often a time or a place goes to the front
_PERFECT = 0.35  # how often the past is told as *ha …*
_SPOKEN = 0.25  # how often a pronoun is said at all


@dataclass(slots=True)
class _Human:
    rng: np.random.Generator

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def other(self, word: str, table: Mapping[str, Sequence[str]], share: float = _OTHER) -> str:
        others = table.get(word, ())
        return str(others[int(self.rng.integers(len(others)))]) if others and self.chance(share) else word

    def phrase(self, phrase: Phrase) -> Iterator[str]:
        if phrase.name:
            yield phrase.noun.spanish
            return
        gender, many = phrase.noun.gender, phrase.many
        at = (2 if many else 0) + (gender == "f")
        if phrase.determiner or phrase.owner is not None:
            yield DETERMINERS[phrase.determiner or "the"][at]
        noun = self.other(phrase.noun.spanish, _OTHER_WORDS)
        for adjective in phrase.adjectives:
            if adjective.before:
                short = adjective.before if gender == "m" or adjective.before == "gran" else ""
                yield short if short and not many else agreeing(adjective.spanish, gender, many)
        yield plural(noun) if many else noun
        after = [
            agreeing(self.other(adjective.spanish, _OTHER_WORDS), gender, many)
            for adjective in phrase.adjectives if not adjective.before
        ]  # fmt: skip
        if phrase.made_of is not None:
            yield "de"
            yield self.other(phrase.made_of.spanish, _OTHER_WORDS)
        yield from " y ".join(after).split()
        if phrase.owner is not None:
            yield "de"
            yield from self.phrase(phrase.owner)
        if phrase.about is not None:
            yield "que"
            yield from self.predicate(phrase.about, gender, many)

    def conjugated(self, verb: Verb, past: bool, many: bool) -> str:
        other = self.other(verb.infinitive, _OTHER_VERBS)
        if past and self.chance(_PERFECT):
            return f"{'han' if many else 'ha'} {verb.participle}"
        if other == verb.infinitive or not other.endswith("ar"):
            return verb.forms[2 * past + many]
        return other[:-2] + (("ó", "aron")[many] if past else ("a", "an")[many])

    def predicate(self, clause: Clause, gender: str, many: bool, *, shifted: bool = False) -> Iterator[str]:
        if clause.denied:
            yield "no"
        pronoun = clause.objects if isinstance(clause.objects, str) else ""
        clitic = {"him": "lo", "her": "la", "them": "los"}.get(pronoun, "le" if clause.receiver is not None else "")
        if clitic and not clause.wanted:
            yield clitic
        if clause.state is not None:
            adjective, grade = clause.state
            yield (("era", "eran") if clause.past else ("es", "son"))[many]
            if grade:
                yield ADVERBS[grade]
            yield agreeing(self.other(adjective.spanish, _OTHER_WORDS), gender, many)
        elif clause.verb is None:
            yield self.other(IDIOMS[clause.manner], _OTHER_IDIOMS)
        elif clause.wanted:
            yield (("quería", "querían") if clause.past else ("quiere", "quieren"))[many]
            yield clause.verb.infinitive + clitic
        else:
            yield self.conjugated(clause.verb, clause.past, many)
        yield from self.rest(clause, shifted=shifted)

    def rest(self, clause: Clause, *, shifted: bool) -> Iterator[str]:
        """Objects, receiver, place, manner, time."""
        if isinstance(clause.objects, Phrase):
            if clause.objects.noun.person:
                yield "a"
            yield from self.phrase(clause.objects)
        if clause.receiver is not None:
            yield "a"
            yield from self.phrase(clause.receiver)
        if clause.verb is not None and clause.manner:
            yield self.other({**IDIOMS, **ADVERBS}[clause.manner], _OTHER_IDIOMS)
        if clause.place is not None:
            yield self.other(PREPOSITIONS[clause.place[0]], _OTHER_PLACES)
            yield from self.phrase(clause.place[1])
        if clause.time and not shifted:
            yield self.time(clause)

    def time(self, clause: Clause) -> str:
        return self.other({**ADVERBS, **IDIOMS}[clause.time], _OTHER_IDIOMS)

    def clause(self, clause: Clause) -> Iterator[str]:
        shifted = bool(clause.time) and self.chance(_FIRST)
        if shifted:
            yield self.time(clause)
        if isinstance(clause.subject, Phrase):
            yield from self.phrase(clause.subject)
            gender, many = clause.subject.noun.gender, clause.subject.many
        else:
            who = str(clause.subject)
            gender, many = ("f" if who == "she" else "m"), who == "they"
            if self.chance(_SPOKEN):
                yield {"he": "él", "she": "ella", "they": "ellos"}[who]
        yield from self.predicate(clause, gender, many, shifted=shifted)


def human_translation(sentence: Sentence, rng: np.random.Generator) -> str:
    """One translation, as this person puts it this time."""
    human = _Human(rng)
    words = list(human.clause(sentence.first))
    if sentence.second is not None:
        words += [human.other(CONJUNCTIONS[sentence.join], _OTHER_JOINS), *human.clause(sentence.second)]
    text = f" {' '.join(words)} ".replace(" de el ", " del ").replace(" a el ", " al ").strip()
    return f"{text[0].upper()}{text[1:]}."
