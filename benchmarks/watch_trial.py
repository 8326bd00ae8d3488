"""What the trials of `watch` share: logs that somebody writes and rotates, a watch that may be killed, a comparison.

tests/workflows/test_watch_crash.py runs it small, bench_watch.py in full.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import shutil
import signal
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from threatmatrix.knowledge import Library
from threatmatrix.model.detection import Calibration, Finding
from threatmatrix.model.system import ModelEntry, System, TelemetryEntry
from threatmatrix.workflows.watch.config import WatchConfig

__all__ = ["LOGS", "Traffic", "Writer", "config_for", "forked", "outcome"]

LOGS = ("gateway.jsonl", "proxy.jsonl", "other.jsonl")
_BASE = 1_767_225_600_000_000
_DIMS = 32
_STEP = 10_000  # µs of event time between two requests


class Traffic:
    """Requests to two models, always the same for a seed: (log, line) pairs.

    Those to ``labels`` stand in the gateway's log and, by request id, in the proxy's, a little later; those to
    ``faces`` in a log of their own. One client in eight is a script that looks for a wrong answer by small changes.
    Every 500th line is no event.
    """

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._probe = self._rng.integers(-90, 90, _DIMS)
        self.lines = self.events = self.dead = 0

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        number = 0
        while True:
            yield from self._request(number)
            number += 1

    def _request(self, number: int) -> Iterator[tuple[str, bytes]]:
        time = _BASE + number * _STEP
        attack = number % 8 == 0
        ref = f"req-{number}"
        vector = self._probe + self._rng.integers(-2, 3, _DIMS) if attack else self._rng.integers(-100, 101, _DIMS)
        model, log = ("faces", LOGS[2]) if number % 3 == 0 else ("labels", LOGS[0])
        record = {
            "v": 1,
            "time": time,
            "event_id": f"{ref}:0",
            "category": "inference",
            "operation": "infer",
            "principal": f"mallory-{model}" if attack else f"client-{number % 40}",
            "user_agent": "python-requests/2.32" if attack else "Scanner/4.1",
            "model": model,
            "endpoint": f"/v2/models/{model}/infer",
            "request_ref": ref,
            "row": 0,
            "rows": 1,
            "input_fp": self._rng.bytes(16).hex(),
            "input_vec": b64encode(vector.astype(np.int8).tobytes()).decode(),
            "vec_scale": 0.05,
            "vec_key": "k1",
            "output_label": str(number % 10),
            "output_scores": [0.75, 0.25],
            "status": 200,
            "decision": "allow",
        }
        yield self._line(log, record)
        if model == "labels":
            seconds = (time + 2_000) / 1e6
            yield self._line(
                LOGS[1],
                {
                    "time": "",
                    "msec": f"{seconds:.3f}",
                    "request_id": ref,
                    "src_ip": f"198.51.100.{number % 40}",
                    "method": "POST",
                    "uri": f"/v2/models/{model}/infer",
                    "status": 200,
                    "bytes_in": 812,
                    "rt": 0.004,
                    "ua": record["user_agent"],
                },
            )
        if number % 500 == 499:
            self.dead += 1
            yield log, b'{"time": "' + b"x" * (number // 500) + b", and here the line was torn\n"  # masked when kept

    def _line(self, log: str, record: dict[str, Any]) -> tuple[str, bytes]:
        self.events += 1
        return log, json.dumps(record).encode() + b"\n"


class Writer:
    """Appends, and rotates one log or another: renamed, or copied and emptied, and packed or not."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.traffic = Traffic(seed)
        self._lines = iter(self.traffic)
        self._rng = np.random.default_rng(seed + 1)
        self._packed: list[Path] = []
        self.rotations = 0
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, lines: int) -> None:
        """So many lines, some of them in two halves."""
        for _ in range(lines):
            log, line = next(self._lines)
            with (self.folder / log).open("ab", buffering=0) as file:
                cut = int(self._rng.integers(0, len(line))) if self._rng.random() < 0.05 else len(line)
                file.write(line[:cut])
                file.write(line[cut:])

    def rotate(self) -> None:
        """One log, as logrotate does it with ``compress`` and ``delaycompress`` or ``copytruncate``."""
        path = self.folder / LOGS[int(self._rng.integers(0, len(LOGS)))]
        if not path.exists() or not path.stat().st_size:
            return
        self.rotations += 1
        for older in sorted(self.folder.glob(f"{path.name}.*"), key=_number, reverse=True):
            suffix = ".gz" if older.name.endswith(".gz") else ""
            older.rename(self.folder / f"{path.name}.{_number(older) + 1}{suffix}")
        first = self.folder / f"{path.name}.1"
        if self._rng.random() < 0.3:
            shutil.copy2(path, first)
            os.truncate(path, 0)
        else:
            path.rename(first)
        packed = first if self._rng.random() < 0.5 else self.folder / f"{path.name}.2"
        if packed.exists():
            _pack(packed)


