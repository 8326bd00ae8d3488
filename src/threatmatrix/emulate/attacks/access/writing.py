"""Flipped labels in the stored training data, by a key that may write there.

Source: the case study AML.CS0006 (what its keys would have allowed next); AML.T0020; Biggio, Nelson, Laskov, "Poisoning
attacks against support vector machines", 2012, for flipped labels. Access: train (write access to the tables). Cost:
one read and one write for each table (the read is what the journal keeps), and one read of each afterwards.

``share`` of the rows of each table get the next class's label (the last class the first's); features stay as they are.
Then a model is trained on what lies in the store now, as the next training job would: scikit-learn's MLPClassifier of
``hidden`` units, twice, on what was read before and on what lies there now. Units are the samples, none of which was
trained on: success is that the new model answers with the next class. No query goes to the served model: it learns of
this at its next training. Control: as many labels, each any other class.

Everything is written through ``stage.storing()``, and so journalled and taken back at clean-up. What was read
(``training_tables``) is what labels are flipped in, so that a second run does not flip twice.

Result: one outcome for each sample, e.g. ``SampleOutcome(index=4, claimed=True, confirmed=True, queries=0,
distance=0.0, before=False)``; figures ``flipped_label_success``, ``labels_flipped``, ``clean_accuracy``,
``poisoned_accuracy``.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from threatmatrix.emulate.artefacts import read_table, write_table
from threatmatrix.emulate.attacks.access.errand import Errand
from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.emulate.target import IntArray
from threatmatrix.model.errors import MissingExtraError, TargetRefused, UsageError
from threatmatrix.model.evidence import SampleOutcome

__all__ = ["FlipLabelsParams", "flip_labels"]

_Tables = dict[tuple[str, str], bytes]


@dataclass(frozen=True, slots=True)
class FlipLabelsParams:
    """``share`` of all labels; ``hidden`` units and ``epochs`` of the model that is trained to see what came of it."""

    share: float = 0.6
    hidden: int = 128
    epochs: int = 60


def flip_labels(stage: Stage) -> Brought:
    """Read, flip, write, train; see the module's docstring."""
    settings = stage.settings(FlipLabelsParams)
    errand = Errand(stage, found_key="access_key" in stage.held)
    before: _Tables = dict(stage.take("training_tables", dict))
    if not before:
        raise UsageError("no training data is held", hint="Run read-training-data first")
    written, flipped = _write(stage, errand, before, settings.share)
    now = {place: errand.read(*place) or written.get(place, content) for place, content in before.items()}
    stage.report("training on what lies there now")
    seed = int(stage.rng.integers(2**31))
    clean, poisoned = (_trained(_joined(tables), settings, seed) for tables in (before, now))
    return _judged(stage, errand, flipped, clean, poisoned)


def _write(stage: Stage, errand: Errand, tables: _Tables, share: float) -> tuple[_Tables, int]:
    """What was written, and how many labels that flipped. A refusal ends it: what is written is written."""
    written: _Tables = {}
    flipped = 0
    classes = stage.target.classes
    for (bucket, name), content in tables.items():
        table = read_table(content)
        chosen = stage.rng.permutation(len(table))[: round(share * len(table))]
        labels = table.y.copy()
        step = stage.rng.integers(1, classes, len(chosen)) if stage.control else 1
        labels[chosen] = (labels[chosen] + step) % classes
        if not errand.affords(2):
            break
        changed = write_table(Samples(table.x, labels))
        try:
            errand.store.put(bucket, name, changed)
        except TargetRefused:
            errand.refused = True
            break
        written[bucket, name] = changed
        flipped += len(chosen)
    return written, flipped


def _judged(stage: Stage, errand: Errand, flipped: int, clean: MLP, poisoned: MLP) -> Brought:
    samples = stage.samples
    wanted: IntArray = (samples.y + 1) % stage.target.classes
    was, now = clean.labels(samples.x), poisoned.labels(samples.x)
    outcomes = tuple(
        SampleOutcome(
            index=i, claimed=flipped > 0, confirmed=bool(now[i] == wanted[i]), queries=0, distance=0.0,
            refused=errand.refused and not flipped, before=bool(was[i] == wanted[i]),
        )
        for i in range(len(samples))
    )  # fmt: skip
    return Brought(
        outcomes=outcomes,
        figures={
            "flipped_label_success": float(np.mean(now == wanted)),
            "labels_flipped": float(flipped),
            "clean_accuracy": float(np.mean(was == samples.y)),
            "poisoned_accuracy": float(np.mean(now == samples.y)),
        },
    )


def _joined(tables: Mapping[tuple[str, str], bytes]) -> Samples:
    parts = [read_table(content) for content in tables.values()]
    return Samples(np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts]))


def _trained(samples: Samples, settings: FlipLabelsParams, seed: int) -> MLP:
    classifier = _sklearn("neural_network").MLPClassifier(
        hidden_layer_sizes=(settings.hidden,), alpha=1e-3, learning_rate_init=2e-3, batch_size=64,
        max_iter=settings.epochs, n_iter_no_change=1000, tol=0.0, random_state=seed,
    )  # fmt: skip
    with import_module("threadpoolctl").threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it stopped at max_iter, which is what it was told
        classifier.fit(samples.x, samples.y)
    return MLP.of(classifier.coefs_, classifier.intercepts_)


def _sklearn(module: str) -> Any:
    try:
        return import_module(f"sklearn.{module}")
    except ImportError as error:
        raise MissingExtraError("training on the stored data", "emulate") from error
