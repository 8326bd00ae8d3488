"""Figures for Prometheus: what comes in, what comes out, and how far behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from threatmatrix.model.detection import Finding
from threatmatrix.model.event import DeadLetter

__all__ = ["Figures", "reason_class"]

_P = "threatmatrix_watch_"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_CLASSES = (
    ("not JSON", "not-json"),
    ("not a JSON object", "not-json"),
    ("longer than", "too-long"),
    ("nested", "too-deep"),
    ("cut off", "cut-off"),
    ("reader ", "reader-failed"),
)


def reason_class(reason: str) -> str:
    """A dead letter's reason as one of a few words: a label's values must not come from the telemetry."""
    return next((name for start, name in _CLASSES if reason.startswith(start)), "field")


class Figures:
    """All figures of one watch, in a registry of their own. docs/watch.md lists them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.events = self._counter("events", "Events read", "source")
        self.bytes = self._counter("bytes", "Bytes of log lines read", "source")
        self.dead = self._counter("dead_letters", "Lines that could not become events", "reason")
        self.findings = self._counter("findings", "Findings that were new or grew", "technique", "severity")
        self.retries = self._counter("retries", "Times that a step failed and was tried again", "step")
        self.batches = self._counter("batches", "Batches judged")
        self.duplicates = self._gauge("duplicates", "Events that had come before, since the watch began")
        self.late = self._gauge("late_events", "Events older than the watermark, since the watch began")
        self.ahead = self._gauge("ahead_events", "Events ahead of the clock, since the watch began")
        self.joined = self._gauge("joined_events", "Events joined from several records, since the watch began")
        self.held = self._gauge("held_events", "Records that wait for their partner")
        self.behind = self._gauge("behind_bytes", "Bytes (Kafka: records) written and not yet read", "source")
        self.lag = self._gauge("lag_seconds", "Age of the newest event when it was read")
        self.journal = self._gauge("journal_batches", "Batches that a restart would judge again")
        self.unflushed = self._gauge("unflushed_events", "Events judged and not yet in the lake")
        self.flushed = self._gauge("lake_flush_timestamp_seconds", "When the lake was last written")
        self.last = self._gauge("last_batch_timestamp_seconds", "When a batch was last judged and stored")
        self.snapshot_seconds = self._gauge("snapshot_seconds", "How long the last snapshot took")
        self.refused = self._gauge("refused_files", "Files that cannot be read")
        self.batch_seconds = Histogram(
            f"{_P}batch_seconds", "From read to stored", buckets=_SECONDS, registry=self.registry
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_P}{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{_P}{name}", text, labels, registry=self.registry)

    def read(self, source: str, events: int, size: int) -> None:
        self.events.labels(source).inc(events)
        self.bytes.labels(source).inc(size)

    def letters(self, letters: Iterable[DeadLetter]) -> None:
        for letter in letters:
            self.dead.labels(reason_class(letter.reason)).inc()

    def found(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self.findings.labels(finding.technique, finding.severity.name).inc()

    def wait_for(self, behind: Mapping[str, int]) -> None:
        for source, amount in behind.items():
            self.behind.labels(source).set(amount)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)
