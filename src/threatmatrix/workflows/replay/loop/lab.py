"""What one replay works with: data, models, keys, a workspace; all derived from the seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from threatmatrix.emulate.ledger import QueryLedger
from threatmatrix.emulate.reference.digits import DigitSplits, load_splits, train_base, train_product
from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.model.procedure import ReplaySpec
from threatmatrix.model.system import Scope
from threatmatrix.workflows.replay.accounts import Accounts

__all__ = ["Lab", "build_lab"]

START = 1_767_600_000_000_000  # 2026-01-05 08:00:00 UTC, a Monday: event time is injected, so that a replay repeats


@dataclass(frozen=True, slots=True)
class Lab:
    """The fixed parts of one replay. ``ledger`` is the scope's hard limit, shared by every client of the attacker."""

    seed: int
    spec: ReplaySpec
    workspace: Path
    splits: DigitSplits
    base: MLP
    product: MLP
    accounts: Accounts
    scope: Scope
    ledger: QueryLedger
    correlation: str

    @property
    def weights(self) -> Path:
        return self.workspace / "product.npz"

    def with_share(self, queries: int) -> Lab:
        """The same lab for another process, with a part of the scope's limit of its own."""
        self.ledger.take(queries)
        return replace(self, ledger=QueryLedger(queries))

    def number(self, name: str) -> float:
        """A number of the case's replay.yaml."""
        return float(self.spec.params[name])


def build_lab(spec: ReplaySpec, workspace: Path, scope: Scope, *, seed: int) -> Lab:
    """Cut the data, train both models and write the product's weights. Raises MissingExtraError."""
    splits = load_splits(seed)
    accounts = Accounts.of(seed)
    lab = Lab(
        seed=seed,
        spec=spec,
        workspace=workspace,
        splits=splits,
        base=train_base(splits, seed),
        product=train_product(splits, seed),
        accounts=accounts,
        scope=scope,
        ledger=QueryLedger(scope.max_queries),
        correlation=accounts.correlation(),
    )
    lab.product.save(lab.weights)
    return lab
