"""A batch → joined events and findings. Memory only: the same batches give the same, in any process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from threatmatrix.detect.session import Session
from threatmatrix.model.detection import Finding
from threatmatrix.model.errors import FormatError
from threatmatrix.model.event import Event
from threatmatrix.telemetry.joining import Joined, Joiner
from threatmatrix.workflows.watch.watermark import Watermark

__all__ = ["Judge", "Judged"]

Revision = tuple[Event, Event]  # (before, after)


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of a batch: events as the lake takes them, and the findings that are new or grew."""

    events: Sequence[Event]
    revised: Sequence[Revision] = ()
    findings: Sequence[Finding] = field(default_factory=list)


class Judge:
    """Joiner, then session. ``joiner`` None: records of one source, which have no partners to wait for."""

    def __init__(self, session: Session, joiner: Joiner | None = None, *, lateness: int = 0) -> None:
        self.session = session
        self.joiner = joiner
        self.watermark = Watermark(lateness)
        self.events = self.clashes = self.joined = 0
        self._duplicates = 0

    @property
    def duplicates(self) -> int:
        """Records that had come before, as they were."""
        return self._duplicates + self.session.repeats

    @property
    def held(self) -> int:
        """Records that wait for their partner."""
        return 0 if self.joiner is None else self.joiner.stats()["held"]

    def judge(self, events: Sequence[Event], *, arrived: int, elapsed: int, release: bool = False) -> Judged:
        """``arrived`` and ``elapsed`` (µs) as the batch has them; ``release``: nothing is held back any longer."""
        watermark = self.watermark.take(events, arrived, elapsed)
        self.events += len(events)
        if self.joiner is None:
            return Judged(events, (), self.session.feed(events) if events else [])
        parts = [self.joiner.add(events)] if events else []
        if watermark is not None:
            parts.append(self.joiner.advance(watermark))
        if release:
            parts.append(self.joiner.flush())
        return self._joined(parts)

    def _joined(self, parts: Sequence[Joined]) -> Judged:
        fresh = [event for part in parts for event in part.events]
        revised = [revision for part in parts for revision in part.revised]
        self._duplicates += sum(part.duplicates for part in parts)
        self.clashes += sum(part.clashes for part in parts)
        self.joined += sum("+" in event.source for event in fresh) + len(revised)
        findings = self.session.feed(fresh, revised=revised) if fresh or revised else []
        return Judged(fresh, revised, findings)

    def snapshot(self) -> dict[str, Any]:
        return {
            "watermark": self.watermark.snapshot(),
            "joiner": None if self.joiner is None else self.joiner.snapshot(),
            "session": self.session.snapshot(),
            "events": self.events,
            "duplicates": self._duplicates,
            "clashes": self.clashes,
            "joined": self.joined,
        }

    def restore(self, state: Mapping[str, Any]) -> tuple[str, ...]:
        """Go on from ``snapshot``; returns the detectors that are new or were changed, and begin with nothing.

        Raises FormatError.
        """
        self.watermark.restore(state["watermark"])
        if self.joiner is not None and state["joiner"] is not None:
            try:
                self.joiner.restore(state["joiner"])
            except ValueError as error:
                raise FormatError("joining state", str(error), hint="Use the version that wrote it") from error
        anew = self.session.restore(state["session"])
        self.events, self._duplicates = state["events"], state["duplicates"]
        self.clashes, self.joined = state["clashes"], state["joined"]
        return anew
