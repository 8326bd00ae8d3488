"""The only database: findings, incidents, ledger, policy, evidence. ``open_store`` is the way in."""

from __future__ import annotations

from threatmatrix.store.opening import Store, open_store

__all__ = ["Store", "open_store"]
