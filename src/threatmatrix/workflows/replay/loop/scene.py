"""A scene: the product served behind its gateway, honest clients around it, and a clock that somebody else turns."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from types import TracebackType
from typing import Self

import numpy as np

from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.reference.digits import CLASSES, INPUTS
from threatmatrix.emulate.reference.honest import honest_clients, honest_requests
from threatmatrix.emulate.run import Hands, run_procedure
from threatmatrix.emulate.target import FloatArray, IntArray
from threatmatrix.emulate.targets import OIPClient
from threatmatrix.gateway.policy import load_snapshot
from threatmatrix.model.evidence import AttackResult, Rate
from threatmatrix.model.procedure import Procedure
from threatmatrix.model.response import PolicyEntry, PolicySnapshot
from threatmatrix.remediate.compare import wilson
from threatmatrix.workflows.reference_server import Server
from threatmatrix.workflows.replay.loop.lab import START, Lab
from threatmatrix.workflows.replay.loop.street import Street

__all__ = ["Scene"]

_SECOND = 1_000_000


class Scene:
    """One served product with its own log and policy. A context manager.

    The attacker's requests turn the clock: before each one the honest requests that have fallen due are sent, so
    both alternate by a seeded timetable, and after every ``tick_events`` rows ``on_tick`` is called. ``honest`` False:
    the attacker is alone on the road.
    """

    def __init__(self, lab: Lab, name: str, accounts: Sequence[str], *, seed: int, honest: bool = True) -> None:
        self._lab = lab
        self.name = name
        self._rng = np.random.default_rng([lab.seed, seed, 0x5CE7E])
        clients = int(lab.number("honest_clients")) if honest else 0
        self._clients = honest_clients(clients, len(lab.splits.honest), seed=lab.seed)
        self._honest_seed = lab.seed * 1000 + seed
        self.accounts = sorted({*accounts, *(client.account for client in self._clients)})
        self.log = lab.workspace / f"{name}.jsonl"
        self.policy = lab.workspace / f"{name}.policy.json"
        self.now = START
        self.on_tick: Callable[[], object] | None = None
        self._rows = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        lab = self._lab
        server = Server(
            name=lab.spec.target,
            app={"weights": str(lab.weights)},
            log=self.log,
            policy=self.policy,
            secret=lab.accounts.secret,
            accounts=lab.accounts.directory(self.accounts),
            seed=self._honest_seed,
        )
        self.url = self._stack.enter_context(server).url
        traffic = honest_requests(lab.splits.honest.x, self._clients, seed=self._honest_seed)
        self.street = Street(
            self.url, lab.spec.target, traffic, lab.accounts.key, start=self.now, pace=lab.number("honest_pace")
        )
        self._stack.callback(self.street.close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def enforce(self, entry: PolicyEntry) -> None:
        """Put one fixed entry in force, for measuring a control by itself."""
        snapshot = PolicySnapshot(version=1, published_at=self.now, entries=(entry,))
        draft = self.policy.with_suffix(".tmp")
        draft.write_text(json.dumps(asdict(snapshot)))
        draft.replace(self.policy)

    def blocked(self) -> list[str]:
        """The principals that the policy blocks now."""
        snapshot = load_snapshot(self.policy)
        entries = snapshot.entries if snapshot else ()
        return [entry.principal for entry in entries if entry.kind == "block" and entry.principal is not None]

    def pass_time(self, seconds: float) -> None:
        """Nothing but honest traffic for a while."""
        end = self.now + int(seconds * _SECOND)
        step = 10 * _SECOND
        while self.now < end:
            self.now = min(self.now + step, end)
            self._count(self.street.until(self.now))

    def target(self, technique: str, pool: AccountPool) -> OIPClient:
        """The attacker's client, within the scope, on this scene's clock."""
        lab = self._lab
        client = OIPClient(
            self.url,
            lab.spec.target,
            lab.scope,
            technique,
            input_shape=(INPUTS,),
            classes=CLASSES,
            accounts=pool,
            ledger=lab.ledger,
            correlation=lab.correlation,
            before_request=self._before,
            after_request=self._count,
            clock=lambda: self.now,
            pause=self.pass_time,
            kill_switch=lab.workspace / "STOP",
        )
        self._stack.callback(client.close)
        return client

    def attack(
        self,
        procedure: Procedure,
        variant: str,
        pool: AccountPool,
        auditors: Sequence[str],
        samples: tuple[FloatArray, IntArray],
        *,
        budgets: Sequence[int] | None = None,
    ) -> AttackResult:
        """Run one procedure; each sample is confirmed from an auditor account of its own."""
        lab = self._lab
        return run_procedure(
            procedure,
            self.target(procedure.technique, pool),
            *samples,
            seed=lab.seed,
            variant=variant,
            confirm_target=self.target(procedure.technique, lab.accounts.pool(list(auditors), round_robin=True)),
            budgets=budgets,
            hands=Hands(held={"surrogate": lab.base}),
        )

    def clean_accuracy(self, accounts: Sequence[str]) -> Rate:
        """Accuracy over HTTP on the honest images, each sent once; ``accounts`` take turns at ten images each."""
        part = self._lab.splits.honest
        right = asked = 0
        for turn, start in enumerate(range(0, len(part), 10)):
            account, rows = accounts[turn % len(accounts)], slice(start, start + 10)
            labels = self.street.send(account, "DigitsApp/2.3 (Android 14)", part.x[rows], self.now)
            if labels is not None:
                right += int(np.count_nonzero(labels == part.y[rows]))
                asked += len(labels)
        return wilson(right, asked)

    def _before(self, rows: int) -> None:
        del rows
        self.now += int((0.2 + self._rng.exponential(self._lab.number("attack_gap"))) * _SECOND)
        self._count(self.street.until(self.now))

    def _count(self, rows: int) -> None:
        self._rows += rows
        if self.on_tick is not None and self._rows >= self._lab.number("tick_events"):
            self._rows = 0
            self.on_tick()
