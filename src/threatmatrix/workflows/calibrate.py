"""Learn the monitors' thresholds from reference traffic, and keep them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Literal, get_type_hints

from threatmatrix.detect.calibrate import calibrate as learn
from threatmatrix.knowledge import Library
from threatmatrix.model.detection import Calibration
from threatmatrix.model.errors import FormatError, InputError, UnknownNameError
from threatmatrix.model.event import Event
from threatmatrix.model.system import System
from threatmatrix.telemetry.readers import NOTHING_ASKED, Options
from threatmatrix.telemetry.reading import read_events
from threatmatrix.telemetry.systems import Resolver

__all__ = ["calibrate", "load_calibrations", "save_calibrations"]

_MEND = "Remove it and calibrate again"


def calibrate(
    files: Sequence[Path | Literal["-"]],
    *,
    library: Library,
    now: int,
    source: str = "auto",
    systems: Sequence[System] = (),
    model: str | None = None,
    options: Options = NOTHING_ASKED,
    on_progress: Callable[[int], None] | None = None,
) -> list[Calibration]:
    """Thresholds for every model in the reference traffic, for every quantile that the library asks for.

    ``now`` (µs) is written into the result. ``options`` with the home's keys: sources that log inputs themselves are
    fingerprinted as ``watch`` will do it; while two keys overlap, thresholds are learnt for the new one.

    Raises InputError for an unreadable file, UnknownNameError for a ``model`` that it does not have, UsageError where
    the traffic holds too few distinct inputs or none that a monitor can compare.
    """
    quantiles = {
        (spec.use, spec.params["quantile"])
        for technique in library.techniques.values()
        for spec in technique.monitors
        if "quantile" in spec.params
    }
    resolver = Resolver(systems)
    events: list[Event] = []
    for batch in read_events(files, source=source, options=options):
        events.extend(map(resolver.resolve, batch))
        if on_progress:
            on_progress(len(events))
    if model is not None and model not in (seen := {event.model for event in events}):
        raise UnknownNameError("model in the reference traffic", model, sorted(filter(None, seen)))
    return [
        found
        for monitor, quantile in sorted(quantiles)
        for found in learn(events, quantile, monitor, created=now, models=None if model is None else [model])
    ]


def save_calibrations(path: Path, new: Sequence[Calibration]) -> None:
    """Add to the file, replacing what was learnt before for the same monitor, model, projection and quantile.

    Raises InputError where it cannot be written, FormatError where another file stands there.
    """
    kept = {_key(old): old for old in load_calibrations(path)}
    kept.update({_key(each): each for each in new})
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps([asdict(each) for each in kept.values()], indent=2) + "\n")
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise InputError(path, f"cannot be written ({error.strerror})", hint="Name another --output") from error


def load_calibrations(path: Path, *, must_exist: bool = False) -> list[Calibration]:
    """Read what :func:`save_calibrations` wrote; no file is an empty list unless it ``must_exist``.

    Raises FormatError, InputError.
    """
    try:
        text = path.read_text()
    except (FileNotFoundError, NotADirectoryError):
        if must_exist:
            hint = "Make it with: threatmatrix calibrate --reference FILE --output FILE"
            raise InputError(path, "no such file", hint=hint) from None
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"cannot be read ({error})", hint=_MEND) from error
    try:
        return [_read(entry) for entry in json.loads(text)]
    except (ValueError, TypeError, RecursionError) as error:
        raise FormatError(path, f"is no calibration file ({error})", hint=_MEND) from error


def _read(entry: object) -> Calibration:
    if not isinstance(entry, dict):
        raise TypeError("an entry is not an object")
    found = Calibration(**entry)
    for name, kind in get_type_hints(Calibration).items():
        value = getattr(found, name)
        if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else kind):
            raise TypeError(f"{name}: {value!r} is not of type {kind.__name__}")
    if not (math.isfinite(found.threshold) and found.threshold > 0):
        raise ValueError(f"threshold: {found.threshold!r} is not above 0")
    return found


def _key(calibration: Calibration) -> tuple[str, str, str, float]:
    return calibration.monitor, calibration.model, calibration.vec_key, calibration.quantile
