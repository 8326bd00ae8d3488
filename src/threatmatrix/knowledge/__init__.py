"""The matrix: loads ``library/`` and a user's overlay, systems.yaml and scope.yaml; draws coverage."""

from __future__ import annotations

from threatmatrix.knowledge.library import Library
from threatmatrix.knowledge.load import LIBRARY, load_library
from threatmatrix.knowledge.scopes import load_scope, scope_template
from threatmatrix.knowledge.systems import load_systems, systems_template

__all__ = [
    "LIBRARY",
    "Library",
    "load_library",
    "load_scope",
    "load_systems",
    "scope_template",
    "systems_template",
]
