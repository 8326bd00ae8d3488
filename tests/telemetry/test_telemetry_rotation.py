"""Any order of writing, rotating, packing, looking and restarting: every line once."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.telemetry.test_telemetry_tail import NOW, append, names

from threatmatrix.telemetry.following.file import FileFollower


class Rotation(RuleBasedStateMachine):
    """Any order of writing, rotating, packing, looking and restarting: every line once, and none out of order
    within its file.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.log = Path(self.folder.name) / "log.jsonl"
        self.follower = FileFollower(self.log, **NOW)
        self.written = self.looked = 0
        self.got: list[str] = []
        self.position: Any = {}
        self.clock = int(time.time()) + 60
        self.look()

    def _path(self, number: int) -> Path:
        return self.log.with_name(f"log.jsonl.{number}")

    def _stamp(self) -> None:
        """File times as a real day has them; here all would fall into one tick of the kernel's clock."""
        self.clock += 60
        if self.log.exists():
            os.utime(self.log, (self.clock, self.clock))

    @rule(lines=st.integers(1, 5))
    def write(self, lines: int) -> None:
        append(self.log, *(f"e{self.written + n}" for n in range(lines)))
        self.written += lines
        self._stamp()

    @rule()
    def look(self) -> None:
        self.got += names(self.follower, 700)
        self.position.update(json.loads(json.dumps(self.follower.moved())))

    @precondition(lambda self: self.log.exists())
    @rule(pack=st.booleans(), copy=st.booleans())
    def rotate(self, pack: bool, copy: bool) -> None:
        for number in range(25, 0, -1):
            for suffix in ("", ".gz"):
                older = Path(f"{self._path(number)}{suffix}")
                if older.exists():
                    older.rename(f"{self._path(number + 1)}{suffix}")
        if copy:
            shutil.copy2(self.log, self._path(1))
            os.truncate(self.log, 0)
            self._stamp()
        else:
            self.log.rename(self._path(1))
        if pack:
            packed = Path(f"{self._path(1)}.gz")
            packed.write_bytes(gzip.compress(self._path(1).read_bytes()))
            status = self._path(1).stat()
            os.utime(packed, ns=(status.st_atime_ns, status.st_mtime_ns))  # as gzip does
            self._path(1).unlink()

    @rule()
    def restart(self) -> None:
        self.follower.close()
        self.follower = FileFollower(self.log, **NOW)
        if self.position:
            self.follower.resume(self.position)

    @invariant()
    def nothing_twice(self) -> None:
        assert len(self.got) == len(set(self.got))

    def teardown(self) -> None:
        self.look()
        self.follower.close()
        self.folder.cleanup()
        assert sorted(self.got, key=lambda name: int(name[1:])) == [f"e{n}" for n in range(self.written)]


TestRotation = Rotation.TestCase
TestRotation.settings = settings(max_examples=100, stateful_step_count=20, deadline=None)
