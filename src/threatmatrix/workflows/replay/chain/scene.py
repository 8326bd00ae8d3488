"""A scene: the target behind its gateway, a store beside it where the case has one, honest users, and a clock."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.reference.artefact_staff import honest_staff
from threatmatrix.emulate.reference.base import Visit
from threatmatrix.emulate.target import Store
from threatmatrix.emulate.targets import Conduct, OIPClient
from threatmatrix.gateway.policy import load_snapshot
from threatmatrix.model.event import Event
from threatmatrix.model.procedure import Procedure
from threatmatrix.workflows.reference_server import Server
from threatmatrix.workflows.replay.chain.lab import START, ChainLab
from threatmatrix.workflows.replay.chain.street import Street, errand_of, of_model, of_store
from threatmatrix.workflows.storehouse import Storehouse

__all__ = ["ATTACKER", "Scene", "is_measuring"]

_SECOND = 1_000_000
_OUTSIDE = "203.0.113."  # RFC 5737
_AUDITORS = tuple(f"auditor-{number:02d}" for number in range(1, 61))
"""Accounts that measure effects by fresh queries; so many, that no budget of an account ever stands against it."""
_AUDIT = "auditor"
ATTACKER = "mallory"


class Scene:
    """One served target with its own logs and policy. A context manager.

    The attacker's requests turn the clock: before each one the honest visits that have fallen due are sent, so both
    alternate by a seeded timetable, and after every ``tick_events`` rows ``on_tick`` is called.
    """

    def __init__(self, lab: ChainLab, name: str, accounts: Sequence[str], *, seed: int) -> None:
        self._lab = lab
        self.name = name
        self._rng = np.random.default_rng([lab.seed, seed, 0x5CE7E])
        self._seed = lab.seed * 1000 + seed
        clients = int(lab.number("honest_clients"))
        self._honest = [f"honest-{number:02d}" for number in range(1, clients + 1)]
        self.accounts = [*accounts, *_AUDITORS, *self._honest]
        self.policy = lab.workspace / f"{name}.policy.json"
        self.logs: list[tuple[Path, str]] = [(lab.workspace / f"{name}.jsonl", "gateway")]
        self.now = START
        self.on_tick: Callable[[], object] | None = None
        self._rows = 0
        self._storehouse: Storehouse | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self) -> None:
        lab = self._lab
        server = Server(
            name=lab.spec.target,
            app=lab.app,
            log=self.logs[0][0],
            policy=self.policy,
            secret=lab.accounts.secret,
            accounts=lab.accounts.directory(self.accounts),
            seed=self._seed,
            host=lab.host,
        )
        self.url = self._stack.enter_context(server).url
        visits = lab.reference.honest(clients=len(self._honest), seed=self._seed)
        errands = of_model(visits, lab.spec.target, lab.accounts.key)
        self.streets = [Street(self.url, errands, start=self.now, pace=lab.number("honest_pace"))]
        self._stack.callback(self.streets[0].close)
        if lab.spec.store:
            self._open_store()

    def _open_store(self) -> None:
        """The artefact store beside the model, and its staff."""
        lab = self._lab
        house = Storehouse(
            lab.reference,
            str(lab.settings["furnishing"]),
            lab.workspace / f"{self.name}.store",
            seed=lab.seed,
            server_seed=self._seed,
            secret=lab.accounts.secret,
            policy=self.policy,
            replayed=True,
            host=lab.host,
        )
        url = house.open(self._stack)
        staff = of_store(honest_staff(house.furnished, seed=self._seed))
        self.streets.append(Street(url, staff, start=self.now))
        self._stack.callback(self.streets[-1].close)
        self.logs += house.logs
        self._storehouse = house

    @property
    def known(self) -> dict[str, Any]:
        """What the attacker holds at the beginning."""
        stored = self._storehouse.furnished.known if self._storehouse is not None else {}
        return {**self._lab.reference.known, **stored}

    @property
    def honest_sent(self) -> int:
        """Requests of honest users."""
        return sum(street.sent for street in self.streets)

    @property
    def honest_refused(self) -> int:
        """Those that were refused."""
        return sum(street.refused for street in self.streets)

    def visit(self, visit: Visit) -> None:
        """One honest visit, now."""
        self.streets[0].send(errand_of(visit, self._lab.spec.target, self._lab.accounts.key), self.now)

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
            self._count(sum(street.until(self.now) for street in self.streets))

    def attacker(self, procedure: Procedure, pool: AccountPool) -> OIPClient:
        """The attacker's client, within the scope, on this scene's clock, from an address for each account."""
        return self._client(procedure, pool, self._lab.accounts.correlation(), before=self._before)

    def auditor(self, procedure: Procedure) -> OIPClient:
        """A client that measures: another correlation, and time stands still for it."""
        pool = self._lab.accounts.pool(_AUDITORS, round_robin=True)
        return self._client(procedure, pool, self._lab.accounts.correlation(_AUDIT), before=lambda rows: None)

    def _client(
        self, procedure: Procedure, pool: AccountPool, correlation: str, *, before: Callable[[int], None]
    ) -> OIPClient:
        lab, reference = self._lab, self._lab.reference
        conduct: Conduct = {**self._conduct(correlation, before), "accounts": pool}
        client = OIPClient(
            self.url,
            lab.spec.target,
            lab.scope,
            procedure.technique,
            input_shape=() if reference.width is None else (reference.width,),
            classes=len(reference.classes),
            bounds=reference.bounds,
            gives_text=lab.gives_text,
            **conduct,
        )
        self._stack.callback(client.close)
        return client

    def store(self, procedure: Procedure) -> Store | None:
        """The attacker's client of the artefact store; None where the case has none."""
        if self._storehouse is None:
            return None
        conduct = self._conduct(self._lab.accounts.correlation(), self._before)
        return self._storehouse.client(self._stack, self._lab.scope, procedure.technique, conduct)

    def _conduct(self, correlation: str, before: Callable[[int], None]) -> Conduct:
        return {
            "address": _address,
            "ledger": self._lab.ledger,
            "correlation": correlation,
            "before_request": before,
            "after_request": self._count,
            "clock": lambda: self.now,
            "pause": self.pass_time,
            "kill_switch": self._lab.workspace / "STOP",
        }

    def _before(self, rows: int) -> None:
        del rows
        self.now += int((0.2 + self._rng.exponential(self._lab.number("attack_gap"))) * _SECOND)
        self._count(sum(street.until(self.now) for street in self.streets))

    def _count(self, rows: int) -> None:
        self._rows += rows
        if self.on_tick is not None and self._rows >= self._lab.number("tick_events"):
            self._rows = 0
            self.on_tick()


def is_measuring(lab: ChainLab) -> Callable[[Event], bool]:
    """Whether an event is of an auditor. Nobody attacks there, so no detector sees it, and none is helped by it."""
    mark = lab.accounts.correlation(_AUDIT)
    return lambda event: mark in (event.user_agent or "")


def _address(key: str) -> str:
    """An address of the documentation range for an account: the same key, the same address."""
    return f"{_OUTSIDE}{int(hashlib.sha256(key.encode()).hexdigest()[:4], 16) % 250 + 2}"
