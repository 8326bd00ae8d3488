"""The artefact store beside a reference target: furnished, and served behind a gateway of its own."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.reference.artefact_contents import Furnished, furnish
from threatmatrix.emulate.reference.artefact_store import principals
from threatmatrix.emulate.reference.base import Reference
from threatmatrix.emulate.targets.http import Conduct
from threatmatrix.emulate.targets.store_client import StoreClient
from threatmatrix.model.errors import UsageError
from threatmatrix.model.system import Scope
from threatmatrix.workflows.reference_server import Host, Server

__all__ = ["STORE", "Storehouse"]

STORE = "artefact-store"
"""Its name in a scope."""


class Storehouse:
    """A furnished store. ``logs``: what its audit trail and its front door say, each with its reader.

    Serve it with :meth:`open`; the stack closes it. ``furnished.known``: what the attacker holds of it beforehand.
    ``replayed``: event time and addresses are what clients say. ``host``: the process that serves it; None: its own.
    """

    def __init__(
        self,
        reference: Reference,
        furnishing: str,
        folder: Path,
        *,
        seed: int,
        server_seed: int,
        secret: bytes,
        policy: Path,
        replayed: bool,
        host: Host | None = None,
    ) -> None:
        if reference.weights is None or reference.training is None:
            raise UsageError(
                f"the reference target {reference.name} keeps nothing that a store could hold",
                hint="Use reference:digits",
            )
        self.furnished: Furnished = furnish(
            furnishing,
            folder / "root",
            seed=seed,
            model=reference.weights,
            training=reference.training,
            name=reference.name,
        )
        self.logs = [(folder / "audit.jsonl", "cloudtrail"), (folder / "access.jsonl", "nginx")]
        config = {**self.furnished.config, "replayed": replayed}
        config |= {"audit_log": str(self.logs[0][0]), "access_log": str(self.logs[1][0])}
        self._server = Server(
            name=STORE,
            app={"store": config},
            log=folder / "gateway.jsonl",
            policy=policy,
            secret=secret,
            accounts=principals(config, self.furnished.credentials),
            seed=server_seed,
            replayed=replayed,
            host=host,
        )
        self._last: StoreClient | None = None

    def open(self, stack: ExitStack) -> str:
        """Serve it; its address."""
        self._url = stack.enter_context(self._server).url
        return self._url

    def client(self, stack: ExitStack, scope: Scope, technique: str, conduct: Conduct) -> StoreClient:
        """The attacker's, signed in as the one before it was."""
        mine: Conduct = {**conduct, "accounts": AccountPool([""])}
        client = StoreClient(self._url, STORE, scope, technique, **mine)
        stack.callback(client.close)
        if self._last is not None:
            client.account, client.credential = self._last.account, self._last.credential
        self._last = client
        return client
