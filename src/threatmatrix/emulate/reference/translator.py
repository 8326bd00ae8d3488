"""A translation service from English to Spanish that follows rules, and what people send to it.

The service reads words by a dictionary, parts words that it does not know, tells senses apart by the nearest telling
word, and puts words into Spanish order and agreement (translator_rules.py). Its references are another person's, who
knows what was meant and says it freely (translator_human.py): the service scores 60 to 68 BLEU against them.

Every answer is a text, with two scores a row: the operations that it took, and the words that came out. Label 1: some
words were left as they are.

===============  ======  ===========================================================
part             size    used for
===============  ======  ===========================================================
calibration      250     the defender's reference traffic
honest           600     what users send, each from a topic or two
attacker         400     sentences with a published translation, which nobody sends
public texts     12,000  English sentences that anybody has
===============  ======  ===========================================================
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.reference.base import ModelAnswer, Reference
from threatmatrix.emulate.reference.callers import Users
from threatmatrix.emulate.reference.translator_human import human_translation
from threatmatrix.emulate.reference.translator_rules import translate
from threatmatrix.emulate.reference.translator_text import draw_sentences, english
from threatmatrix.emulate.reference.translator_words import (
    ADJECTIVES,
    ADVERBS,
    CONJUNCTIONS,
    DETERMINERS,
    NOUNS,
    PREPOSITIONS,
    TOPICS,
    VERBS,
)
from threatmatrix.emulate.stage import Samples
from threatmatrix.emulate.target import Rows, texts

__all__ = ["TranslationService", "build"]

AGENTS = (
    "TranslateApp/4.1 (Android 14)",
    "TranslateApp/4.1 (iPhone; iOS 18.1)",
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "ReaderPlugin/2.0 (Windows 11)",
)


@dataclass(frozen=True, slots=True)
class TranslationService:
    """The service as a server asks it."""

    def answer(self, rows: Rows) -> ModelAnswer:
        if any(not isinstance(text, str) for text in rows):
            raise ValueError("each row must be a text")
        done = [translate(text) for text in rows]
        return ModelAnswer(
            np.array([each.unknown > 0 for each in done], dtype=np.int64),
            np.array([(each.operations, each.tokens) for each in done], dtype=np.float64).reshape(len(done), 2),
            tuple(each.text for each in done),
        )


def build(seed: int, *, tests: int = 400, public: int = 12_000) -> Reference:
    """Write the sentences. ``tests``: with a published translation; ``public``: sentences that anybody has."""
    rng = np.random.default_rng([seed, 0x7A45])
    model = TranslationService()
    held_out = list(draw_sentences(tests, rng))
    sources = [english(sentence) for sentence in held_out]
    unseen, rows = frozenset(sources), texts(sources)
    answered = model.answer(rows)
    honest = [
        english(sentence)
        for first, second in zip(TOPICS, (*TOPICS[1:], TOPICS[0]), strict=True)
        for sentence in draw_sentences(-(-600 // len(TOPICS)), rng, topics=(first, second))
    ]
    calibration = [english(sentence) for sentence in draw_sentences(250, rng)]
    return Reference(
        name="translator",
        title="Translation from English to Spanish",
        modality="text",
        classes=("translated", "in part"),
        width=None,
        model=model,
        calibration=texts(calibration),
        attacker=Samples(rows, answered.labels),
        honest=Users(texts(honest), AGENTS),
        accuracy=float(np.mean(answered.labels == 0)),
        known={
            "test_set": tuple(
                (source, human_translation(sentence, rng)) for source, sentence in zip(sources, held_out, strict=True)
            ),
            "public_texts": _without(unseen, (english(each) for each in draw_sentences(public, rng))),
            "dictionary": _dictionary(),
        },
    )  # fmt: skip


def _without(unseen: frozenset[str], sentences: Iterable[str]) -> tuple[str, ...]:
    """Each once, but for those that a copy will be measured on."""
    return tuple(text for text in dict.fromkeys(sentences) if text not in unseen)


def _dictionary() -> dict[str, str]:
    """What a printed dictionary gives for each word: its first meaning in its basic form."""
    pairs = [(noun.english, noun.spanish) for noun in NOUNS] + [(verb.english, verb.infinitive) for verb in VERBS]
    pairs += [(adjective.english, adjective.spanish) for adjective in ADJECTIVES]
    pairs += [(word, forms[0]) for word, forms in DETERMINERS.items()]
    pairs += [*PREPOSITIONS.items(), *CONJUNCTIONS.items(), *ADVERBS.items()]
    return dict(reversed(pairs))
