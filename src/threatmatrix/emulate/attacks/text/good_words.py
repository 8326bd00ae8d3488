"""Good words: a list of what the shadow likes to read, put into every text.

Source: Lowd, Meek, "Good word attacks on statistical spam filters", CEAS 2005; the list by switching words on and off
in a copy: Pearce, Landers, DerbyCon 2019. Access: file (a shadow of the attacker's own, ``shadow``). Cost: ranking
asks nothing; then one query for each text. Against the original: the same ``words`` words go into every text, either
at its end (``word_append``) or scattered between its words (``word_insert``), and the text itself stays whole.

``word_ranking`` switches each word of the shadow's vocabulary on in some of the attacker's texts, and takes the mean
change of the shadow's score. Leaves ``good_words`` (the best, in order). Figures: ``ranked_words``,
``best_word_odds`` (by what the best word
multiplies the shadow's odds).

With ``control`` as many words go in, drawn at random from the texts that anybody has (``public_texts``), for each text
anew. Result of one text, e.g. ``SampleOutcome(index=0, claimed=True, confirmed=True, queries=1, distance=40.0,
refused=False, before=False)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.text.sending import send_crafted
from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.stage import Brought, Stage
from threatmatrix.emulate.target import FloatArray
from threatmatrix.emulate.text_models import TextModel, Words, tokens
from threatmatrix.model.errors import UsageError

__all__ = ["GoodWordsParams", "WordRankingParams", "word_append", "word_insert", "word_ranking"]


@dataclass(frozen=True, slots=True)
class WordRankingParams:
    """How the words are tried."""

    texts: int = 20  # of the attacker's own, into which each word is put
    keep: int = 200  # words of the list that is brought back


@dataclass(frozen=True, slots=True)
class GoodWordsParams:
    """How many words go in."""

    words: int = 40


def word_ranking(stage: Stage) -> Brought:
    """What each word is worth to the shadow; see the module's docstring."""
    params = stage.settings(WordRankingParams)
    shadow = stage.take("shadow", TextModel)
    if not isinstance(shadow.features, Words):
        raise UsageError("only a shadow that counts words can rank them")
    index = shadow.features.index
    vocabulary = sorted(index, key=lambda word: index[word])
    worth = _worth(shadow.network, shadow.features, [str(text) for text in stage.samples.x[: params.texts]])
    best = np.argsort(-worth, kind="stable")[: params.keep]
    good = tuple(vocabulary[i] for i in best)
    figures = {"ranked_words": float(len(vocabulary)), "best_word_odds": float(np.exp(worth[best[0]]))}
    return Brought(holds={"good_words": good}, figures=figures)


def _worth(network: MLP, words: Words, own: list[str]) -> FloatArray:
    """The mean change of the shadow's log odds when a word is switched on, for each word of its vocabulary."""
    x = words.weighed(own)
    plain = network.logits(words.scaled(x))[:, 0]
    worth = np.zeros(words.width)
    for word in range(words.width):
        was = x[:, word].copy()
        x[:, word] = np.maximum(was, words.weight[word])
        worth[word] = np.mean(network.logits(words.scaled(x))[:, 0] - plain)
        x[:, word] = was
    return worth


def word_append(stage: Stage) -> Brought:
    """The words stand at the end, as a paragraph of their own."""
    return _put(stage, scattered=False)


def word_insert(stage: Stage) -> Brought:
    """The words stand between the words of the text, wherever it falls."""
    return _put(stage, scattered=True)


def _put(stage: Stage, *, scattered: bool) -> Brought:
    count = stage.settings(GoodWordsParams).words
    good = np.asarray(stage.take("good_words", tuple)[:count], dtype=object)
    if stage.control:
        public = stage.take("public_texts", np.ndarray)
        everything = np.asarray(sorted({word for text in public for word in tokens(str(text))}), dtype=object)
    crafted = {}
    for index, text in enumerate(stage.samples.x):
        words = stage.rng.choice(everything, len(good), replace=len(good) > len(everything)) if stage.control else good
        shuffled = [str(word) for word in stage.rng.permutation(words)]
        crafted[index] = _scatter(str(text), shuffled, stage.rng) if scattered else f"{text}\n\n{' '.join(shuffled)}"
    return Brought(outcomes=send_crafted(stage, crafted, range(len(stage.samples))))


def _scatter(text: str, words: list[str], rng: np.random.Generator) -> str:
    """The words, each before a word of the text that is drawn at random, but not within its first line."""
    head, _, body = text.partition("\n")
    said = body.split(" ")
    for at, word in sorted(zip(rng.integers(0, len(said) + 1, len(words)).tolist(), words, strict=True), reverse=True):
        said.insert(at, word)
    return f"{head}\n{' '.join(said)}"
