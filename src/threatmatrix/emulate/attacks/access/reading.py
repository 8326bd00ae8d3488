"""What an account or a found key takes out of an artefact store: the model, its training data, whatever is private.

``read_model_file`` lists what it may and reads the files that end like weights, until one has the inputs and classes
of the model under attack. It is read as numbers (safetensors or ``.npz``), never unpickled. Source: AML.T0035; the
case study AML.CS0010. Access: none beside an account. Cost: one call for the buckets, one for each list and for each
file. Control: paths that are guessed, at most ``guesses``. Result: one outcome for each file, e.g.
``SampleOutcome(index=0, claimed=True, confirmed=True, queries=1, distance=0.0)``, confirmed where size and SHA-256 are
what the list says; holds ``stolen_model`` (as ``surrogate`` too, for ``transfer``); figures
``files_read``, ``bytes_read``.

``read_training_data`` does the same with tables as wide as an input. Holds ``training_data`` (Samples) and
``training_tables`` ((bucket, key), content); figures ``files_read``, ``rows_read``.

``read_private_objects`` reads with the key that was found (``access_key``) as many objects as there are samples, taken
evenly from everything that the key may list. Control: as many guesses, half of them of paths with the own account, half
of keys. Result: one outcome for each object, confirmed as above, ``before`` where its bucket was open without the key;
figures ``objects_listed``, ``objects_read``, ``bytes_read``. Source: the case study AML.CS0006.

All stop at three refusals in a row (``refused=True``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.artefacts import read_table, read_weights
from threatmatrix.emulate.attacks.access.errand import Errand, is_same
from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.emulate.target import StoredObject
from threatmatrix.model.errors import TargetRefused, UsageError
from threatmatrix.model.evidence import SampleOutcome

__all__ = [
    "ReadModelFileParams",
    "ReadPrivateObjectsParams",
    "ReadTrainingDataParams",
    "read_model_file",
    "read_private_objects",
    "read_training_data",
]

WEIGHTS = (".safetensors", ".npz", ".onnx", ".pt", ".pth", ".h5", ".pkl", ".joblib")
TABLES = (".csv", ".npz", ".parquet")
BUCKETS = ("models", "model", "data", "datasets", "ml", "backup", "private", "storage")
FILES = ("model", "weights", "final", "best", "latest", "data", "train", "dataset", "backup", "export")


@dataclass(frozen=True, slots=True)
class ReadModelFileParams:
    """``guesses``: paths that the control tries."""

    guesses: int = 20


@dataclass(frozen=True, slots=True)
class ReadTrainingDataParams:
    """``guesses`` as above; ``found_key``: read with the key that was found, not as who is signed in."""

    guesses: int = 20
    found_key: bool = False


@dataclass(frozen=True, slots=True)
class ReadPrivateObjectsParams:
    """There is nothing to choose: the number of objects is that of the samples."""


def read_model_file(stage: Stage) -> Brought:
    """Find and read the weights; see the module's docstring."""
    settings = stage.settings(ReadModelFileParams)
    errand = Errand(stage)
    if stage.control:
        return _guessed(errand, stage, settings.guesses, WEIGHTS)
    outcomes: list[SampleOutcome] = []
    size, surrogate = 0, None
    for bucket, entry in _wanted(errand.listing(), WEIGHTS):
        content = errand.read(bucket, entry.key)
        outcomes.append(_outcome(len(outcomes), content, entry, errand))
        size += len(content or b"")
        try:
            model = read_weights(content or b"")
        except UsageError:
            continue
        if model.inputs == math.prod(stage.target.input_shape) and model.classes == stage.target.classes:
            surrogate = model
            break
    figures = {"files_read": float(sum(o.confirmed for o in outcomes)), "bytes_read": float(size)}
    holds = {} if surrogate is None else {"surrogate": surrogate, "stolen_model": surrogate}
    return Brought(outcomes=tuple(outcomes) or (errand.nothing(),), holds=holds, figures=figures)


