"""Attack a target within a scope, measure beside chance, clean up, keep the evidence."""

from __future__ import annotations

from threatmatrix.workflows.emulation.clean_up import clean_up
from threatmatrix.workflows.emulation.place import EmulationState, emulations, find
from threatmatrix.workflows.emulation.report import EmulationReport
from threatmatrix.workflows.emulation.request import Prepared, Request, prepare, reference_params
from threatmatrix.workflows.emulation.run import emulate
from threatmatrix.workflows.emulation.serve import served

__all__ = [
    "EmulationReport",
    "EmulationState",
    "Prepared",
    "Request",
    "clean_up",
    "emulate",
    "emulations",
    "find",
    "prepare",
    "reference_params",
    "served",
]
