"""``python -m tests.telemetry.lake_kills FOLDER OPERATION[:STEP] …``: SIGKILL at changes of the disk, and what is left.

Every call that changes names or syncs is counted; the STEP-th kills the process before it is made; without STEP, each
in turn. Prints a JSON line for each kill: what a reader sees right after it, what after the operation was done again,
and what lies around then that should not.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from threatmatrix.model.event import Event
from threatmatrix.telemetry.lake import Lake

DAY = 86_400_000_000
FIRST = 20_454 * DAY
COUNTED = ("replace", "rename", "fsync", "unlink", "rmdir", "mkdir")
Seen = dict[str, int]


def event(name: str, day: int = 0, *, version: str = "1", principal: str = "ann") -> Event:
    at = FIRST + day * DAY + DAY // 2
    return Event(event_id=name, time=at, source="a", category="inference", principal=principal, model_version=version)


def prepare(lake: Lake) -> None:
    lake.append([event("a0"), event("a1", 1)], part="w-1")
    lake.compact(grace=0)
    lake.append([event("b0", principal="bob"), event("b1", 1), event("a0")], part="w-2")
    lake.append([event("c0"), event("c1", 1, principal="bob")])
    lake.revise([event("c0", version="2")], part="w-3")


OPERATIONS: dict[str, Callable[[Lake], object]] = {
    "append": lambda lake: lake.append([event("d0"), event("d1", 1)], part="w-4"),
    "revise": lambda lake: lake.revise([event("b1", 1, version="2")], part="w-5"),
    "compact": lambda lake: lake.compact(grace=0, threads=1),
    "expire": lambda lake: lake.expire("2026-01-02"),
    "erase": lambda lake: lake.erase("bob", at=FIRST + 9 * DAY),
}


def seen(root: Path) -> Seen:
    with closing(Lake(root).connect()) as con:
        rows = con.execute("SELECT event_id || ':' || model_version FROM events").fetchall()
    return dict(Counter(name for (name,) in rows))


def in_child(work: Callable[[], Any]) -> Any:
    """The result of ``work`` in a forked child, or the signal that ended it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        os.write(writing, json.dumps(work()).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(pid, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else json.loads(answer)


def killed_at(step: int, root: Path, operation: str) -> bool:
    """Do the operation, dying before the n-th change; True where it was over before."""
    done = Counter[str]()

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            done["changes"] += 1
            if done["changes"] == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        return call

    for name in COUNTED:
        setattr(os, name, counted(getattr(os, name)))
    with closing(Lake(root)) as lake:
        OPERATIONS[operation](lake)
    return True


def again(root: Path, operation: str) -> tuple[Seen, list[str]]:
    with closing(Lake(root)) as lake:
        OPERATIONS[operation](lake)
        after = seen(root)
        lake.compact(grace=0, threads=1)
    assert seen(root) == after or operation in {"append", "revise"}
    kept = {"manifest.json", "erasures.json", ".lock"}
    strange = [
        path.name
        for path in root.rglob("*")
        if path.is_file() and path.name not in kept and not path.name.startswith((".schema-", "ids-", "merged-"))
    ]
    return after, strange


def run(operation: str, folder: Path, step: int) -> bool:
    """One kill and what comes after it; True where the operation was over before."""
    root = folder / f"{operation}-{step}"
    shutil.copytree(folder / "template", root)
    over = in_child(lambda: killed_at(step, root, operation)) is True
    right_after = in_child(lambda: seen(root))
    after, strange = in_child(lambda: again(root, operation))
    line = {"operation": operation, "step": step, "seen": right_after, "after": after, "strange": strange}
    print(json.dumps(line), flush=True)  # noqa: T201 - it is a program
    shutil.rmtree(root)
    return over


def main(folder: Path, kills: list[str]) -> None:
    in_child(lambda: with_lake(folder / "template"))
    for kill in kills:
        operation, _, step = kill.partition(":")
        if step:
            run(operation, folder, int(step))
        else:
            next(number for number in range(1, 1000) if run(operation, folder, number))


def with_lake(root: Path) -> None:
    with closing(Lake(root)) as lake:
        prepare(lake)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
