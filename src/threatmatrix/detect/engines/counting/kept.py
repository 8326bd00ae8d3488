"""Rows and evidence at rest: as columns, so that a snapshot of many is small and quick."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain

from threatmatrix.detect.engines.counting.evidence import Evidence, Row
from threatmatrix.detect.state import State, ints, ints_of, names, names_of, runs, runs_of, texts, texts_of

__all__ = ["keep_evidence", "keep_rows", "kept_evidence", "kept_rows"]


def keep_rows(rows: Sequence[Row]) -> State:
    """Rows, in their order."""
    return {
        "time": ints([row.time for row in rows]),
        "row": ints([row.row for row in rows]),
        "event_id": texts([row.event_id for row in rows]),
        "principal": names([row.principal for row in rows]),
        "system": names([row.system for row in rows]),
        "model": names([row.model for row in rows]),
    }


def kept_rows(state: State) -> list[Row]:
    """The rows of :func:`keep_rows`."""
    return list(
        map(
            Row._make,
            zip(
                ints_of(state["time"]),
                ints_of(state["row"]),
                texts_of(state["event_id"]),
                names_of(state["principal"]),
                names_of(state["system"]),
                names_of(state["model"]),
                strict=True,
            ),
        )
    )


def keep_evidence(all_of_it: Sequence[Evidence]) -> State:
    """Settled evidence, in its order."""
    for evidence in all_of_it:
        evidence.settle()
    return {
        "count": ints([evidence.count for evidence in all_of_it]),
        "first": keep_rows([evidence.first for evidence in all_of_it]),
        "last": keep_rows([evidence.last for evidence in all_of_it]),
        "newest": keep_rows(list(chain.from_iterable(evidence.newest for evidence in all_of_it))),
        "newest_runs": runs([evidence.newest for evidence in all_of_it]),
        "principals": _keep_counts([evidence.principals for evidence in all_of_it]),
        "models": _keep_counts([evidence.models for evidence in all_of_it]),
    }


def kept_evidence(state: State) -> list[Evidence]:
    """The evidence of :func:`keep_evidence`."""
    parts = zip(
        kept_rows(state["first"]),
        kept_rows(state["last"]),
        ints_of(state["count"]),
        runs_of(state["newest_runs"], kept_rows(state["newest"])),
        _kept_counts(state["principals"]),
        _kept_counts(state["models"]),
        strict=True,
    )
    return [Evidence(*part) for part in parts]


def _keep_counts(counters: Sequence[Counter[str]]) -> State:
    return {
        "runs": ints([len(counter) for counter in counters]),
        "name": names(list(chain.from_iterable(counters))),
        "count": ints(list(chain.from_iterable(counter.values() for counter in counters))),
    }


def _kept_counts(state: State) -> list[Counter[str]]:
    pairs = list(zip(names_of(state["name"]), ints_of(state["count"]), strict=True))
    return [Counter(dict(part)) for part in runs_of(state["runs"], pairs)]
