"""The process that serves a replay's target behind the gateway: ``python -m threatmatrix.workflows.reference_server``.

Reads its settings as one JSON object on the first line of standard input, answers with one line, the port, and ends
when standard input closes: it cannot outlive whoever started it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from threatmatrix.model.errors import MissingExtraError, RunError

if TYPE_CHECKING:
    from threatmatrix.gateway.http import App

__all__ = ["Server"]


@dataclass(slots=True)
class Server:
    """A served target, as its starter sees it. A context manager; ``url`` is valid inside the block.

    ``app`` says what is served, one of: ``{"weights": file}`` (a digits model's), ``{"reference": name, "seed": …,
    "params": {…}}`` (built again from its seed), ``{"store": {…}}`` (an artefact store). ``accounts`` maps the SHA-256
    (hex) of an API key to the account's name; ``secret`` is what the gateway's hashes and projections derive from.
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
    url: str = ""
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start the process; :meth:`ready` waits until it serves. Several can so be started at once."""
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
        # one thread in NumPy: the rows are few, and the same seed must give the same table on every machine
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with self.log.with_suffix(".server.txt").open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "threatmatrix.workflows.reference_server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **threads},
            )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(settings) + "\n")
        self._process.stdin.flush()

    def ready(self) -> None:
        """Wait until it serves. Raises RunError where it does not."""
        assert self._process is not None
        assert self._process.stdout is not None
        answer = self._process.stdout.readline().strip()
        if not answer.isdigit():
            self.__exit__(None, None, None)
            raise RunError(
                f"the reference server did not start ({answer or 'no answer'})",
                hint=f"Its error output is in {self.log.with_suffix('.server.txt')}",
            )
        self.url = f"http://127.0.0.1:{answer}"

    def __enter__(self) -> Self:
        if self._process is None:
            self.start()
        self.ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _application(
    name: str, app: Mapping[str, Any]
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
    from threatmatrix.emulate.reference import build_reference
    from threatmatrix.emulate.reference.serving import model_app
    from threatmatrix.gateway.body import TEXTS

    reference = build_reference(app["reference"], app["seed"], **app["params"])
    inputs = {name: {"input": reference.width or TEXTS}}
    return model_app(reference), inputs, reference.bounds


def _serve(settings: dict[str, Any]) -> None:
    try:
        import uvicorn
    except ImportError as error:
        raise MissingExtraError("serving the reference target", "emulate") from error
    from threatmatrix.emulate.reference.serving import listen
    from threatmatrix.gateway.asgi import Gateway
    from threatmatrix.gateway.config import GatewayConfig, header_clock, wall_clock

    app, inputs, bounds = _application(settings["name"], settings["app"])
    gateway = Gateway(
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
    listener = listen(settings["port"])
    config = uvicorn.Config(gateway, access_log=False, log_level="warning", lifespan="off", timeout_keep_alive=300)
    server = uvicorn.Server(config)

    def stop_with_starter() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=stop_with_starter, daemon=True).start()
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    server.run(sockets=[listener])


if __name__ == "__main__":
    _serve(json.loads(sys.stdin.readline()))
