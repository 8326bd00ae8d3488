"""A clean process that forks watches and kills them: the test process has threads, which a fork would not take along.

``python -m tests.workflows.watch_child FOLDER [all]`` prints a line of JSON; ``all``: only the kills, after every step.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import select
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.watch_trial import Writer, config_for, ended, forked, outcome

from threatmatrix.detect.sigma.compile import compile_rules
from threatmatrix.knowledge import Library, load_library
from threatmatrix.workflows.home import Home
from threatmatrix.workflows.watch import BatchDone, Recovered, Started, Waiting, WatchEvent, run

STEPS = ("letters", "journal", "store", "lake", "snapshot")
"""Each leaves something else on disk."""
ALL_STEPS = ("read", "letters", "journal", "judge", "store", "lake", "snapshot", "trim")
SLUGS = ("ml-model-discovery", "online-evasion")


def small(library: Library) -> Library:
    """Two techniques are enough for what is tried here."""
    return dataclasses.replace(library, techniques={slug: library.techniques[slug] for slug in SLUGS})


def watch(root: Path, library: Library, kill_after: str = "", **changes: Any) -> int:
    """Until nothing more is there, or the step after which it dies; the exit code."""

    def work() -> None:
        def on_step(step: str) -> None:
            if step == kill_after:
                os.kill(os.getpid(), signal.SIGKILL)

        run(config_for(root / "home", root / "logs", once=True, library=library, **changes), on_step=on_step)

    return ended(forked(work))


def killed_at_every_step(root: Path, library: Library, steps: Sequence[str]) -> dict[str, Any]:
    writer = Writer(root / "logs", 3)
    quick: dict[str, Any] = {"grace_seconds": 0.0}
    watch(root, library, **quick)
    codes = []
    for step in steps:
        writer.write(140)
        writer.rotate()
        codes.append(watch(root, library, step, **quick))
    watch(root, library, **quick)
    alone = Writer(root / "alone" / "logs", 3)
    alone.write(140 * len(steps))
    watch(root / "alone", library, **quick)
    mine, theirs = outcome(root / "home"), outcome(root / "alone" / "home")
    return {
        "codes": codes,
        "rotations": writer.rotations,
        "differences": mine.differences(theirs),
        "events": len(theirs.events),
        "findings": len(theirs.findings),
        "dead letters": len(theirs.dead_letters),
    }


def on_a_full_disk(root: Path, library: Library) -> dict[str, Any]:
    """A limit on the size of files stands in for a disk that fills up, and is lifted as somebody frees space."""
    writer = Writer(root / "logs", 5)
    writer.write(400)
    read, write = os.pipe()

    def work() -> None:
        def listen(event: WatchEvent) -> None:
            if isinstance(event, Started):
                resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
            if isinstance(event, Waiting | Recovered | BatchDone):
                os.write(write, f"{type(event).__name__} {getattr(event, 'step', '')}\n".encode())

        config = config_for(root / "home", root / "logs", once=True, library=library, grace_seconds=0.0)
        run(config, on_event=listen)

    child = forked(work)
    os.close(write)
    first = os.read(read, 100).decode().split("\n", 1)[0]
    more = bool(select.select([read], [], [], 0.3)[0])
    resource.prlimit(child, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    code = ended(child)
    with os.fdopen(read, "rb") as said:
        rest = said.read().decode().split()
    return {"first": first, "more": more, "code": code, "rest": rest, "rows": outcome(root / "home").rows}


def stopped_by_a_signal(root: Path, library: Library) -> dict[str, Any]:
    """What was in hand is finished; the next one has nothing to do again."""
    writer = Writer(root / "logs", 7)
    writer.write(100)
    read, write = os.pipe()

    def work(on_event: Callable[[WatchEvent], None]) -> None:
        config = config_for(root / "home", root / "logs", library=library, lake_seconds=60, snapshot_seconds=60)
        run(config, on_event=on_event)

    def listen(event: WatchEvent) -> None:
        if isinstance(event, BatchDone):
            os.write(write, b"x")

    child = forked(lambda: work(listen))
    os.close(write)
    os.read(read, 1)
    os.kill(child, signal.SIGTERM)
    code = ended(child)
    os.close(read)
    folder = root / "home" / "watch" / "trial"
    return {"code": code, "journal": len(list(folder.glob("*.batch"))), "rows": outcome(root / "home").rows}


def warm(root: Path, library: Library) -> None:
    """Import what a watch needs before the first of a dozen forks, and start no thread."""
    Home(root).ensure().open_store().close()
    compile_rules([rule for technique in library.techniques.values() for rule in technique.rules])


def main() -> None:
    root = Path(sys.argv[1])
    library = small(load_library())
    warm(root / "warm", library)
    if "all" in sys.argv[2:]:
        said = {"killed_at_every_step": killed_at_every_step(root / "all", library, ALL_STEPS)}
    else:
        said = {
            "killed_at_every_step": killed_at_every_step(root / "steps", library, STEPS),
            "on_a_full_disk": on_a_full_disk(root / "disk", library),
            "stopped_by_a_signal": stopped_by_a_signal(root / "signal", library),
        }
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
