"""A server that is no dependency, started for a nightly test and ended with it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from threatmatrix.emulate.reference.serving import listen

PATIENCE = 120.0
"""Seconds until it must answer."""


def free_ports(n: int) -> list[int]:
    with ExitStack() as stack:
        return [stack.enter_context(listen()).getsockname()[1] for _ in range(n)]


@contextmanager
def real_server(folder: Path, command: Callable[[int], Sequence[str]], ready: str, **environment: str) -> Iterator[str]:
    """``python`` with the command for a port; the URL once ``ready`` answers. What it says goes to ``log.txt``."""
    (port,) = free_ports(1)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *command(port)], cwd=folder, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, "PATH": path, **environment},
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        ends = time.monotonic() + PATIENCE
        while True:
            assert process.poll() is None and time.monotonic() < ends, (folder / "log.txt").read_text()[-2000:]  # noqa: PT018
            try:
                with urllib.request.urlopen(f"{url}{ready}", timeout=1):
                    break
            except OSError:
                time.sleep(0.3)
        yield url
    finally:
        os.killpg(process.pid, 15)
        process.wait()
