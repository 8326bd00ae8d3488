"""Keys in the terminal: ids, ages and states, never a secret."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from threatmatrix.cli.printing import out, plain_json, safe, table, warn, when

if TYPE_CHECKING:
    from threatmatrix.workflows.keys import KeyStatus

__all__ = ["show_keys"]

_DAY = 86_400_000_000  # µs


def show_keys(found: KeyStatus, *, as_json: bool) -> None:
    """The keys, the current one first, and which were removed."""
    if as_json:
        plain_json(asdict(found))
        return
    if not found.keys:
        out().print("No key yet; the first is made when the first input is fingerprinted.")
        return
    made = table("Keys", "!key", "!made", ">days", "!state", "!counts until")
    for key in found.keys:
        until = "" if key.until is None else when(key.until)
        made.add_row(safe(key.id), when(key.created) if key.created else "?", str(key.age // _DAY), key.state, until)
    out().print(made)
    if found.pruned:
        warn(f"removed: key {', '.join(found.pruned)}; what was fingerprinted under it can no longer be linked")
    if any(key.state == "overlapping" for key in found.keys):
        warn("next: `threatmatrix calibrate` for the new key before the overlap ends")
