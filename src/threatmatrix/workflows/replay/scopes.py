"""The scope that a replay writes for its own reference target."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["write_scope"]

_DAY = 86_400_000_000


def write_scope(
    workspace: Path, models: Collection[str], techniques: Collection[str], max_queries: int, now: int
) -> Path:
    """Write ``scope.yaml`` into the workspace: this machine, these models and techniques, until tomorrow."""
    expires = datetime.fromtimestamp((now + _DAY) / 1e6, UTC).isoformat(timespec="seconds")
    path = workspace / "scope.yaml"
    path.write_text(
        "# The reference target of this replay, and nothing else.\n"
        "owner: threatmatrix replay\n"
        f'expires: "{expires}"\n'
        "hosts: [127.0.0.1]\n"
        f"models: [{', '.join(models)}]\n"
        f"techniques: [{', '.join(sorted(techniques))}]\n"
        f"max_queries: {max_queries}\n"
        "rps: 100000\n"
    )
    return path
