"""Hot rows, episodes and what waits, at rest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import chain

from threatmatrix.detect.engines.counting.cells import keep_cells, keep_tuples, kept_cells, kept_tuples, thawed
from threatmatrix.detect.engines.counting.episodes import Episodes
from threatmatrix.detect.engines.counting.groups import Episode, Group, Step
from threatmatrix.detect.engines.counting.kept import keep_evidence, keep_rows, kept_evidence, kept_rows
from threatmatrix.detect.engines.counting.occurrences import Key, Occurrence
from threatmatrix.detect.state import State, ints, ints_of, names, names_of, runs, runs_of, texts, texts_of

__all__ = ["keep_correlation", "kept_correlation"]

Waiting = list[tuple[int, int, Key, Occurrence]]


def keep_correlation(episodes: Episodes, waiting: Waiting) -> State:
    """Everything that one correlation remembers: little where nothing has come yet, as of most rules."""
    begun = {"clock": episodes.clock.snapshot(), "serial": episodes.serial}
    if not episodes.hot.groups:
        return begun
    groups = list(episodes.hot.groups.values())
    places = {group.key: place for place, group in enumerate(groups)}
    hot = [entry for entry in sorted(waiting) if entry[2] in places and groups[places[entry[2]]].holds(entry[3])]
    return {
        **begun,
        "groups": _keep_groups(groups),
        "episodes": _keep_episodes(groups),
        "order": list(episodes.open),
        "waiting": {
            "due": ints([due for due, _, _, _ in hot]),
            "serial": ints([serial for _, serial, _, _ in hot]),
            "group": ints([places[key] for _, _, key, _ in hot]),
        },
    }


def kept_correlation(episodes: Episodes, state: State) -> Waiting:
    """Fill ``episodes`` with the state of :func:`keep_correlation`; what waits."""
    episodes.clock.restore(state["clock"])
    episodes.serial = int(state["serial"])
    empty = "groups" not in state
    groups = [] if empty else _kept_groups(state["groups"])
    found: dict[str, tuple[Group, Episode]] = {}
    for group, several in zip(groups, [] if empty else _kept_episodes(state["episodes"]), strict=True):
        group.episodes = several
        found.update((episode.finding_id, (group, episode)) for episode in several)
    episodes.hot.groups = OrderedDict((group.key, group) for group in groups)
    episodes.hot.count = sum(len(group.rows) for group in groups)
    episodes.open = OrderedDict((finding_id, found[finding_id]) for finding_id in state.get("order", ()))
    episodes.grown = {}
    episodes.fired.clear()
    return [] if empty else _kept_waiting(groups, state["waiting"])


def _kept_waiting(groups: Sequence[Group], state: State) -> Waiting:
    rows: dict[int, dict[int, Occurrence]] = {}
    waiting = []
    for due, serial, place in zip(*(ints_of(state[name]) for name in ("due", "serial", "group")), strict=True):
        group = groups[place]
        of_group = rows.setdefault(place, {one.serial: one for one in group.rows})
        waiting.append((due, serial, group.key, of_group[serial]))
    return waiting


def _keep_groups(groups: Sequence[Group]) -> State:
    """The hot rows of all groups, in the order of arrival within each."""
    arrived = [group.arrived[group.gone :] for group in groups]
    ones = [one for _, one in chain.from_iterable(arrived)]
    loose = {one.serial for group in groups for one in group.loose}
    return {
        "keys": [list(group.key) for group in groups],
        "touched": ints([group.touched for group in groups]),
        "runs": runs(arrived),
        "stamps": ints([stamp for stamp, _ in chain.from_iterable(arrived)]),
        "loose": ints([one.serial in loose for one in ones]),
        "rows": keep_rows([one.row for one in ones]),
        "serials": ints([one.serial for one in ones]),
        "slots": names([f"{one.slots:x}" for one in ones]),
        "values": _keep_values([one.values for one in ones]),
    }


def _kept_groups(state: State) -> list[Group]:
    """The groups again, without their episodes."""
    ones = map(
        Occurrence._make,
        zip(
            kept_rows(state["rows"]),
            ints_of(state["serials"]),
            [int(slots, 16) for slots in names_of(state["slots"])],
            _kept_values(state["values"]),
            strict=True,
        ),
    )
    parts = list(zip(ints_of(state["stamps"]), ones, map(bool, ints_of(state["loose"])), strict=True))
    return [
        Group(
            key=tuple(map(thawed, key)),
            touched=touched,
            rows=sorted(one for _, one, _ in arrived),
            loose=sorted(one for _, one, loose in arrived if loose),
            arrived=[(stamp, one) for stamp, one, _ in arrived],
        )
        for key, touched, arrived in zip(
            state["keys"], ints_of(state["touched"]), runs_of(state["runs"], parts), strict=True
        )
    ]


def _keep_values(values: Sequence[tuple[object, ...]]) -> State:
    """Numbers as they are; combinations of values as columns."""
    if not any(values):
        return {"none": len(values)}
    flat = list(chain.from_iterable(values))
    combined = [value for value in flat if isinstance(value, tuple)]
    cells = keep_tuples(combined) if combined else keep_cells(flat)
    return {"runs": runs(values), "combined": bool(combined), "cells": cells}


def _kept_values(state: State) -> list[tuple[object, ...]]:
    if "none" in state:
        return [()] * int(state["none"])
    flat = kept_tuples(state["cells"]) if state["combined"] else kept_cells(state["cells"])
    return [tuple(run) for run in runs_of(state["runs"], flat)]


def _keep_episodes(groups: Sequence[Group]) -> State:
    """The episodes of all groups, in their order."""
    episodes = [episode for group in groups for episode in group.episodes]
    steps = list(chain.from_iterable(episode.steps for episode in episodes))
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
        "figure": keep_cells([episode.figure for episode in episodes]),
        "steps": runs([episode.steps for episode in episodes]),
        "step_slots": ints([step.slot for step in steps]),
        "step_rows": keep_rows([step.row for step in steps]),
    }


def _kept_episodes(state: State) -> list[list[Episode]]:
    """The episodes again, for each group."""
    steps = list(map(Step._make, zip(ints_of(state["step_slots"]), kept_rows(state["step_rows"]), strict=True)))
    parts = zip(
        texts_of(state["finding_id"]),
        *(ints_of(state[name]) for name in ("started", "fired", "last", "touched")),
        kept_rows(state["opened"]),
        kept_rows(state["alarm"]),
        kept_evidence(state["evidence"]),
        kept_cells(state["figure"]),
        map(tuple, runs_of(state["steps"], steps)),
        strict=True,
    )
    return runs_of(state["runs"], [Episode(*part) for part in parts])
