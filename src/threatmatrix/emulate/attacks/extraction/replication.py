"""Replication of a language model from what was published about it: its recipe, and what its texts were.

Source: Gokaslan, Cohen, Pavlick, Tellex, "OpenGPT-2: We Replicated GPT-2 Because You Can Too", 2019. Access: none
(what was published). Cost: no query; only the judge asks, for the log-likelihood of held-out texts.

``rebuild_corpus`` filters a crawl of the attacker's own by the published description; ``replicate_language_model``
trains by the published recipe. Real replicas take a public code base: this one takes emulate/kneser_ney.py, which the
reference target uses too, as Grover's code was everybody's. The control trains by the same recipe on as many texts
that do not fit the description.

Result of one held-out text, e.g. ``SampleOutcome(index=3, claimed=True, confirmed=True, queries=0, distance=0.021,
before=False)``: the distance is how far the replica's perplexity is from the model's, as a share of it; confirmed
within the procedure's threshold; before: the smaller model that was released was as near already. Holds ``corpus`` and
``replica``; figures ``perplexity_victim``, ``perplexity_replica``, ``perplexity_released`` (over all words),
``perplexity_ratio``, ``similar_texts``, ``similar_test_sets`` (share of the test sets, one for each domain).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from threatmatrix.emulate.kneser_ney import NGramModel, Recipe, train_ngrams
from threatmatrix.emulate.stage import Brought, Stage
from threatmatrix.emulate.target import FloatArray, Rows, Target
from threatmatrix.model.errors import UsageError
from threatmatrix.model.evidence import SampleOutcome

__all__ = ["RebuildParams", "ReplicateParams", "rebuild_corpus", "replicate_language_model"]

CrawledPage = tuple[str, int, str]
"""Text, votes, what it is about."""


@dataclass(frozen=True, slots=True)
class RebuildParams:
    """There is nothing to choose."""


@dataclass(frozen=True, slots=True)
class ReplicateParams:
    """Where the published recipe is not followed."""

    order: int = 0  # 0: the published one


def rebuild_corpus(stage: Stage) -> Brought:
    """The pages of a crawl that fit the description, each text once. One outcome for each domain that is named.

    Confirmed where the rebuilt corpus has texts about it. The control takes pages without looking at the description.
    """
    stage.settings(RebuildParams)
    description: Mapping[str, Any] = stage.take("description", dict)
    crawl: tuple[CrawledPage, ...] = stage.take("crawl", tuple)
    fit, others = _sorted_out(crawl, description)
    if stage.control:
        fit = others
    domains = {domain for _, _, domain in crawl}
    wanted = tuple(description["domains"])
    about = {text: domain for text, _, domain in crawl}
    there = {about[text] for text in fit}
    outcomes = tuple(
        SampleOutcome(index=at, claimed=domain in domains, confirmed=domain in there, queries=0, distance=0.0)
        for at, domain in enumerate(wanted)
    )
    figures = {"texts": float(len(fit)), "texts_of_the_original": float(description["texts"])}
    return Brought(outcomes=outcomes, holds={"corpus": tuple(fit)}, figures=figures)


def replicate_language_model(stage: Stage) -> Brought:
    """Train on the rebuilt corpus and compare perplexities."""
    params = stage.settings(ReplicateParams)
    recipe = stage.take("recipe", Recipe)
    corpus: Sequence[str] = stage.take("corpus", tuple)
    if stage.control:
        _, corpus = _sorted_out(stage.take("crawl", tuple), stage.take("description", dict))
        corpus = [corpus[i] for i in stage.rng.permutation(len(corpus))[: len(stage.take("corpus", tuple))]]
    stage.report(f"training on {len(corpus)} texts")
    replica = train_ngrams(corpus, Recipe(params.order, recipe.least) if params.order else recipe)
    theirs = _asked(stage.judge, stage.samples.x)
    ours = _of_model(replica, stage.samples.x)
    released = stage.held.get("released_model")
    smaller = _of_model(released, stage.samples.x) if isinstance(released, NGramModel) else None
    away = _apart(ours, theirs)
    before = _apart(smaller, theirs) <= stage.threshold if smaller is not None else np.zeros(len(away), dtype=bool)
    outcomes = tuple(
        SampleOutcome(
            index=at, claimed=True, confirmed=bool(away[at] <= stage.threshold), queries=0, distance=float(away[at]),
            before=bool(before[at]),
        )
        for at in range(len(away))
    )  # fmt: skip
    figures = {
        "perplexity_victim": _perplexity(theirs), "perplexity_replica": _perplexity(ours),
        "perplexity_ratio": _perplexity(ours) / _perplexity(theirs),
        "similar_texts": float(np.mean(away <= stage.threshold)),
    }  # fmt: skip
    sets = _by_test_set(stage, ours, theirs)
    if sets:
        figures["similar_test_sets"] = sum(apart <= stage.threshold for apart in sets) / len(sets)
    if smaller is not None:
        figures["perplexity_released"] = _perplexity(smaller)
    return Brought(outcomes=outcomes, holds={"replica": replica}, figures=figures)


def _by_test_set(stage: Stage, ours: FloatArray, theirs: FloatArray) -> list[float]:
    """How far the perplexities over each test set are apart; none where nobody says which text is of which."""
    set_of: Mapping[str, str] = stage.held.get("test_sets", {})
    names = [set_of.get(text, "") for text in stage.samples.x]
    rows = [[at for at, name in enumerate(names) if name == one] for one in sorted(set(names) - {""})]
    return [abs(_perplexity(ours[each]) / _perplexity(theirs[each]) - 1.0) for each in rows]


def _sorted_out(crawl: Sequence[CrawledPage], description: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Texts that fit the description and texts that do not, each once."""
    fit: dict[str, None] = {}
    others: dict[str, None] = {}
    for text, votes, _ in crawl:
        (fit if votes >= description["least_votes"] else others)[text] = None
    return list(fit), list(others)


def _asked(judge: Target, rows: Rows, *, size: int = 30) -> FloatArray:
    """Log-likelihood and words of each text, by the service; raises UsageError where it gives no scores."""
    found = []
    for start in range(0, len(rows), size):
        scores = judge.scores(rows[start : start + size])
        if scores is None or scores.shape[1] != 2:
            raise UsageError("this attack's judge needs the log-likelihood of texts, and the target does not say it")
        found.append(scores)
    return np.concatenate(found)


def _of_model(model: NGramModel, rows: Rows) -> FloatArray:
    return np.array([model.log_likelihood(text) for text in rows], dtype=np.float64)


def _apart(ours: FloatArray, theirs: FloatArray) -> FloatArray:
    """How far each perplexity is from the service's, as a share of that."""
    ratio = np.exp(theirs[:, 0] / theirs[:, 1] - ours[:, 0] / ours[:, 1])
    return np.asarray(np.abs(ratio - 1.0))


def _perplexity(scores: FloatArray) -> float:
    return math.exp(-float(scores[:, 0].sum() / scores[:, 1].sum()))
