"""Imitation of a translator: sentences go in, what comes out is learnt from, and the copy is set beside the service.

Source: Wallace, Stern, Song, "Imitation Attacks and Defenses for Black-box Machine Translation Systems", 2020, section
3. Access: label (a text). Cost: ``collect_translations`` one query for each sentence, up to the budget;
``imitate_translator`` and ``serve_from_copy`` none.

Instead of a Transformer the copy is what statistics could do before: IBM Model 1 aligns the words of each pair,
templates of word classes put them in order, decision trees choose ending and sense (imitation_model.py). BLEU is
measured on published test sentences, against a person's translations. The control learns from the same answers in an
order drawn by lot.

Result of one held-out sentence, e.g. ``SampleOutcome(index=3, claimed=True, confirmed=True, queries=0, distance=0.0)``:
confirmed where the copy gives word for word what the service gives. Holds ``translations`` (pairs) and ``imitation``;
figures ``bleu_victim``, ``bleu_imitation``, ``bleu_gap``, ``bleu_between`` (the copy against the service), ``pairs``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from threatmatrix.emulate.attacks.asking import ask_all, even_shares
from threatmatrix.emulate.attacks.extraction.bleu import bleu, pieces
from threatmatrix.emulate.attacks.extraction.imitation_model import Imitation, Pair, learn_imitation
from threatmatrix.emulate.stage import Brought, Stage
from threatmatrix.emulate.target import Target, texts
from threatmatrix.model.errors import UsageError
from threatmatrix.model.evidence import SampleOutcome

__all__ = [
    "NO_TEXTS",
    "CollectParams",
    "ImitateParams",
    "ServeParams",
    "collect_translations",
    "imitate_translator",
    "serve_from_copy",
    "translations_of",
]

_CHECKED = 60  # pairs that are asked for again
NO_TEXTS = "this attack needs a target that answers with texts"


@dataclass(frozen=True, slots=True)
class CollectParams:
    """How the sentences are sent."""

    rows: int = 25  # sentences in a request


@dataclass(frozen=True, slots=True)
class ImitateParams:
    """Of the copy."""

    classes: int = 16  # of words


@dataclass(frozen=True, slots=True)
class ServeParams:
    """There is nothing to choose."""


def collect_translations(stage: Stage) -> Brought:
    """Ask for the translations of public sentences; the control makes them up, word for word, by a dictionary."""
    params = stage.settings(CollectParams)
    held_out = set(stage.samples.x)
    public = [text for text in stage.take("public_texts", tuple) if text not in held_out]
    chosen = [public[i] for i in stage.rng.permutation(len(public))[: stage.budget]]
    start = stage.target.queries
    pairs, refused = _bought(stage, chosen, max(1, params.rows))
    kept = pairs
    if stage.control:
        kept = [(source, _word_for_word(stage, source)) for source, _ in pairs]
    checked = kept[:_CHECKED]
    again = translations_of(stage.judge, [source for source, _ in checked])
    outcomes = tuple(
        SampleOutcome(
            index=at, claimed=True, confirmed=translation == fresh, queries=share,
            distance=0.0, refused=refused,
        )
        for at, ((_, translation), fresh, share) in enumerate(
            zip(checked, again, even_shares(stage.target.queries - start, len(checked)), strict=True)
        )
    )  # fmt: skip
    return Brought(outcomes=outcomes, holds={"translations": tuple(kept)}, figures={"pairs": float(len(kept))})


def imitate_translator(stage: Stage) -> Brought:
    """Learn from the pairs that are held, and set the copy beside the service."""
    params = stage.settings(ImitateParams)
    pairs: tuple[Pair, ...] = stage.take("translations", tuple)
    if not pairs:
        raise UsageError("there is not a single translation to learn from", hint="Collect some first")
    if stage.control:
        others = stage.rng.permutation(len(pairs))
        pairs = tuple((source, pairs[i][1]) for (source, _), i in zip(pairs, others, strict=True))
    stage.report(f"learning from {len(pairs)} translations")
    copy = learn_imitation(pairs, stage.rng, texts=stage.held.get("public_texts", ()), classes=params.classes)
    sentences = list(stage.samples.x)
    test_set: tuple[Pair, ...] = stage.held.get("test_set", ())
    asked = list(dict.fromkeys([*sentences, *(source for source, _ in test_set)]))
    theirs = dict(zip(asked, translations_of(stage.judge, asked), strict=True))
    ours = {sentence: copy.translate(sentence) for sentence in asked}
    outcomes = tuple(
        SampleOutcome(
            index=at, claimed=True, confirmed=ours[sentence] == theirs[sentence], queries=0, distance=0.0,
            before=_word_for_word(stage, sentence) == theirs[sentence],
        )
        for at, sentence in enumerate(sentences)
    )  # fmt: skip
    figures = {
        "pairs": float(len(pairs)),
        "bleu_between": bleu([ours[each] for each in asked], [theirs[each] for each in asked]),
    }
    if test_set:
        references = [reference for _, reference in test_set]
        victim, imitation = (bleu([said[source] for source, _ in test_set], references) for said in (theirs, ours))
        figures |= {"bleu_victim": victim, "bleu_imitation": imitation, "bleu_gap": abs(victim - imitation)}
    return Brought(outcomes=outcomes, holds={"imitation": copy}, figures=figures)


def serve_from_copy(stage: Stage) -> Brought:
    """Translate customers' sentences with the copy; confirmed where a customer gets no worse than from the service.

    That is: at least as many words and pairs of words in common with a person's translation. The control hands out the
    copy's translations of other sentences.
    """
    stage.settings(ServeParams)
    copy = stage.take("imitation", Imitation)
    references = dict(stage.take("test_set", tuple))
    sentences = [sentence for sentence in stage.samples.x if sentence in references]
    ours = [copy.translate(sentence) for sentence in sentences]
    if stage.control:
        ours = [ours[i] for i in stage.rng.permutation(len(ours))]
    theirs = translations_of(stage.judge, sentences)
    outcomes = tuple(
        SampleOutcome(
            index=at, claimed=True, queries=0, distance=0.0,
            confirmed=_shared(mine, references[sentence]) >= _shared(service, references[sentence]),
        )
        for at, (sentence, mine, service) in enumerate(zip(sentences, ours, theirs, strict=True))
    )  # fmt: skip
    return Brought(outcomes=outcomes, figures={"unpaid_sentences": float(len(sentences))})


def translations_of(judge: Target, sentences: Sequence[str], *, rows: int = 50) -> list[str]:
    """Ask for translations; raises as a Target does, and UsageError where it answers no texts."""
    found: list[str] = []
    for start in range(0, len(sentences), rows):
        answer = judge.ask(texts(sentences[start : start + rows]))
        if answer.texts is None:
            raise UsageError(NO_TEXTS)
        found += answer.texts
    return found


def _bought(stage: Stage, sentences: Sequence[str], rows: int) -> tuple[list[Pair], bool]:
    """The pairs that were got, and whether every account was refused."""
    heard = ask_all(stage, texts(sentences), rows, want_scores=False)
    if heard.texts is None:
        raise UsageError(NO_TEXTS)
    return list(zip(sentences, heard.texts, strict=False)), heard.refused


def _word_for_word(stage: Stage, sentence: str) -> str:
    """What the printed dictionary makes of a sentence, word by word."""
    dictionary = stage.held.get("dictionary", {})
    text = " ".join(dictionary.get(word, word) for word in pieces(sentence)).replace(" .", ".")
    return text[:1].upper() + text[1:]


def _shared(translation: str, reference: str) -> float:
    """Share of words and pairs of words that two translations have in common."""
    a, b = pieces(translation), pieces(reference)
    first, second = ({*words, *pairwise(words)} for words in (a, b))
    return len(first & second) / max(len(first | second), 1)
