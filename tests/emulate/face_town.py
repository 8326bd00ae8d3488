"""The two small services on faces that the tests attack, each built once."""

from __future__ import annotations

from functools import cache

from threatmatrix.emulate.reference import build_reference
from threatmatrix.emulate.reference.base import Reference

__all__ = ["ENROLLED", "SMALL", "small_service"]

ENROLLED = 16
SMALL = {"enrolled": ENROLLED, "background": 16, "photographs": 8, "public": 8, "wearers": 2}


@cache
def small_service(service: str) -> Reference:
    """One of the services, from seed 11."""
    return build_reference("faces", 11, service=service, **SMALL)
