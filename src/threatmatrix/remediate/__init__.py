"""Compares attack results: did a control help, and by how much at least?"""

from __future__ import annotations

from threatmatrix.remediate.compare import compare, helped, rate, wilson

__all__ = ["compare", "helped", "rate", "wilson"]
