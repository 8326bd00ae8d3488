"""The ground of an emulation: what is served, the scope, the one ledger, and every client that is needed on it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.ledger import QueryLedger
from threatmatrix.emulate.reference.base import TaughtModel
from threatmatrix.emulate.scope import to_take_back
from threatmatrix.emulate.targets import Conduct, HTTPTarget, ModelForm, OIPClient, TargetSpec, connect, read_form
from threatmatrix.emulate.targets.store_client import StoreClient
from threatmatrix.emulate.undo import Undoer, undoers
from threatmatrix.model.errors import BudgetExhausted, KillSwitchThrown, ScopeError, ThreatmatrixError
from threatmatrix.model.procedure import Procedure
from threatmatrix.model.system import Scope
from threatmatrix.workflows.emulation.request import Prepared, reference_params
from threatmatrix.workflows.emulation.serve import secret_of, served
from threatmatrix.workflows.storehouse import STORE, Storehouse

__all__ = ["Ground"]

_DAY = 86_400_000_000
_TAKING_BACK = "/clean-up"


@dataclass(slots=True)
class Ground:
    """``now``: wall clock, µs. Everything that is opened here is closed by the stack."""

    prepared: Prepared
    folder: Path
    stack: ExitStack
    now: int
    correlation: str = field(default_factory=lambda: str(uuid.uuid4()))
    spec: TargetSpec = field(init=False)
    form: ModelForm = field(init=False)
    scope: Scope = field(init=False)
    ledger: QueryLedger = field(init=False)
    held: dict[str, Any] = field(init=False)
    house: Storehouse | None = None
    _session: tuple[str, str] = ("", "")
    _store: StoreClient | None = None

    def __post_init__(self) -> None:
        """Serve what has to be served, and ask a server of somebody else's what it takes."""
        prepared, request = self.prepared, self.prepared.request
        self.spec, self.form, self.held = request.target, prepared.form, dict(prepared.held)
        if prepared.reference is not None:
            params = reference_params(request.reference)
            url = self.stack.enter_context(served(request.target.model, request.seed, self.folder, params=params))
            self.spec = request.target.served_at(url)
            if prepared.needs_store:
                self._open_store()
        self.scope = prepared.scope or self._own_scope()
        self.ledger = QueryLedger(min(self.scope.max_queries, prepared.plan.queries.total))
        if prepared.reference is None and self.spec.kind in ("oip", "tf"):
            self.form = self._read_form()

    def _open_store(self) -> None:
        prepared = self.prepared
        assert prepared.reference is not None
        name, seed = prepared.reference.name, prepared.request.seed
        self.house = Storehouse(
            prepared.reference,
            prepared.request.furnishing,
            self.folder / "store",
            seed=seed,
            server_seed=seed,
            secret=secret_of(name, seed),
            policy=self.folder / f"{name}.policy.json",
            replayed=False,
        )
        self.house.open(self.stack)
        self.held.update(self.house.furnished.known)

    def _own_scope(self) -> Scope:
        """That of a reference target: this machine, its models, for as long as the process lives."""
        plan = self.prepared.plan
        return Scope(
            owner="threatmatrix emulate", hosts=("127.0.0.1",), models=(self.spec.model, STORE),
            techniques=tuple({procedure.technique for procedure in plan.procedures}),
            max_queries=plan.queries.total, rps=1e6,
            expires=self.now + _DAY, file="the reference target's own scope",
        )  # fmt: skip

    def _read_form(self) -> ModelForm:
        """What the server tells of itself; where it tells nothing, what the samples say."""
        technique = self.prepared.plan.procedures[0].technique
        try:
            found = read_form(
                self.spec, self.scope, technique, class_names=self.form.class_names, **self._conduct("/form")
            )
        except (KillSwitchThrown, BudgetExhausted, ScopeError):
            raise
        except ThreatmatrixError:  # it has no metadata, keeps them to itself, or they leave it open
            if self.ledger.failed:
                raise
            return self.form
        return replace(found, classes=max(found.classes, self.form.classes), bounds=self.form.bounds)

    def _conduct(self, purpose: str) -> Conduct:
        request = self.prepared.request
        conduct: Conduct = {
            "accounts": AccountPool([os.environ[name] for name in request.keys] or [""]),
            "ledger": self.ledger,
            "correlation": self.correlation + purpose,
            "kill_switch": self.folder / "STOP",
        }
        if request.account_header:
            conduct["account_header"] = request.account_header
        return conduct

    def client(self, procedure: Procedure, purpose: str = "") -> HTTPTarget:
        """A client of the model for one procedure. ``purpose``: of one that only measures or takes back."""
        scope = to_take_back(self.scope) if purpose == _TAKING_BACK else self.scope
        conduct = self._conduct(purpose)
        if not purpose:
            conduct["seconds"] = procedure.seconds
            conduct["rps"] = procedure.rps
        client = connect(
            self.spec,
            scope,
            procedure.technique,
            form=self.form,
            template=self.prepared.request.template,
            **conduct,
        )
        self.stack.callback(client.close)
        return client

    def store(self, procedure: Procedure) -> StoreClient | None:
        """A client of the artefact store; None where there is none."""
        if self.house is None:
            return None
        client = self.house.client(self.stack, self.scope, procedure.technique, self._conduct(""))
        client.account, client.credential = self._session
        self._store = client
        return client

    @property
    def session(self) -> tuple[str, str]:
        """Who is signed in to the store, and by what credential."""
        return self._session if self._store is None else (self._store.account, self._store.credential)

    @session.setter
    def session(self, session: tuple[str, str]) -> None:
        self._session, self._store = session, None

    @property
    def logs(self) -> list[tuple[Path, str]]:
        """What the store wrote, each with its reader."""
        return self.house.logs if self.house is not None else []

    @property
    def learns(self) -> bool:
        """Whether users teach the model. Of somebody else's it is not known: the attack finds out."""
        reference = self.prepared.reference
        return reference is None or isinstance(reference.model, TaughtModel)

    def undoers(self) -> Mapping[str, Undoer]:
        """How everything that an attack changes is taken back."""
        procedure = self.prepared.plan.procedures[0]

        def teacher() -> OIPClient:
            client = self.client(procedure, _TAKING_BACK)
            assert isinstance(client, OIPClient), "no other target can be taught"
            return client

        if self.house is None:
            return undoers(teacher=teacher)
        house = self.house

        def store() -> StoreClient:
            scope = to_take_back(self.scope)
            return house.client(self.stack, scope, procedure.technique, self._conduct(_TAKING_BACK))

        return undoers(teacher=teacher, store=store, credential=house.furnished.owner)
