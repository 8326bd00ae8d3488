"""A word put into a sentence that makes a translator take another word of it in another sense.

Source: Wallace, Stern, Song, "Imitation Attacks and Defenses for Black-box Machine Translation Systems", 2020, section
4 (targeted flips, transferred from an imitation). Access: file (the imitation) to find, label (a text) to use. Cost:
``craft_flips`` none; ``send_flips`` one query for each sentence.

The search runs on the imitation alone. Where the paper follows its gradient, this one asks it which words have a topic
of their own, tries some of each at places near the chosen word but not beside it, and takes the topic that works most
often. The chosen word stays; what it was translated as must be gone. The control puts in a word of the same texts,
drawn by lot, at a place drawn by lot.

Result of one sentence, e.g. ``SampleOutcome(index=3, claimed=True, confirmed=True, queries=1, distance=1.0)``: claimed
where it works on the imitation (or, once sent, in the first answer), confirmed where fresh answers of the service show
the chosen translation without the added word and no longer with it. Holds ``flips``; figures ``found`` (share of the
sentences with a word added), ``transfer`` (share of those that work on the service).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from threatmatrix.emulate.attacks.asking import ask_all
from threatmatrix.emulate.attacks.extraction.bleu import pieces
from threatmatrix.emulate.attacks.extraction.imitation import NO_TEXTS, translations_of
from threatmatrix.emulate.attacks.extraction.imitation_model import Imitation
from threatmatrix.emulate.stage import Brought, Stage
from threatmatrix.emulate.target import texts
from threatmatrix.model.errors import UsageError
from threatmatrix.model.evidence import SampleOutcome

__all__ = ["CraftParams", "Flip", "SendParams", "craft_flips", "send_flips"]

_FEW = 5  # words that are no topic yet
_STEM = 3  # letters that two forms of one word have in common


@dataclass(frozen=True, slots=True)
class CraftParams:
    """Of the search."""

    words_of_a_topic: int = 2
    places: int = 3


@dataclass(frozen=True, slots=True)
class SendParams:
    """There is nothing to choose."""


@dataclass(frozen=True, slots=True)
class Flip:
    """A sentence, the same with one word more, and what the chosen word was translated as; index of the sentence."""

    index: int
    sentence: str
    changed: str
    chosen: str
    translated: str


def craft_flips(stage: Stage) -> Brought:
    """Search on the imitation; the service is asked by the judge only, to see what transfers."""
    params = stage.settings(CraftParams)
    imitation = stage.take("imitation", Imitation)
    topics = _telling(imitation, params.words_of_a_topic)
    found = []
    for at, sentence in enumerate(stage.samples.x):
        flip = _found(imitation, at, sentence, topics, params.places) or _first_choice(imitation, at, sentence)
        if flip is not None and stage.control:
            flip = _by_lot(stage, imitation, flip)
        if flip is not None:
            found.append(flip)
    return _judged(stage, found, {flip.index for flip in found if _works(imitation, flip)})


def send_flips(stage: Stage) -> Brought:
    """Send what was found, a query for each; the control sends the same sentences with a word drawn by lot."""
    stage.settings(SendParams)
    imitation = stage.take("imitation", Imitation)
    flips: list[Flip] = [flip for flip in stage.take("flips", tuple) if flip.changed != flip.sentence]
    if stage.control:
        flips = [_by_lot(stage, imitation, flip) for flip in flips]
    heard = ask_all(stage, texts(flip.changed for flip in flips), 1, want_scores=False)
    if heard.texts is None:
        raise UsageError(NO_TEXTS)
    answered = list(zip(flips, heard.texts, strict=False))
    claimed = {flip.index for flip, said in answered if not _has(said, flip.translated)}
    return _judged(stage, [flip for flip, _ in answered], claimed, queries=1, refused=heard.refused)


def _telling(imitation: Imitation, most: int) -> list[list[str]]:
    """So many words of each topic."""
    by_topic: dict[int, list[str]] = {}
    for word, topic in imitation.view.topics.items():
        if word not in imitation.ambiguous:
            by_topic.setdefault(topic, []).append(word)
    return [words[:most] for words in by_topic.values() if len(words) > _FEW]


def _first_choice(imitation: Imitation, at: int, sentence: str) -> Flip | None:
    """A sentence for which nothing was found, as it is, with what would have been flipped; None without such a word."""
    chosen = _choices(imitation, sentence)
    return Flip(at, sentence, sentence, *chosen[0]) if chosen else None


def _choices(imitation: Imitation, sentence: str) -> list[tuple[str, str]]:
    """Words of several senses in a sentence, with what the imitation makes of them."""
    said = imitation.translate(sentence)
    found = []
    for word in dict.fromkeys(pieces(sentence)):
        if word in imitation.ambiguous:
            ways = [way for way in imitation.cores[word].ways if way and len(way) > _STEM and _has(said, way)]
            found += [(word, ways[0])] if ways else []
    return found


def _found(imitation: Imitation, at: int, sentence: str, topics: list[list[str]], places: int) -> Flip | None:
    """The surest flip of the first word that can be flipped."""
    for chosen, translated in _choices(imitation, sentence):
        working = [
            [
                text
                for text in _changed(sentence, chosen, words, places)
                if not _has(imitation.translate(text), translated)
            ]
            for words in topics
        ]
        surest = max(working, key=len, default=[])
        if surest:
            return Flip(at, sentence, surest[0], chosen, translated)
    return None


def _changed(sentence: str, chosen: str, words: list[str], most: int) -> Iterator[str]:
    """The sentence with one word more, near the chosen word first and never beside it."""
    shown = sentence.split()
    where = next((at for at, word in enumerate(shown) if chosen in pieces(word)), 0)
    near = sorted((at for at in range(1, len(shown)) if at not in (where, where + 1)), key=lambda at: abs(at - where))
    for place in near[:most]:
        for word in words:
            yield " ".join([*shown[:place], word, *shown[place:]])


def _by_lot(stage: Stage, imitation: Imitation, flip: Flip) -> Flip:
    """Any word at any place."""
    shown = flip.sentence.split()
    known = list(imitation.cores)
    place, word = int(stage.rng.integers(1, len(shown))), known[int(stage.rng.integers(len(known)))]
    changed = " ".join([*shown[:place], word, *shown[place:]])
    return Flip(flip.index, flip.sentence, changed, flip.chosen, flip.translated)


def _works(imitation: Imitation, flip: Flip) -> bool:
    return not _has(imitation.translate(flip.changed), flip.translated)


def _has(translation: str, word: str) -> bool:
    """Whether a translation has a form of a word."""
    return any(piece[:_STEM] == word[:_STEM] for piece in pieces(translation))


def _judged(stage: Stage, flips: list[Flip], claimed: set[int], *, queries: int = 0, refused: bool = False) -> Brought:
    """One outcome for each sentence: fresh answers with and without the word."""
    plain = translations_of(stage.judge, [flip.sentence for flip in flips])
    changed = translations_of(stage.judge, [flip.changed for flip in flips])
    worked = {
        flip.index: _has(before, flip.translated) and not _has(after, flip.translated)
        for flip, before, after in zip(flips, plain, changed, strict=True)
    }
    outcomes = tuple(
        SampleOutcome(
            index=at, claimed=at in claimed, confirmed=worked.get(at, False), queries=queries * (at in worked),
            distance=1.0 if at in worked else float("inf"), refused=refused and at not in worked,
        )
        for at in range(len(stage.samples))
    )  # fmt: skip
    added = [flip.index for flip in flips if flip.changed != flip.sentence]
    figures = {"found": len(added) / max(len(stage.samples), 1)}
    if added:
        figures["transfer"] = sum(worked[at] for at in added) / len(added)
    return Brought(outcomes=outcomes, holds={"flips": tuple(flips)}, figures=figures)
