"""Evidence in a file of its own: JSON Lines, each record chained to the one before by SHA-256 (docs/evidence.md).

For whoever has no access to the store: a red team hands the file over, and ``threatmatrix evidence verify FILE`` says
whether a line was changed, removed or put in between. Lines cut off at the end show only by comparing the head.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

from threatmatrix.model.errors import InputError
from threatmatrix.model.evidence import Evidence
from threatmatrix.store.codec import canonical, evidence_from
from threatmatrix.store.evidence import ChainReport, digest_of

__all__ = ["append_evidence", "verify_file"]

_LONGEST = 4 * 2**20  # bytes of a line: what a record of thousands of outcomes stays below
_HINT = "Name a file that `threatmatrix emulate run` or a replay has written"


def append_evidence(path: Path, item: Evidence) -> Evidence:
    """Chain one record to the file's last and write it; returns it with ``previous`` and ``digest`` filled in.

    Raises InputError where the file cannot be written or does not end in a whole record.
    """
    previous = _last_digest(path)
    chained = dataclasses.replace(evidence_from(canonical(item)), previous=previous)
    chained = dataclasses.replace(chained, digest=digest_of(chained))
    try:
        with path.open("ab") as file:
            file.write(canonical(chained).encode("ascii") + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(path, f"cannot be written ({error.strerror})", hint="Name another folder") from error
    return chained


def _last_digest(path: Path) -> str:
    if not path.exists():
        return ""
    report = verify_file(path)
    if not report.intact:
        raise InputError(path, report.problems[0], hint="Begin a new file: this one is no evidence any more")
    return report.head


def verify_file(path: Path) -> ChainReport:
    """Recompute every digest and link, from the first line on. Raises InputError where the file cannot be read."""
    problems: list[str] = []
    previous, number = "", 0
    try:
        with path.open("rb") as file:
            while line := file.readline(_LONGEST + 1):
                number += 1
                previous = _check(line, number, previous, problems)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", hint=_HINT) from error
    if not number:
        raise InputError(path, "holds no record", hint=_HINT)
    return ChainReport(records=number, head=previous, problems=tuple(problems))


def _check(line: bytes, number: int, previous: str, problems: list[str]) -> str:
    """The digest that the next line has to follow; what is wrong with this one is added to the problems."""
    item = _decoded(line)
    if item is None:
        problems.append(f"line {number} is no record: it is damaged or was cut off")
        return previous
    if digest_of(item) != item.digest:
        problems.append(f"line {number} ({item.evidence_id}) was changed after it was written")
    if item.previous != previous:
        problems.append(f"line {number} ({item.evidence_id}) does not follow the one before it")
    return item.digest


def _decoded(line: bytes) -> Evidence | None:
    if len(line) > _LONGEST or not line.endswith(b"\n"):
        return None
    try:
        text = line.decode("ascii")
        item = evidence_from(text)
        same: bool = json.loads(canonical(item)) == json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None
    return item if same and isinstance(item.digest, str) and isinstance(item.previous, str) else None
