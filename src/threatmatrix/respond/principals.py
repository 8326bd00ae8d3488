"""Who did it: the principals of several findings merged into one ranking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from threatmatrix.model.detection import Finding, PrincipalShare

__all__ = ["counted_once", "floor_principals", "merge_principals"]


def counted_once(findings: Iterable[Finding]) -> list[Finding]:
    """Without findings that another one took in: what they saw is counted there."""
    everything = list(findings)
    return [finding for finding in everything if not finding.details.get("merged_into")] or everything


def merge_principals(findings: Iterable[Finding]) -> tuple[PrincipalShare, ...]:
    """Principals by their share of the non-identical probes, largest first.

    Monitors count non-identical probes, rules count log lines: the two do not add up. So shares are
    taken over the monitors' probes (added within a monitor, the largest where several monitors saw
    the same principal); a principal that only rules saw is listed with its lines and a share of 0
    beside them. Without any monitor's word, shares are over the rules' lines (the largest count per
    principal, because rules overlap). A finding that was merged into another does not count again.
    """
    by_monitor: dict[str, Counter[str]] = {}
    lines: dict[str, int] = {}
    for finding in counted_once(findings):
        for share in finding.principals:
            if finding.detector.startswith("monitor:"):
                by_monitor.setdefault(finding.detector, Counter())[share.principal] += share.probes
            else:
                lines[share.principal] = max(lines.get(share.principal, 0), share.probes)
    probes: dict[str, int] = {}
    for counted in by_monitor.values():
        for principal, count in counted.items():
            probes[principal] = max(probes.get(principal, 0), count)
    if not probes:
        return _shares(lines)
    rest = [PrincipalShare(name, count, 0.0) for name, count in lines.items() if name not in probes]
    return _shares(probes) + tuple(sorted(rest, key=lambda share: (-share.probes, share.principal)))


def floor_principals(
    now: Sequence[PrincipalShare], before: Iterable[Sequence[PrincipalShare]]
) -> tuple[PrincipalShare, ...]:
    """``now``, with nobody counted below what was said before (for findings that are not at hand)."""
    measured: dict[str, int] = {}
    only_rules: dict[str, int] = {}
    for share in [*now, *(share for shares in before for share in shares)]:
        counts = measured if share.share > 0 else only_rules
        counts[share.principal] = max(counts.get(share.principal, 0), share.probes)
    rest = [PrincipalShare(name, count, 0.0) for name, count in only_rules.items() if name not in measured]
    return _shares(measured) + tuple(sorted(rest, key=lambda share: (-share.probes, share.principal)))


def _shares(counts: dict[str, int]) -> tuple[PrincipalShare, ...]:
    total = sum(counts.values())
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(PrincipalShare(name, count, count / total if total else 0.0) for name, count in ranked)
