"""Keeping track of what a monitor cannot see, so that blind is never shown as clean."""

from __future__ import annotations

from collections.abc import Mapping

from threatmatrix.detect.monitors.vectors import Space
from threatmatrix.detect.state import State
from threatmatrix.model.detection import NoVisibility
from threatmatrix.model.event import Event

__all__ = ["Sight"]

_MAX_NAMED = 100  # models or projections kept by name; hostile telemetry can invent any number


class Sight:
    """Counts, for one monitor, the inference events of each model and how many were usable."""

    def __init__(self, monitor: str, title: str, technique: str, needs: tuple[str, ...]) -> None:
        self._who = (f"monitor:{monitor}", title, technique)
        self._needs = needs
        self._unseen = set(needs)
        self._models: dict[str, list[int]] = {}  # model -> [inference events, with a usable vector]
        self._lacking: dict[str, set[str]] = {}  # model -> fields that some event lacked
        self._uncalibrated: dict[tuple[str, str], int] = {}

    def saw(self, event: Event, space: Space | None, *, calibrated: bool) -> None:
        """Note one inference event, with the space of its vector if it has one."""
        if self._unseen:
            self._unseen = {name for name in self._unseen if not getattr(event, name)}
        model = event.model or "(unnamed)"
        counts = self._models.get(model)
        if counts is None:
            if len(self._models) >= _MAX_NAMED:
                return
            counts = self._models[model] = [0, 0]
        counts[0] += 1
        if space is None:
            self._lacking.setdefault(model, set()).update(name for name in self._needs if not getattr(event, name))
            return
        counts[1] += 1
        if not calibrated:
            key = (space.model, space.vec_key)
            if key in self._uncalibrated or len(self._uncalibrated) < _MAX_NAMED:
                self._uncalibrated[key] = self._uncalibrated.get(key, 0) + 1

    def report(self, seen_fields: Mapping[str, set[str]] | None) -> list[NoVisibility]:
        """One entry for fields nobody gives, else one for each blind model; and the uncalibrated ones."""
        seen = set(self._needs) - self._unseen if seen_fields is None else seen_fields.get("inference", set())
        missing = tuple(name for name in self._needs if name not in seen)
        if missing:
            return [self._blind(missing, f"no visibility: needs {', '.join(missing)}")]
        blind = [
            self._blind(lacks, f"no visibility: needs {', '.join(lacks)} for model {model} (none of {n} inputs usable)")
            for model, (n, usable) in self._models.items()
            if not usable
            for lacks in (self._lacks(model),)
        ]
        return blind + [
            self._blind(
                ("calibration",),
                f"no visibility: needs calibration for model {model}, projection {key} ({n} inputs unseen); "
                "run: threatmatrix calibrate --reference FILE",
            )
            for (model, key), n in self._uncalibrated.items()
        ]

    def snapshot(self) -> State:
        """Everything that was counted."""
        return {
            "unseen": sorted(self._unseen),
            "models": [[model, *counts] for model, counts in self._models.items()],
            "lacking": [[model, sorted(names)] for model, names in self._lacking.items()],
            "uncalibrated": [[*key, count] for key, count in self._uncalibrated.items()],
        }

    def restore(self, state: State) -> None:
        """Go on from :meth:`snapshot`."""
        self._unseen = set(state["unseen"])
        self._models = {model: [events, usable] for model, events, usable in state["models"]}
        self._lacking = {model: set(names) for model, names in state["lacking"]}
        self._uncalibrated = {(model, key): count for model, key, count in state["uncalibrated"]}

    def _lacks(self, model: str) -> tuple[str, ...]:
        lacking = self._lacking.get(model, set())
        return tuple(name for name in self._needs if name in lacking) or ("input_vec",)

    def _blind(self, needs: tuple[str, ...], reason: str) -> NoVisibility:
        detector, title, technique = self._who
        return NoVisibility(detector, title, technique, needs, reason)
