"""A small language model: n-grams of words, trained on the pages of a small web that people thought worth a vote.

Its owner published how it was made, and the pages of the web are anybody's; the texts it was trained on, and the model,
are not. A smaller model was released earlier. It answers a text with the words that it would go on with, and with
scores: the natural logarithm of the text's chance, and of how many words. Perplexity can be measured over HTTP by them.

===============  =====  ===================================================================
part             size   used for
===============  =====  ===================================================================
web              7,000  pages; the owner's crawler found 70 % of them, anybody else's 60 %
training         ≈ 2,350  of the owner's pages: three votes and more, without doublets
released         1/6    of the training texts: what the smaller model, of word pairs, saw
calibration      250    texts of the defender's reference traffic
honest           400    beginnings of texts, which users want to be gone on with
attacker         240    pages that neither crawler found: the test sets
===============  =====  ===================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from threatmatrix.emulate.kneser_ney import END, START, NGramModel, Recipe, train_ngrams, words_of
from threatmatrix.emulate.reference.base import ModelAnswer, Reference
from threatmatrix.emulate.reference.callers import Users
from threatmatrix.emulate.reference.language_corpus import DOMAINS, Page, draw_pages
from threatmatrix.emulate.stage import Samples
from threatmatrix.emulate.target import Rows, texts

__all__ = ["LEAST_VOTES", "LanguageService", "build"]

LEAST_VOTES = 3
LONGEST = 24  # words that it goes on with
_OWN, _OTHERS = 0.7, 0.6  # shares of the web that the crawlers found
_RELEASED = 6
AGENTS = ("Writer/3.0 (Windows 11)", "Writer/3.0 (macOS 15)", "ChatPage/1.2 (Android 14)", "ChatPage/1.2 (iOS 18.1)")


@dataclass(frozen=True, slots=True)
class LanguageService:
    """The model as a server asks it. The same text is always gone on with in the same way."""

    model: NGramModel

    def answer(self, rows: Rows) -> ModelAnswer:
        if any(not isinstance(text, str) for text in rows):
            raise ValueError("each row must be a text")
        scores = [self.model.log_likelihood(text) for text in rows]
        return ModelAnswer(
            np.zeros(len(rows), dtype=np.int64),
            np.array(scores, dtype=np.float64).reshape(len(rows), 2),
            tuple(self.go_on(text) for text in rows),
        )

    def go_on(self, text: str) -> str:
        """The words that follow, drawn by the model's counts."""
        rng = np.random.default_rng(np.frombuffer(sha256(text.encode()).digest(), dtype=np.uint32))
        words = [START] * (self.model.recipe.order - 1) + words_of(text)
        said: list[str] = []
        for _ in range(LONGEST):
            known = self.model.following(words)
            follows = sorted(known)
            often = np.array([known[word] for word in follows], dtype=np.float64)
            word = follows[int(rng.choice(len(follows), p=often / often.sum()))]
            if word == END:
                break
            said.append(word)
            words.append(word)
        return " ".join(said)


def build(seed: int, *, pages: int = 7000, tests: int = 240) -> Reference:
    """Write the web, crawl it, train. ``pages``: of the web; ``tests``: pages that nobody found."""
    rng = np.random.default_rng([seed, 0x6B72])
    web = draw_pages(pages, rng)
    own = [web[i] for i in np.flatnonzero(rng.random(pages) < _OWN)]
    others = tuple(web[i] for i in np.flatnonzero(rng.random(pages) < _OTHERS))
    training = _fitting(own)
    recipe = Recipe()
    model = LanguageService(train_ngrams(training, recipe))
    drawn = draw_pages(3 * (tests + 130), rng)
    unseen = _fitting(drawn)
    held_out = texts(unseen[:tests])
    lines = [line.split() for text in unseen[tests:] for line in text.split(". ")]
    started = list(dict.fromkeys(" ".join(line[: 3 + len(line) % 6]) for line in lines))[:650]
    return Reference(
        name="language-model",
        title="A small language model",
        modality="text",
        classes=("log-likelihood", "words"),
        width=None,
        model=model,
        calibration=texts(started[:250]),
        attacker=Samples(held_out, np.zeros(len(held_out), dtype=np.int64)),
        honest=Users(texts(started[250:]), AGENTS),
        accuracy=_guessed(model.model, unseen[tests : tests + 40]),
        known={
            "crawl": tuple((page.text, page.votes, page.domain) for page in others),
            "description": {"least_votes": LEAST_VOTES, "domains": DOMAINS, "texts": len(training)},
            "recipe": recipe,
            "test_sets": {page.text: page.domain for page in drawn},
            "released_model": train_ngrams(training[::_RELEASED], Recipe(order=2)),
        },
    )  # fmt: skip


def _fitting(pages: list[Page]) -> list[str]:
    """Texts of the pages that got votes enough, each once."""
    return list(dict.fromkeys(page.text for page in pages if page.votes >= LEAST_VOTES))


def _guessed(model: NGramModel, documents: list[str]) -> float:
    """Share of words that the model had thought the likeliest after the ones before."""
    right = total = 0
    for document in documents:
        words = words_of(document)[:20]
        for at in range(2, len(words)):
            known = model.following(words[:at])
            right += max(known, key=lambda word: (known[word], word)) == words[at]
            total += 1
    return right / max(total, 1)
