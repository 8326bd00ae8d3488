"""What one replay works with: data, models, keys, a workspace; all derived from the seed."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.ledger import QueryLedger
from threatmatrix.emulate.reference.digits import DigitSplits, load_splits, train_base, train_product
from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.model.matrix import ReplaySpec
from threatmatrix.model.system import Scope

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
    secret: bytes
    scope: Scope
    ledger: QueryLedger
    correlation: str

    @property
    def weights(self) -> Path:
        return self.workspace / "product.npz"

    def key(self, account: str) -> str:
        """The API key of an account: what a client sends, and the gateway knows by its hash only."""
        return "tmk_" + hmac.new(self.secret, f"account:{account}".encode(), hashlib.sha256).hexdigest()[:40]

    def pool(self, accounts: list[str], *, round_robin: bool = False, per_sample: int = 0) -> AccountPool:
        """A pool of accounts, in order of use; ``per_sample`` of them for each sample alone (0: all for all)."""
        return AccountPool([self.key(name) for name in accounts], round_robin=round_robin, per_sample=per_sample)

    def with_share(self, queries: int) -> Lab:
        """The same lab for another process, with a part of the scope's limit of its own."""
        self.ledger.take(queries)
        return replace(self, ledger=QueryLedger(queries))

    def directory(self, accounts: list[str]) -> dict[str, str]:
        """SHA-256 of each key → the account's name, as the gateway wants it."""
        return {hashlib.sha256(self.key(account).encode()).hexdigest(): account for account in accounts}

    def number(self, name: str) -> float:
        """A number of the case's replay.yaml."""
        return float(self.spec.params[name])


def build_lab(spec: ReplaySpec, workspace: Path, scope: Scope, *, seed: int) -> Lab:
    """Cut the data, train both models and write the product's weights. Raises MissingExtraError."""
    splits = load_splits(seed)
    secret = hashlib.sha256(f"threatmatrix replay, seed {seed}".encode()).digest()
    lab = Lab(
        seed=seed,
        spec=spec,
        workspace=workspace,
        splits=splits,
        base=train_base(splits, seed),
        product=train_product(splits, seed),
        secret=secret,
        scope=scope,
        ledger=QueryLedger(scope.max_queries),
        correlation=str(uuid.UUID(bytes=hashlib.sha256(secret + b"correlation").digest()[:16], version=4)),
    )
    lab.product.save(lab.weights)
    return lab
