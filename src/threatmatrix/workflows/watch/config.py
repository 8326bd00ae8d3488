"""What a watch is asked to do, what it says meanwhile, and what it reports in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from threatmatrix.knowledge import Library
from threatmatrix.model.detection import Calibration, Finding, NoVisibility
from threatmatrix.model.errors import RuleError
from threatmatrix.model.system import System
from threatmatrix.telemetry.readers import AUTO, Options
from threatmatrix.workflows.feeding import Log
from threatmatrix.workflows.home import Home

__all__ = [
    "BatchDone",
    "OnEvent",
    "Recovered",
    "Said",
    "Started",
    "Waiting",
    "WatchConfig",
    "WatchEvent",
    "WatchReport",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchConfig:
    """``sources``: a path, a directory, a pattern (``/var/log/models/*.jsonl``), ``-`` (standard input) or
    ``kafka://host:port/topic``; a :class:`Log` says itself how it is read, ``source`` and ``options`` hold for the
    others.

    ``name``: of the journal; two watches of one home have two. ``batch_seconds``: between two looks at the sources.
    ``lateness_seconds``: how much later than others a record may come and still find its partner at once.
    ``metrics``: address and port of the figures, None: none; port 0: any. ``lake_days``: events are removed that
    much later. ``once``: until nothing more is there, then everything is judged and the watch ends. ``respond``:
    playbooks run; else findings become incidents and nothing is done. ``kafka``: what else librdkafka must know.
    ``batch_bytes`` and ``batch_events`` bound what is taken at once; ``snapshot_seconds``, ``lake_events`` and
    ``lake_seconds`` what a restart judges again.
    """

    name: str
    sources: Sequence[str | Log]
    home: Home
    library: Library
    systems: Sequence[System] = ()
    calibrations: Sequence[Calibration] = ()
    source: str = AUTO
    options: Options | None = None
    batch_seconds: float = 1.0
    lateness_seconds: float = 10.0
    metrics: tuple[str, int] | None = None
    lake_days: int | None = None
    once: bool = False
    respond: bool = False
    kafka: Mapping[str, str] = field(default_factory=dict)
    batch_bytes: int = 16 * 1024 * 1024
    batch_events: int = 20_000
    snapshot_seconds: float = 30.0
    lake_events: int = 50_000
    lake_seconds: float = 30.0
    grace_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Started:
    """``again``: batches that were journalled and not yet in a snapshot; they are judged again first."""

    sources: Sequence[str]
    resumed: bool
    again: int
    metrics: str  # where the figures are, or ""


@dataclass(frozen=True, slots=True)
class BatchDone:
    """One batch, judged and stored. ``again``: after a restart, so its findings may have been said before."""

    number: int
    events: int
    findings: Sequence[Finding]
    seconds: float
    total_events: int
    behind: int  # bytes (of Kafka: records) that wait
    again: bool


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence that a person should read."""

    text: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing is read until ``step`` works; nothing is lost meanwhile."""

    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """``step`` works again, after so long."""

    step: str
    seconds: float


WatchEvent = Started | BatchDone | Said | Waiting | Recovered
OnEvent = Callable[[WatchEvent], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchReport:
    """What came of a watch, since it began (``total_events``) and in this process.

    ``waiting``: what it waited for when it was told to stop; "" where it ended in order.
    """

    batches: int
    events: int
    total_events: int
    again: int  # events of the journal that were judged again at the start
    findings: Mapping[str, int]  # technique → distinct findings, new or grown
    dead_letters: int
    duplicates: int
    late: int
    ahead: int
    joined: int
    held: int
    refused: Mapping[str, str]  # file → why it cannot be read
    no_visibility: Sequence[NoVisibility]
    rules_refused: Sequence[RuleError]
    seconds: float
    waiting: str = ""
