"""Builders of log lines."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.telemetry.log_records import RECORDS


@pytest.fixture
def record() -> Callable[..., dict[str, Any]]:
    """``record(source, key=value …)``: a valid record with some keys replaced; ``...`` removes one."""

    def build(source: str, **changes: Any) -> dict[str, Any]:
        merged = {**copy.deepcopy(RECORDS[source]), **changes}
        return {key: value for key, value in merged.items() if value is not ...}

    return build


@pytest.fixture
def uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of programs that the test starts are not counted: they start in half the time."""
    for name in list(os.environ):
        if name.startswith("COVERAGE"):
            monkeypatch.delenv(name)


@pytest.fixture
def write_log(tmp_path: Path) -> Callable[..., Path]:
    """``write_log(name, items)``: a file of JSON lines; text and bytes among the items go in as they are."""

    def write(name: str, items: list[Any]) -> Path:
        path = tmp_path / name
        raw = [
            item if isinstance(item, bytes) else item.encode() if isinstance(item, str) else json.dumps(item).encode()
            for item in items
        ]
        path.write_bytes(b"".join(line + b"\n" for line in raw))
        return path

    return write
