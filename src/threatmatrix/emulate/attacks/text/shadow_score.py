"""A shadow model of a scoring service: many texts go through it and come back with their scores.

Source: Pearce, Landers, "42: The answer to life, the universe, and everything offensive security", DerbyCon 2019, and
their Proof Pudding, "deep" model: a small network on word counts that predicts the score. Access: score; where the
target gives labels only, the shadow learns 1 or 0 and is the worse for it. Cost: one query for each text, up to
``texts`` and the budget of the step. Against the original: our texts are the attacker's own collection
(``public_texts``), and the score is that of the class that the samples do not have, in points of 1,000.

The shadow learns the logarithm of the odds, as a score near an end of the scale says little by its points. Word counts
are weighed by TF-IDF; ``tf_idf: false`` takes them plain, as the original did.

The error is measured on texts that the shadow did not learn from: every seventh. With ``control`` the shadow learns
the same answers in a random order, which leaves it nothing but their mean.

Leaves ``shadow`` (a TextModel with one output, the logarithm of the score's odds). Figures: ``shadow_mae`` (points of
1,000), ``shadow_queries``, ``shadow_correlation``. Result: no outcomes; ``Brought(holds={"shadow": …},
figures={"shadow_mae": 27.7, "shadow_queries": 2000.0, "shadow_correlation": 0.99})``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.asking import ask_all
from threatmatrix.emulate.attacks.text.sending import benign_score
from threatmatrix.emulate.stage import Brought, Stage
from threatmatrix.emulate.target import FloatArray
from threatmatrix.emulate.text_models import Words
from threatmatrix.emulate.text_training import fit_scores
from threatmatrix.model.errors import UsageError

__all__ = ["ShadowScoreParams", "probe_scores", "shadow_score"]

LEAST = 30  # answers, for a shadow that is worth the name
POINTS = 1000.0
EDGE = 1e-3  # odds are taken no nearer to 0 or 1: a point of 1,000


@dataclass(frozen=True, slots=True)
class ShadowScoreParams:
    """How much is asked, and how the shadow learns it."""

    texts: int = 2000  # at most
    batch: int = 20  # in one request
    hidden: int = 24  # units of the one hidden layer
    epochs: int = 10
    least: int = 3  # texts that a word must be in
    tf_idf: bool = True


def shadow_score(stage: Stage) -> Brought:
    """See the module's docstring. Raises UsageError where too few texts were answered."""
    params = stage.settings(ShadowScoreParams)
    public = stage.take("public_texts", np.ndarray)
    rows = public[stage.rng.permutation(len(public))[: params.texts]]
    heard = ask_all(stage, rows, params.batch)
    n = len(heard.labels)
    if n < LEAST:
        raise UsageError(f"only {n} texts were answered, and a shadow needs {LEAST}")
    value = benign_score(heard.scores, np.full(n, _attacked(stage)))
    if stage.control:
        value = value[stage.rng.permutation(n)]
    kept = np.arange(n) % 7 == 0
    learned = [str(text) for text in rows[:n][~kept]]
    shadow = fit_scores(
        Words.learn(learned, least=params.least, idf=params.tf_idf), learned, _log_odds(value[~kept]),
        hidden=(params.hidden,), epochs=params.epochs, seed=int(stage.rng.integers(2**31)),
    )  # fmt: skip
    guess = 1.0 / (1.0 + np.exp(-shadow.logits(rows[:n][kept])[:, 0]))
    figures = {
        "shadow_mae": float(np.mean(np.abs(guess - value[kept])) * POINTS),
        "shadow_queries": float(n),
        "shadow_correlation": _correlation(guess, value[kept]),
    }
    return Brought(holds={"shadow": shadow}, figures=figures)


@dataclass(frozen=True, slots=True)
class ProbeScoresParams:
    """A handful of texts."""

    texts: int = 5


def probe_scores(stage: Stage) -> Brought:
    """Send a handful of texts and look whether a score comes back, and how fine it is.

    Figures: ``scores_given`` (1 or 0), ``score_values`` (how many different ones came back). No outcomes.
    """
    params = stage.settings(ProbeScoresParams)
    heard = ask_all(stage, stage.take("public_texts", np.ndarray)[: params.texts], 1)
    given = heard.graded and len(heard.scores) > 0
    return Brought(figures={"scores_given": float(given), "score_values": float(len(np.unique(heard.scores[:, -1])))})


def _attacked(stage: Stage) -> int:
    """The label that the attacker's own texts have and that he wants to be rid of."""
    return int(np.bincount(stage.samples.y).argmax())


def _log_odds(share: FloatArray) -> FloatArray:
    share = np.clip(share, EDGE, 1.0 - EDGE)
    return np.asarray(np.log(share / (1.0 - share)))


def _correlation(a: FloatArray, b: FloatArray) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if np.std(a) > 0 and np.std(b) > 0 else 0.0
