"""The process that serves targets behind the gateway: ``python -m threatmatrix.workflows.reference_server``.

Reads one order a line from standard input, as a JSON object: ``{"build": app}`` (get ready to serve it), ``{"serve":
settings}`` (answered with one line, the port), ``{"end": port}``. It ends when standard input closes: it cannot outlive
whoever started it.
"""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from threatmatrix.model.errors import MissingExtraError, RunError

if TYPE_CHECKING:
    from threatmatrix.emulate.reference.base import Reference
    from threatmatrix.gateway.http import App

__all__ = ["Host", "Server"]


class Host:
    """A process that serves targets, one after the other or side by side. A context manager.

    A reference target is built once for all that serve it; each gets a copy of the model as it was built. ``errors``:
    the file of the process's error output.
    """

    def __init__(self, errors: Path) -> None:
        self.errors = errors
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the process, without waiting for it."""
        # one thread in NumPy: the rows are few, and the same seed must give the same table on every machine
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with self.errors.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "threatmatrix.workflows.reference_server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **threads},
            )

    def order(self, **order: Any) -> None:
        """Send one order. Nothing waits; who has gone hears nothing, and is missed when an answer is awaited."""
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()

    def port(self) -> int:
        """Wait for the answer to the earliest order to serve that is unanswered. Raises RunError."""
        assert self._process is not None
        assert self._process.stdout is not None
        answer = self._process.stdout.readline().strip()
        if not answer.isdigit():
            self.close()
            raise RunError(
                f"the reference server did not start ({answer or 'no answer'})",
                hint=f"Its error output is in {self.errors}",
            )
        return int(answer)

    def __enter__(self) -> Self:
        if self._process is None:
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@dataclass(slots=True)
class Server:
    """A served target, as its starter sees it. A context manager; ``url`` is valid inside the block.

    ``app`` says what is served, one of: ``{"weights": file}`` (a digits model's), ``{"reference": name, "seed": …,
    "params": {…}}`` (built again from its seed), ``{"store": {…}}`` (an artefact store). ``accounts`` maps the SHA-256
    (hex) of an API key to the account's name; ``secret`` is what the gateway's hashes and projections derive from.
    ``host``: the process that serves it; None: one of its own.
    """

    name: str
    app: Mapping[str, Any]
    log: Path
    policy: Path
    secret: bytes = field(repr=False)
    accounts: Mapping[str, str]
    seed: int
    port: int = 0  # 0: any that is free
    replayed: bool = True  # event time is what the client says in x-event-time
    host: Host | None = None
    url: str = ""
    _own: Host | None = field(default=None, repr=False)
    _asked: bool = field(default=False, repr=False)
    _port: int = field(default=0, repr=False)

    def start(self) -> None:
        """Have it served; :meth:`ready` waits until it is. Several can so be started at once."""
        settings = {
            "name": self.name,
            "app": self.app,
            "log": str(self.log),
            "policy": str(self.policy),
            "secret": self.secret.hex(),
            "accounts": self.accounts,
            "seed": self.seed,
            "port": self.port,
            "replayed": self.replayed,
        }
        if self.host is None:
            self._own = Host(self.log.with_suffix(".server.txt"))
            self._own.start()
        self._serving.order(serve=settings)
        self._asked = True

    @property
    def _serving(self) -> Host:
        host = self.host or self._own
        assert host is not None
        return host

    def ready(self) -> None:
        """Wait until it serves. Raises RunError where it does not."""
        self._port = self._serving.port()
        self.url = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        if not self._asked:
            self.start()
        self.ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        own, self._own, self._asked = self._own, None, False
        if own is not None:
            own.close()
        elif self._port:
            self._serving.order(end=self._port)


class _Serving:
    """What the process serves at the moment."""

    def __init__(self) -> None:
        self._built: dict[str, Reference] = {}
        self._running: dict[int, tuple[Any, threading.Thread]] = {}

    def build(self, app: Mapping[str, Any]) -> Reference:
        """The reference target, as it is before anybody has asked or taught it."""
        from threatmatrix.emulate.reference import build_reference

        key = json.dumps(app, sort_keys=True)
        if key not in self._built:
            self._built[key] = build_reference(app["reference"], app["seed"], **app["params"])
        built = self._built[key]
        return replace(built, model=copy.deepcopy(built.model))

    def serve(self, settings: Mapping[str, Any]) -> int:
        """Serve a target; the port."""
        try:
            uvicorn = import_module("uvicorn")
        except ImportError as error:
            raise MissingExtraError("serving the reference target", "emulate") from error
        from threatmatrix.emulate.reference.serving import listen

        gateway = _gateway(settings, *self._application(settings["name"], settings["app"]))
        listener = listen(settings["port"])
        config = uvicorn.Config(gateway, access_log=False, log_level="warning", lifespan="off", timeout_keep_alive=300)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        port = int(listener.getsockname()[1])
        self._running[port] = (server, thread)
        thread.start()
        return port

    def end(self, port: int) -> None:
        """Serve it no longer."""
        server, thread = self._running.pop(port)
        server.should_exit = True
        thread.join(timeout=5)

    def close(self) -> None:
        for server, _ in self._running.values():
            server.should_exit = True
        for port in list(self._running):
            self.end(port)

    def _application(
        self, name: str, app: Mapping[str, Any]
    ) -> tuple[App, dict[str, dict[str, int]] | None, tuple[float, float]]:
        """What is served, the inputs that it takes (None: not numbers), and their range."""
        if "weights" in app:
            from threatmatrix.emulate.reference.mlp import MLP
            from threatmatrix.emulate.reference.serving import oip_app

            model = MLP.load(Path(app["weights"]))
            return oip_app(name, model), {name: {"input": model.inputs}}, (0.0, 1.0)
        if "store" in app:
            from threatmatrix.emulate.reference.artefact_store import store_app

            return store_app(app["store"]), None, (0.0, 1.0)
        from threatmatrix.emulate.reference.serving import model_app
        from threatmatrix.gateway.body import TEXTS

        reference = self.build(app)
        inputs = {name: {"input": reference.width or TEXTS}}
        return model_app(reference), inputs, reference.bounds


def _gateway(
    settings: Mapping[str, Any],
    app: App,
    inputs: dict[str, dict[str, int]] | None,
    bounds: tuple[float, float],
) -> App:
    from threatmatrix.gateway.asgi import Gateway
    from threatmatrix.gateway.config import GatewayConfig, header_clock, wall_clock

    return Gateway(
        app,
        GatewayConfig(
            system=f"reference-{settings['name']}",
            log_path=Path(settings["log"]),
            policy_path=Path(settings["policy"]),
            secret=bytes.fromhex(settings["secret"]),
            accounts=settings["accounts"],
            seed=settings["seed"],
            clock=header_clock if settings["replayed"] else wall_clock,
            input_range=bounds,
            inputs=inputs,
        ),
    )


def _obey() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the starter's to answer
    serving = _Serving()
    for line in sys.stdin:
        order = json.loads(line)
        if "build" in order:
            serving.build(order["build"])
        elif "serve" in order:
            sys.stdout.write(f"{serving.serve(order['serve'])}\n")
            sys.stdout.flush()
        else:
            serving.end(order["end"])
    serving.close()


if __name__ == "__main__":
    _obey()