def read_training_data(stage: Stage) -> Brought:
    """Find and read the tables; see the module's docstring."""
    settings = stage.settings(ReadTrainingDataParams)
    errand = Errand(stage, found_key=settings.found_key and not stage.control)
    if stage.control:
        return _guessed(errand, stage, settings.guesses, TABLES)
    outcomes: list[SampleOutcome] = []
    parts: list[Samples] = []
    tables: dict[tuple[str, str], bytes] = {}
    for bucket, entry in _wanted(errand.listing(), TABLES):
        content = errand.read(bucket, entry.key)
        outcomes.append(_outcome(len(outcomes), content, entry, errand))
        try:
            part = read_table(content or b"")
        except UsageError:
            continue
        if part.x.shape[1] == math.prod(stage.target.input_shape):
            parts.append(part)
            tables[bucket, entry.key] = content or b""
    figures = {
        "files_read": float(sum(o.confirmed for o in outcomes)),
        "rows_read": float(sum(map(len, parts))),
    }
    if not parts:
        return Brought(outcomes=tuple(outcomes) or (errand.nothing(),), figures=figures)
    data = Samples(np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts]))
    return Brought(outcomes=tuple(outcomes), holds={"training_data": data, "training_tables": tables}, figures=figures)


def read_private_objects(stage: Stage) -> Brought:
    """Read with the found key; see the module's docstring."""
    stage.settings(ReadPrivateObjectsParams)
    errand = Errand(stage, found_key=not stage.control)
    number = len(stage.samples)
    if stage.control:
        return _guessed_with_keys(errand, stage, number)
    open_before = stage.held.get("own_buckets", ())
    listed = list(errand.listing())
    chosen = [listed[i] for i in np.linspace(0, len(listed) - 1, min(number, len(listed))).round().astype(int)]
    outcomes: list[SampleOutcome] = []
    size = 0
    for bucket, entry in chosen:
        content = errand.read(bucket, entry.key)
        size += len(content or b"")
        outcomes.append(_outcome(len(outcomes), content, entry, errand, before=bucket in open_before))
    return Brought(
        outcomes=tuple(outcomes) or (errand.nothing(),),
        figures={
            "objects_listed": float(len(listed)),
            "objects_read": float(sum(o.confirmed for o in outcomes)),
            "bytes_read": float(size),
        },
    )


def _wanted(listing: Iterable[tuple[str, StoredObject]], endings: tuple[str, ...]) -> list[tuple[str, StoredObject]]:
    return [(bucket, entry) for bucket, entry in listing if entry.key.lower().endswith(endings)]


def _outcome(
    index: int, content: bytes | None, entry: StoredObject, errand: Errand, *, before: bool = False
) -> SampleOutcome:
    got = content is not None
    return SampleOutcome(
        index=index, claimed=got, confirmed=is_same(content, entry), queries=1, distance=0.0,
        refused=not got and errand.refused, before=before,
    )  # fmt: skip


def _guess(errand: Errand, stage: Stage, index: int, endings: tuple[str, ...]) -> SampleOutcome:
    """One guessed path; whatever comes was not known to lie there."""
    bucket, name, ending = (str(stage.rng.choice(words)) for words in (BUCKETS, FILES, endings))
    content, asked = None, errand.spent
    if errand.affords():
        try:
            content = errand.store.get(bucket, f"{name}{ending}")
        except (TargetRefused, UsageError):
            content = None
    got = content is not None
    return SampleOutcome(index=index, claimed=got, confirmed=got, queries=errand.spent - asked, distance=0.0)


def _guessed(errand: Errand, stage: Stage, number: int, endings: tuple[str, ...]) -> Brought:
    return Brought(outcomes=tuple(_guess(errand, stage, i, endings) for i in range(number)))


def _guessed_with_keys(errand: Errand, stage: Stage, number: int) -> Brought:
    """The first half with the own account, the second each with another key that is made up."""
    outcomes = []
    for index in range(number):
        if 2 * index >= number:
            errand.store.use_key("AKIA" + stage.rng.bytes(8).hex().upper(), stage.rng.bytes(20).hex())
        outcomes.append(_guess(errand, stage, index, (*WEIGHTS, *TABLES, ".mp4", ".apk")))
    return Brought(outcomes=tuple(outcomes))
