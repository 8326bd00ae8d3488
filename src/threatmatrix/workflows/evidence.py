"""Whether the record of what was proved holds: the store's, or a file that somebody handed over."""

from __future__ import annotations

from pathlib import Path

from threatmatrix.store.evidence import ChainReport
from threatmatrix.store.evidence_file import verify_file
from threatmatrix.workflows.home import Home

__all__ = ["verify_evidence"]


def verify_evidence(home: Home, file: Path | None = None) -> ChainReport:
    """Recompute every digest and link. Raises InputError for a file that cannot be read, StoreError."""
    if file is not None:
        return verify_file(file)
    with home.open_store() as store:
        return store.evidence.verify()
