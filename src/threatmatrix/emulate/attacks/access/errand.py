"""What every attack on an artefact store shares: a budget of calls, and a refusal that ends nothing but itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from threatmatrix.emulate.artefacts import AccessKey, Credentials
from threatmatrix.emulate.stage import Stage
from threatmatrix.emulate.target import Store, StoredObject
from threatmatrix.model.errors import TargetRefused, UnknownNameError
from threatmatrix.model.evidence import SampleOutcome

__all__ = ["REPOSITORY", "Errand", "is_same"]

REPOSITORY = ".git"
_PATIENCE = 3
"""Refusals one after the other, where reading was allowed before: then somebody has said no."""


class Errand:
    """One walk through a store. ``refused``: it was ended by refusals.

    Where nobody is signed in and ``credentials`` are held, it begins by signing in (one call); with ``found_key`` it is
    done with the ``access_key`` that is held.
    """

    def __init__(self, stage: Stage, *, enter: bool = True, found_key: bool = False) -> None:
        self.store: Store = stage.storing()
        self.refused = False
        self._limit = stage.budget
        self._start = self.store.queries
        self._in_a_row = 0
        if found_key:
            key = stage.take("access_key", AccessKey)
            self.store.use_key(key.key_id, key.secret)
        elif enter and not self.store.account:
            self._enter(stage.held.get("credentials"))

    def _enter(self, credentials: object) -> None:
        if isinstance(credentials, Credentials) and self.affords():
            try:
                self.store.sign_in(credentials.account, credentials.password)
            except TargetRefused:
                self.refused = True

    @property
    def spent(self) -> int:
        return self.store.queries - self._start

    def affords(self, calls: int = 1) -> bool:
        """Whether to go on: the budget pays for so many calls more, and nobody has said no."""
        return not self.refused and self.spent + calls <= self._limit

    def read(self, bucket: str, key: str) -> bytes | None:
        """An object; None where it is refused, is not there or is not paid for."""
        if not self.affords():
            return None
        try:
            content = self.store.get(bucket, key)
        except (TargetRefused, UnknownNameError) as error:
            self._count(error)
            return None
        self._in_a_row = 0
        return content

    def buckets(self) -> tuple[str, ...]:
        """The buckets that may be listed; none where that is refused."""
        if not self.affords():
            return ()
        try:
            return self.store.buckets()
        except TargetRefused:
            self.refused = True
            return ()

    def listing(self, *, repositories: bool = False) -> Iterator[tuple[str, StoredObject]]:
        """(bucket, object) of all that may be listed."""
        for bucket in self.buckets():
            if bucket.endswith(REPOSITORY) is not repositories or not self.affords():
                continue
            try:
                found = self.store.objects(bucket)
            except TargetRefused as error:
                self._count(error)
                continue
            for entry in found:
                yield bucket, entry

    def nothing(self) -> SampleOutcome:
        """The outcome of a walk that found nothing."""
        return SampleOutcome(
            index=0, claimed=False, confirmed=False, queries=self.spent, distance=0.0, refused=self.refused
        )

    def _count(self, error: TargetRefused | UnknownNameError) -> None:
        self._in_a_row += isinstance(error, TargetRefused)
        self.refused = self._in_a_row >= _PATIENCE


def is_same(content: bytes | None, entry: StoredObject) -> bool:
    """Whether what was read is what the listing promised: size and digest."""
    return (
        content is not None and len(content) == entry.size and entry.digest in ("", hashlib.sha256(content).hexdigest())
    )
