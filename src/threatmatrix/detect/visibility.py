"""What each detector needs of the telemetry, and what it gets: the visible and the blind in one list."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, Protocol

__all__ = ["Sighting", "sight"]


class Sighting(NamedTuple):
    """One detector. It sees where ``missing`` is empty; "calibration" in there is a threshold not learnt yet."""

    detector: str  # "rule:<sigma id>" or "monitor:<name>"
    title: str
    technique: str  # slug
    needs: tuple[str, ...]  # "events of category …", then the fields
    missing: tuple[str, ...]  # of them; all fields go without saying where the category is missing

    @property
    def visible(self) -> bool:
        return not self.missing


class _Sighted(Protocol):
    def sight(self, seen_fields: Mapping[str, Collection[str]], /) -> list[Sighting]: ...


def sight(detectors: Iterable[_Sighted], seen: Mapping[str, Collection[str]]) -> list[Sighting]:
    """Every rule and monitor of ``detectors`` (a rule engine, monitors, or a session), given the fields ``seen``.

    ``seen`` maps a category to the fields that its events fill; ``Session.seen_fields`` is one, what a reader ``gives``
    another. Sorted by technique and detector.
    """
    found = [sighting for each in detectors for sighting in each.sight(seen)]
    return sorted(found, key=lambda one: (one.technique, one.detector))
