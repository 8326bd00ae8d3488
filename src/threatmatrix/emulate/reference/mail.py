"""Generated mail, judged by a small network on TF-IDF: a score from 1 to 999 (higher is safer) and a verdict.

The score is what a product might write into a header of the mail that it has judged: ``1 + 998 · sigmoid(logit / 2)``,
in whole points. Below 500 the mail is quarantined. An answer's scores are the two shares of 1,000 points, quarantined
first: 0.413 and 0.587 say 587 points. Parts of one seed, disjoint:

===========  =====  ==================================================
product      2,400  the product's own training mail
check          300  for the accuracy
calibration    250  the defender's reference traffic
honest         280  what honest senders send
attacker       240  spam that should be delivered
public       2,200  mail that anybody has; the attacker knows no label
===========  =====  ==================================================
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.reference.base import ModelAnswer, Reference
from threatmatrix.emulate.reference.mail_text import HAM, SPAM, Post
from threatmatrix.emulate.reference.text_crowd import Crowd
from threatmatrix.emulate.stage import Samples
from threatmatrix.emulate.target import FloatArray, Rows
from threatmatrix.emulate.text_models import TextModel, Words
from threatmatrix.emulate.text_training import fit_words

__all__ = ["ScoredMail", "build"]

SOFTNESS = 2.0  # logits in one unit of the score's curve
PASS = 500
AGENTS = ("Thunderbird/128.4", "Outlook/16.0", "AppleMail/16.0", "WebMail/5.2")
LISTS = ("ListServe/2.1", "ShopMailer/7.4")


@dataclass(frozen=True, slots=True)
class ScoredMail:
    """The spam model as a server asks it."""

    model: TextModel

    def points(self, rows: Rows) -> FloatArray:
        """The score of n mails: whole points from 1 to 999."""
        z = self.model.logits(rows)
        return np.round(1.0 + 998.0 / (1.0 + np.exp((z[:, 0] - z[:, 1]) / SOFTNESS)))

    def answer(self, rows: Rows) -> ModelAnswer:
        if any(not isinstance(text, str) for text in rows):
            raise ValueError("each row must be a text: a mail, its subject in the first line")
        points = self.points(rows)
        scores = np.stack([1000.0 - points, points], axis=1) / 1000.0
        return ModelAnswer((points >= PASS).astype(np.int64), scores)


def build(seed: int, *, product: int = 2400, public: int = 2200, samples: int = 240) -> Reference:
    """Write the mail and train the model. ``product``, ``public``: how many mails there are to learn from."""
    post = Post(seed)
    rng = np.random.default_rng([seed, 0x3A11])
    x, y = post.mixed(product, 0.5, rng)
    model = ScoredMail(fit_words(Words.learn(list(x)), x, y, hidden=(24,), epochs=6, seed=seed))
    check_x, check_y = post.mixed(300, 0.5, rng)
    calibration, _ = post.mixed(250, 0.2, rng)
    lists = post.mails(["newsletter"] * 40 + ["receipt"] * 40, rng)
    people = tuple(post.mails([kind] * 50, rng) for kind in HAM)
    spam = post.mails([SPAM[i % len(SPAM)] for i in range(samples)], rng)
    return Reference(
        name="mail",
        title="Generated mail, scored 1 to 999",
        modality="text",
        classes=("quarantined", "delivered"),
        width=None,
        model=model,
        calibration=calibration,
        attacker=Samples(spam, np.zeros(len(spam), dtype=np.int64)),
        honest=Crowd(people=people, programs=(lists[:40], lists[40:]), agents=AGENTS, scripts=LISTS),
        accuracy=float(np.mean(model.answer(check_x).labels == check_y)),
        known={"public_texts": post.mixed(public, 0.5, rng)[0]},
    )