def _number(path: Path) -> int:
    return int(path.name.removesuffix(".gz").rpartition(".")[2])


def _pack(path: Path) -> None:
    """As gzip does it: beside it, with its times, and then the original goes."""
    target = path.with_name(f"{path.name}.gz")
    target.write_bytes(gzip.compress(path.read_bytes(), 1))
    status = path.stat()
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    path.unlink()


def config_for(
    home: Path, logs: Path, *, once: bool = False, library: Library | None = None, **changes: Any
) -> WatchConfig:
    """A watch with short periods, so that every step comes often. ``library`` None: the whole one."""
    from threatmatrix.knowledge import load_library
    from threatmatrix.workflows.home import Home

    systems = (
        System(
            name="parcels",
            owner="bench",
            criticality="medium",
            models=(ModelEntry("labels", ("/v2/models/labels/*",)),),
            telemetry=(TelemetryEntry("gateway", LOGS[0]), TelemetryEntry("nginx", LOGS[1])),
        ),
    )
    calibrations = [
        Calibration(
            monitor="near-duplicate-clusters",
            model=model,
            vec_key="k1",
            threshold=1.2,
            quantile=0.001,
            inputs=1000,
            distinct=1000,
            created=_BASE,
        )
        for model in ("labels", "faces")
    ]
    settings: dict[str, Any] = {
        "batch_seconds": 0.05,
        "snapshot_seconds": 0.4,
        "lake_seconds": 0.3,
        "grace_seconds": 0.5,
        "lateness_seconds": 2.0,
        "systems": systems,
    }
    return WatchConfig(
        name="trial",
        sources=[str(logs / name) for name in LOGS],
        home=Home(home),
        library=load_library() if library is None else library,
        calibrations=calibrations,
        once=once,
        **{**settings, **changes},
    )


def forked(work: Callable[[], None]) -> int:
    """Run ``work`` in a child of its own; its process id. The child ends with 0, or 1 where ``work`` raises."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    except BaseException as error:  # noqa: BLE001 - whatever it is, the child must not go on as its parent
        print(f"child: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def ended(child: int) -> int:
    """Wait for a child; its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that a watch left behind, by content.

    A finding lists its events in the order in which they were read, of more than a thousand the newest. Which of two
    logs was read first is up to the machine: so the list is compared as a set, and only while it is whole. For the same
    reason an incident is told by its findings: its id is that of the one that opened it.
    """

    rows: int
    events: dict[str, str]
    findings: dict[str, str]
    incidents: dict[str, str]
    dead_letters: list[str]

    def differences(self, other: Outcome) -> dict[str, int]:
        """How many are lost, doubled or other, seen from the uninterrupted run."""
        found: dict[str, int] = {"events doubled": self.rows - len(self.events)}
        for name in ("events", "findings", "incidents"):
            mine, theirs = getattr(self, name), getattr(other, name)
            found[f"{name} lost"] = len(theirs.keys() - mine.keys())
            found[f"{name} more"] = len(mine.keys() - theirs.keys())
            found[f"{name} other"] = sum(1 for key in mine.keys() & theirs.keys() if mine[key] != theirs[key])
        found["dead letters lost"] = len(set(other.dead_letters) - set(self.dead_letters))
        found["dead letters doubled"] = len(self.dead_letters) - len(set(self.dead_letters))
        return found


def _unordered(finding: Finding) -> Finding:
    whole = finding.event_count == len(finding.event_ids)
    return dataclasses.replace(finding, event_ids=tuple(sorted(finding.event_ids)) if whole else ())


def outcome(home: Path) -> Outcome:
    """Read lake, store and dead letters. Dead letters are told by their text: file names change with rotation."""
    from contextlib import closing

    from threatmatrix.telemetry.lake import Lake
    from threatmatrix.workflows.home import Home

    with Lake(Home(home).lake) as lake, closing(lake.connect()) as con:
        rows = con.execute("SELECT event_id, CAST(e AS VARCHAR) FROM (SELECT event_id, e FROM events e)").fetchall()
    with Home(home).open_store() as store:
        findings = {finding.finding_id: repr(_unordered(finding)) for finding in store.findings.list()}
        incidents = {
            " ".join(sorted(incident.finding_ids)): repr(dataclasses.replace(incident, incident_id=""))
            for incident in store.incidents.list("open")
        }
    letters = home / "watch" / "trial" / "dead-letters.jsonl"
    lines = letters.read_text().splitlines() if letters.exists() else []
    texts = [json.loads(line)["reason"] + json.loads(line)["text"] for line in lines]
    return Outcome(len(rows), dict(rows), findings, incidents, texts)
