"""Tiny reference targets: numbers, texts, files, a model that learns and one that writes; made in no time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from threatmatrix.emulate.reference.base import ModelAnswer, Reference, Visit
from threatmatrix.emulate.stage import Samples
from threatmatrix.emulate.target import Rows, blobs, texts


class Spam:
    """Class 1 where a text has more of the words ``win`` and ``free`` than others."""

    def answer(self, rows: Rows) -> ModelAnswer:
        if not all(isinstance(row, str) for row in rows):
            raise ValueError("this model reads texts")
        share = np.array([np.mean([word in ("win", "free") for word in row.split()] or [0.0]) for row in rows])
        return ModelAnswer((share > 0.5).astype(np.int64), np.stack([1 - share, share], axis=1))


class Magic:
    """Labels only: 2 for a program, 1 for an archive, 0 for another file."""

    def answer(self, rows: Rows) -> ModelAnswer:
        kinds = [2 if row.startswith(b"MZ") else 1 if row.startswith(b"PK") else 0 for row in rows]
        return ModelAnswer(np.asarray(kinds, dtype=np.int64))


class Echo:
    """Writes the words of a text in reverse."""

    def answer(self, rows: Rows) -> ModelAnswer:
        return ModelAnswer(np.zeros(len(rows), np.int64), None, tuple(" ".join(row.split()[::-1]) for row in rows))


class Votes:
    """Class 1 where the users who said so are more than the others; it learns while it serves."""

    def __init__(self) -> None:
        self.said: list[tuple[str, bytes, int]] = []

    def answer(self, rows: Rows) -> ModelAnswer:
        ones = [sum(1 if y else -1 for _, row, y in self.said if row == x.tobytes()) for x in rows]
        return ModelAnswer((np.asarray(ones) > 0).astype(np.int64))

    def teach(self, rows: Rows, labels: np.ndarray, user: str) -> None:
        if np.any(rows < 0):
            raise ValueError("a negative number is no measurement")
        self.said += [(user, row.tobytes(), int(y)) for row, y in zip(rows, labels, strict=True)]

    def forget(self, user: str) -> int:
        before = len(self.said)
        self.said = [entry for entry in self.said if entry[0] != user]
        return before - len(self.said)


class Moods(Echo):
    """Writes as Echo does, and says whether the text is loud."""

    def answer(self, rows: Rows) -> ModelAnswer:
        loud = np.array([float(row.isupper()) for row in rows])
        texts_ = super().answer(rows).texts
        return ModelAnswer(loud.astype(np.int64), np.stack([1 - loud, loud], axis=1), texts_)


def _nobody(*, clients: int, seed: int) -> Iterator[Visit]:
    del clients, seed
    return iter(())


def toy(name: str, model: object, rows: Rows, classes: tuple[str, ...], *, modality: str) -> Reference:
    width = rows.shape[1] if rows.ndim == 2 else None
    samples = Samples(rows, np.zeros(len(rows), np.int64))
    return Reference(
        name=name, title=name, modality=modality, classes=classes, width=width, model=model,  # type: ignore[arg-type]
        calibration=rows, attacker=samples, honest=_nobody, accuracy=1.0,
    )  # fmt: skip


MAILS = texts(["win free money", "minutes of our meeting", "free free win", "", "grüße – \N{SNOWMAN} \x00"])
FILES = blobs([b"MZ\x00\xff", b"PK\x03\x04", b"", b"\n"])


def mail() -> Reference:
    return toy("mail", Spam(), MAILS, ("ham", "spam"), modality="text")


def files() -> Reference:
    return toy("files", Magic(), FILES, ("other", "archive", "program"), modality="binary")


def echo() -> Reference:
    return toy("echo", Echo(), texts(["one two three", "four"]), ("text",), modality="text")


def moods() -> Reference:
    return toy("moods", Moods(), texts(["ONE TWO", "three four"]), ("calm", "loud"), modality="text")


def votes() -> Reference:
    return toy("votes", Votes(), np.eye(4), ("no", "yes"), modality="vector")
