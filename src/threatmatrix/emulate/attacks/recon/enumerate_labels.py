"""Enumerate labels: which answers can this model give, and what does each stand for?

Source: MITRE ATLAS AML.T0013 (discover the model's ontology) and AML.CS0012, where a team listed the identities that a
face identification service returns by asking about public pictures. Access: label. Cost: ``each`` queries for every
thing that the attacker has examples of, at most the budget; one row a request.

The attacker holds ``public``: inputs grouped by what they show, under numbers of the attacker's own (pictures of
persons, in an order that says nothing about the target's labels). A label is linked with a thing where each of the two
has most of the other's votes; a vote weighs as much as its score, where the target gives scores, so that a look-alike
whom the target does not know counts less than the person. Holds ``label_names``: the target's label → the attacker's
number. Figures: ``labels_met``, ``labels_linked`` and ``labels_met_share``.

Result of one label, e.g. ``SampleOutcome(index=17, claimed=True, confirmed=True, queries=2, distance=0.0)``: claimed
where it is linked, confirmed where the target gives it for an input of that thing that was not asked before. What was
asked is spread evenly over the labels. Control: inputs of random values in place of the public ones, as many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.asking import ask_all, even_shares
from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.emulate.target import FloatArray, IntArray
from threatmatrix.model.errors import UsageError
from threatmatrix.model.evidence import SampleOutcome

__all__ = ["EnumerateLabelsParams", "enumerate_labels", "link"]


CROWD = 3


@dataclass(frozen=True, slots=True)
class EnumerateLabelsParams:
    """``each``: queries for one thing. ``things``: how many things to ask about, 0 for all."""

    each: int = 2
    things: int = 0


def enumerate_labels(stage: Stage) -> Brought:
    """Ask about everything that there are examples of; holds ``label_names``."""
    how = stage.settings(EnumerateLabelsParams)
    things, x = _inputs(stage, how)
    order = stage.rng.permutation(len(things) * how.each)
    asked = things.repeat(how.each)[order]
    start = stage.target.queries
    heard = ask_all(stage, x[:, : how.each].reshape(len(asked), -1)[order], 1)
    weights = heard.scores[np.arange(len(heard.labels)), heard.labels]
    names = link(asked[: len(heard.labels)], heard.labels, weights, stage.target.classes)
    met = len(np.unique(heard.labels))
    fresh = dict(zip(things.tolist(), x[:, how.each], strict=True))
    return Brought(
        outcomes=_outcomes(stage, names, fresh, stage.target.queries - start, heard.refused),
        holds={"label_names": names},
        figures={
            "labels_met": float(met), "labels_linked": float(len(names)),
            "labels_met_share": met / stage.target.classes,
        },
    )  # fmt: skip


def link(things: IntArray, labels: IntArray, weights: FloatArray, classes: int) -> dict[int, int]:
    """Label → thing, where each is the other's most frequent partner and met it more often than not.

    ``things`` (n,) were asked about, ``labels`` (n,) were the answers, which weigh so much (n,). A label that a crowd
    of things gets means that nobody was recognised, and is left out.
    """
    known = np.unique(things)
    votes = np.zeros((len(known), classes))
    np.add.at(votes, (np.searchsorted(known, things), labels), weights)
    favourites = np.bincount(np.argmax(votes, axis=1), minlength=classes)
    names = {}
    for label in np.flatnonzero(votes.sum(axis=0)):
        row = int(np.argmax(votes[:, label]))
        if favourites[label] > max(CROWD, len(known) // 10):
            continue
        if int(np.argmax(votes[row])) == label and 2 * votes[row, label] > votes[row].sum():
            names[int(label)] = int(known[row])
    return names


def _inputs(stage: Stage, how: EnumerateLabelsParams) -> tuple[IntArray, FloatArray]:
    """The things (m,), and of each so many inputs as are asked about, and one more (m, each + 1, d)."""
    public = stage.take("public", Samples)
    things = np.unique(public.y)
    if how.things:
        things = stage.rng.permutation(things)[: how.things]
    picked = [np.flatnonzero(public.y == thing) for thing in things]
    if public.x.dtype.kind != "f" or min(map(len, picked)) <= how.each:
        raise UsageError(f"enumerating labels needs {how.each + 1} inputs of numbers of each thing in 'public'")
    index = np.stack([stage.rng.choice(of, size=how.each + 1, replace=False) for of in picked])
    x = public.x[index]
    return things, stage.rng.uniform(*stage.target.bounds, x.shape) if stage.control else x


def _outcomes(
    stage: Stage, names: dict[int, int], fresh: dict[int, FloatArray], spent: int, refused: bool
) -> tuple[SampleOutcome, ...]:
    linked = list(names)
    said = stage.judge.labels(np.stack([fresh[names[label]] for label in linked])) if linked else np.zeros(0)
    right = {label for label, answer in zip(linked, said.tolist(), strict=True) if label == answer}
    return tuple(
        SampleOutcome(
            index=label, claimed=label in names, confirmed=label in right,
            queries=share, distance=0.0, refused=refused and label not in names,
        )
        for label, share in enumerate(even_shares(spent, stage.target.classes))
    )  # fmt: skip
