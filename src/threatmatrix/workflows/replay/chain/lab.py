"""What the replay of a chain works with: the reference target, the accounts, a workspace; all derived from the seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from threatmatrix.emulate.ledger import QueryLedger
from threatmatrix.emulate.reference import build_reference
from threatmatrix.emulate.reference.base import Reference, TaughtModel
from threatmatrix.emulate.stage import Samples
from threatmatrix.emulate.targets.form import form_of
from threatmatrix.model.errors import FormatError
from threatmatrix.model.matrix import CaseStudy
from threatmatrix.model.procedure import ReplaySpec
from threatmatrix.model.system import Scope
from threatmatrix.workflows.reference_server import Host
from threatmatrix.workflows.replay.accounts import Accounts

__all__ = ["DEFAULTS", "START", "ChainLab", "build_lab", "settings_of"]

START = 1_767_600_000_000_000  # 2026-01-05 08:00:00 UTC, a Monday: event time is injected, so that a replay repeats

DEFAULTS: Mapping[str, Any] = {
    "honest_clients": 12,  # accounts that use the target all the while
    "honest_pace": 4,  # stretches the gaps between their visits
    "attack_gap": 0.1,  # mean seconds between two requests of the attacker, beyond 0.2
    "step_gap": 120,  # seconds of honest traffic between two steps of the case
    "warm_up_seconds": 600,  # honest traffic before the attacker comes
    "tick_events": 80,  # rows between two rounds of detect, respond, enforce
    "adaptive_accounts": 20,  # accounts of an attacker who knows of the response
    "attacker_accounts": 1,  # accounts that he has in the case itself
    "furnishing": "service",  # of the artefact store, where the case has one
}
"""Parameters of every chain; a case's replay.yaml may set others, and ``reference_…`` those of its target."""

_REFERENCE = "reference_"
_WEIGHTS = "model.npz"


def settings_of(spec: ReplaySpec, *, small: bool) -> dict[str, Any]:
    """The parameters in force: the defaults, the case's own, those of the tests' profile. Raises FormatError."""
    given = {**spec.params, **(spec.small if small else {})}
    for name in given:
        if name not in DEFAULTS and name != "samples" and not name.startswith(_REFERENCE):
            raise FormatError("replay.yaml", "no such parameter", key=f"params.{name}", choices=DEFAULTS)
    return {**DEFAULTS, **given}


@dataclass(frozen=True, slots=True)
class ChainLab:
    """The fixed parts of one replay. ``ledger``: the scope's hard limit, shared by every client of the attacker.

    ``host``: the process that serves the target in every scene.
    """

    case: CaseStudy
    spec: ReplaySpec
    seed: int
    settings: Mapping[str, Any]
    workspace: Path
    scope: Scope
    ledger: QueryLedger
    accounts: Accounts = field(repr=False)
    host: Host = field(repr=False)
    reference: Reference = field(repr=False)
    samples: Samples = field(repr=False)
    gives_text: bool = False

    def number(self, name: str) -> float:
        """A number among the parameters."""
        return float(self.settings[name])

    @property
    def reference_params(self) -> dict[str, Any]:
        """What the target is built with."""
        return {
            name.removeprefix(_REFERENCE): value for name, value in self.settings.items() if name.startswith(_REFERENCE)
        }

    @property
    def app(self) -> dict[str, Any]:
        """What is served in every scene: the model by its weights where a store keeps them, else built once more."""
        if self.spec.store:
            return {"weights": str(self.workspace / _WEIGHTS)}
        return {"reference": self.spec.target, "seed": self.seed, "params": self.reference_params}

    @property
    def learns(self) -> bool:
        """Whether an attack leaves the target changed, so that the control needs a fresh one."""
        return self.spec.store or isinstance(self.reference.model, TaughtModel)


def build_lab(
    case: CaseStudy, workspace: Path, scope: Scope, host: Host, *, seed: int, samples: int, small: bool = False
) -> ChainLab:
    """Build the target from its seed, here and at the ``host``, and choose what is attacked.

    Raises MissingExtraError, FormatError for a parameter that does not exist.
    """
    spec = case.replay
    assert spec is not None
    settings = settings_of(spec, small=small)
    lab = ChainLab(
        case=case,
        spec=spec,
        seed=seed,
        settings=settings,
        workspace=workspace,
        scope=scope,
        ledger=QueryLedger(scope.max_queries),
        accounts=Accounts.of(seed),
        host=host,
        reference=None,  # type: ignore[arg-type]
        samples=None,  # type: ignore[arg-type]
    )
    if not spec.store:
        host.order(build=lab.app)  # meanwhile, beside this process
    reference = build_reference(spec.target, seed, **lab.reference_params)
    if spec.store:
        assert reference.weights is not None, "an artefact store keeps the weights of what is served"
        reference.weights.save(workspace / _WEIGHTS)
    attacked = _first(reference.attacker, samples)
    return replace(lab, reference=reference, samples=attacked, gives_text=form_of(reference).gives_text)


def _first(samples: Samples, n: int) -> Samples:
    return Samples(samples.x[:n], samples.y[:n])
