"""Every attack of the registry keeps what the registry promises, and every procedure is honest about what it needs."""

from __future__ import annotations

import sys
from dataclasses import fields, is_dataclass
from types import ModuleType

import pytest

from threatmatrix.emulate.attacks import FAMILIES, AttackKind, attack_kind, attack_kinds
from threatmatrix.emulate.params import parse_params
from threatmatrix.knowledge import load_library
from threatmatrix.model.errors import FormatError
from threatmatrix.model.procedure import Procedure

KINDS = list(attack_kinds())
PROCEDURES = load_library().procedures()
POWER = ("none", "label", "score", "feedback", "file", "train")
"""Access, from the least to the most."""
PLAIN = (bool, int, float, str, tuple)
HEADINGS = ("Source:", "Access:", "Cost:", "Result")


def module_of(kind: AttackKind) -> ModuleType:
    return sys.modules[(kind.attack or kind.whole).__module__]


def test_every_attack_has_a_name_of_its_own() -> None:
    names = [kind.use for kind in KINDS]
    assert len(names) == len(set(names))
    assert {kind.family for kind in KINDS} == set(FAMILIES)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.use)
class TestAttack:
    def test_it_runs_with_the_parameters_that_it_has_by_default(self, kind: AttackKind) -> None:
        assert is_dataclass(kind.params)
        params = parse_params(kind.params, {})
        values = [getattr(params, field.name) for field in fields(kind.params)]
        assert all(isinstance(value, PLAIN) for value in values)
        with pytest.raises(FormatError):
            parse_params(kind.params, {"no_such_parameter": 1})

    def test_its_parameters_say_what_they_are(self, kind: AttackKind) -> None:
        said = kind.params.__doc__ or ""
        assert said
        assert not said.startswith(f"{kind.params.__name__}(")

    def test_its_module_names_source_access_cost_and_result(self, kind: AttackKind) -> None:
        said = (module_of(kind).__doc__ or "").replace("result", "Result")
        assert [heading for heading in HEADINGS if heading not in said] == []

    def test_it_lies_in_its_family(self, kind: AttackKind) -> None:
        assert module_of(kind).__name__.startswith(f"threatmatrix.emulate.attacks.{kind.family}.")
        assert "" not in (kind.title, kind.cost, kind.source)


@pytest.mark.parametrize("procedure", PROCEDURES, ids=lambda procedure: procedure.id)
def test_no_step_needs_more_than_the_procedure_says(procedure: Procedure) -> None:
    """A file may also be one that an earlier step made: a copy of the target is the attacker's own."""
    copied = False
    for step in procedure.steps:
        kind = attack_kind(step.use)
        enough = POWER.index(kind.access) <= POWER.index(procedure.access)
        assert enough or (kind.access == "file" and copied), f"{step.use} needs {kind.access}"
        copied = copied or kind.family == "extraction"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.use != "random_control"], ids=lambda kind: kind.use)
def test_a_procedure_of_the_library_uses_it(kind: AttackKind) -> None:
    assert any(step.use == kind.use for procedure in PROCEDURES for step in procedure.steps)
