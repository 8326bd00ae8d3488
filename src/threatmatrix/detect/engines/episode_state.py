"""Hot rows and episodes at rest."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from threatmatrix.detect.engines.groups import Episode, Group
from threatmatrix.detect.engines.kept import keep_evidence, keep_rows, kept_evidence, kept_rows
from threatmatrix.detect.state import State, ints, ints_of, runs, runs_of, texts, texts_of

__all__ = ["keep_episodes", "keep_groups", "kept_episodes", "kept_groups"]


def keep_groups(groups: Sequence[Group]) -> State:
    """The hot rows of all groups, in the order of arrival within each."""
    arrived = [group.arrived[group.gone :] for group in groups]
    rows = list(chain.from_iterable(arrived))
    loose = {id(row) for group in groups for row in group.loose}
    return {
        "keys": [list(group.key) for group in groups],
        "touched": ints([group.touched for group in groups]),
        "runs": runs(arrived),
        "stamps": ints([stamp for stamp, _ in rows]),
        "loose": ints([id(row) in loose for _, row in rows]),
        "rows": keep_rows([row for _, row in rows]),
    }


def kept_groups(state: State) -> list[Group]:
    """The groups again, without their episodes."""
    parts = list(
        zip(ints_of(state["stamps"]), kept_rows(state["rows"]), map(bool, ints_of(state["loose"])), strict=True)
    )
    return [
        Group(
            key=tuple(map(_part, key)),
            touched=touched,
            rows=sorted(row for _, row, _ in arrived),
            loose=sorted(row for _, row, loose in arrived if loose),
            arrived=[(stamp, row) for stamp, row, _ in arrived],
        )
        for key, touched, arrived in zip(
            state["keys"], ints_of(state["touched"]), runs_of(state["runs"], parts), strict=True
        )
    ]


def keep_episodes(groups: Sequence[Group]) -> State:
    """The episodes of all groups, in their order."""
    episodes = [episode for group in groups for episode in group.episodes]
    return {
        "runs": runs([group.episodes for group in groups]),
        "finding_id": texts([episode.finding_id for episode in episodes]),
        "started": ints([episode.started for episode in episodes]),
        "fired": ints([episode.fired for episode in episodes]),
        "last": ints([episode.last for episode in episodes]),
        "touched": ints([episode.touched for episode in episodes]),
        "opened": keep_rows([episode.opened for episode in episodes]),
        "alarm": keep_rows([episode.alarm for episode in episodes]),
        "evidence": keep_evidence([episode.evidence for episode in episodes]),
    }


def kept_episodes(state: State) -> list[list[Episode]]:
    """The episodes again, for each group."""
    parts = zip(
        texts_of(state["finding_id"]),
        *(ints_of(state[name]) for name in ("started", "fired", "last", "touched")),
        kept_rows(state["opened"]),
        kept_rows(state["alarm"]),
        kept_evidence(state["evidence"]),
        strict=True,
    )
    return runs_of(state["runs"], [Episode(*part) for part in parts])


def _part(part: Any) -> Any:
    return tuple(part) if isinstance(part, list) else part  # JSON has no tuples: output_scores may be grouped by
