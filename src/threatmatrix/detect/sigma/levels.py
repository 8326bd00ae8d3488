"""What a rule's level means for its findings: the one place to change it (docs/rules.md has the table).

A rule says nothing about its own precision. Until it is measured on a site's own traffic, its author's level is the
best estimate there is: a rule of level high is meant to need a look each time it fires.
"""

from __future__ import annotations

from types import MappingProxyType

from threatmatrix.model.detection import Severity

__all__ = ["CONFIDENCE", "confidence_of", "severity_of"]

CONFIDENCE: MappingProxyType[Severity, float] = MappingProxyType(
    {
        Severity.informational: 0.1,
        Severity.low: 0.3,
        Severity.medium: 0.5,
        Severity.high: 0.7,
        Severity.critical: 0.9,
    }
)


def severity_of(level: str) -> Severity:
    """Sigma's level as a severity; a rule without a level is ``medium``."""
    return Severity[level] if level else Severity.medium


def confidence_of(level: str) -> float:
    """The confidence (0..1) of a finding of a rule of this level."""
    return CONFIDENCE[severity_of(level)]
