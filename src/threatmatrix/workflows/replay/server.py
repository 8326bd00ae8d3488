"""The process that serves a reference target behind the gateway: ``python -m threatmatrix.workflows.replay.server``.

Reads its settings as one JSON object on the first line of standard input, answers with one line, the port, and ends
when standard input closes: it cannot outlive whoever started it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from threatmatrix.model.errors import MissingExtraError, RunError

__all__ = ["Server"]


@dataclass(slots=True)
class Server:
    """A served target, as its starter sees it. A context manager; ``url`` is valid inside the block.

    ``model`` is the weights file; ``accounts`` maps the SHA-256 (hex) of an API key to the account's name;
    ``secret`` is what the gateway's hashes and projections derive from.
    """

    name: str
    model: Path
    log: Path
    policy: Path
    secret: bytes
    accounts: dict[str, str]
    seed: int
    url: str = ""
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        settings = {
            "name": self.name,
            "model": str(self.model),
            "log": str(self.log),
            "policy": str(self.policy),
            "secret": self.secret.hex(),
            "accounts": self.accounts,
            "seed": self.seed,
        }
        # one thread in NumPy: the rows are few, and the same seed must give the same table on every machine
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with self.log.with_suffix(".server.txt").open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "threatmatrix.workflows.replay.server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **threads},
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(settings) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        if not answer.isdigit():
            self.__exit__(None, None, None)
            raise RunError(
                f"the reference server did not start ({answer or 'no answer'})",
                hint=f"Its error output is in {self.log.with_suffix('.server.txt')}",
            )
        self.url = f"http://127.0.0.1:{answer}"
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


def _serve(settings: dict[str, Any]) -> None:
    try:
        import uvicorn
    except ImportError as error:
        raise MissingExtraError("serving the reference target", "emulate") from error
    from threatmatrix.emulate.reference.mlp import MLP
    from threatmatrix.emulate.reference.serving import listen, oip_app
    from threatmatrix.gateway.asgi import Gateway
    from threatmatrix.gateway.config import GatewayConfig, header_clock

    model = MLP.load(Path(settings["model"]))
    app = oip_app(settings["name"], model)
    gateway = Gateway(
        app,
        GatewayConfig(
            system=f"reference-{settings['name']}",
            log_path=Path(settings["log"]),
            policy_path=Path(settings["policy"]),
            secret=bytes.fromhex(settings["secret"]),
            accounts=settings["accounts"],
            seed=settings["seed"],
            clock=header_clock,
            input_range=(0.0, 1.0),
            inputs={settings["name"]: {"input": model.inputs}},
        ),
    )
    listener = listen()
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
