"""What a cluster alarm says to a person, and how sure it is."""

from __future__ import annotations

from threatmatrix.model.detection import Calibration, PrincipalShare

__all__ = ["confidence", "describe", "duration", "sentence"]


def duration(microseconds: int) -> str:
    """A span of time in its two largest units: ``2 min 10 s``, ``3 h 5 min``, ``40 ms``."""
    ms = microseconds // 1000
    if ms < 1000:
        return f"{ms} ms"
    seconds = ms // 1000
    for size, name, small, part in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = seconds % size // small
            return f"{seconds // size} {name} {rest} {part}" if rest else f"{seconds // size} {name}"
    return f"{seconds} s"


def sentence(size: int, model: str, span: int, *, accounts: int, top: PrincipalShare) -> str:
    """The explanation of a cluster of ``size`` inputs that came within ``span`` µs; ``top`` sent the most."""
    who = (
        f"account {top.principal}" if accounts == 1 else f"{accounts:,} accounts ({top.share:.0%} from {top.principal})"
    )
    return (
        f"{size:,} near-identical but non-identical inputs to model {model} within {duration(span)} from {who}; "
        "an honest user does not do that, save a fixed camera or repeated scans of one page; "
        "it is how a query-based evasion attack looks."
    )


def confidence(size: int, alarm_at: int, distinct: int) -> float:
    """``(1 − 2^(−2·size/alarm_at)) · distinct/(distinct + 100)``, in 0..1: a rank, not a probability.

    The first factor is .75 at the alarm size and .99 at 3.3 times it; the second discounts a threshold
    learnt from few inputs (50: .33, 600: .86, 10,000: .99).
    """
    return float((1.0 - 2.0 ** (-2.0 * size / alarm_at)) * distinct / (distinct + 100.0))


def describe(calibration: Calibration) -> str:
    """One sentence on a calibration: the threshold, its quantile, and how many inputs carry it."""
    text = (
        f"{calibration.monitor} for model {calibration.model} (projection {calibration.vec_key}): threshold "
        f"{calibration.threshold:.4g} input units, the {calibration.quantile:.3%} quantile of nearest-neighbour "
        f"distances of {calibration.distinct:,} distinct inputs ({calibration.inputs:,} read)"
    )
    if calibration.distinct * calibration.quantile < 1:
        need = round(1 / calibration.quantile) if calibration.quantile > 0 else 0
        text += "; so few inputs that it is just their smallest distance"
        text += f" (from {need:,} on it is a real quantile)" if need else ""
    return text + "."
