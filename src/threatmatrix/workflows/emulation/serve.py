"""A reference target, served behind the gateway on this machine for as long as a block runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from threatmatrix.workflows.reference_server import Server

__all__ = ["secret_of", "served"]


def secret_of(name: str, seed: int) -> bytes:
    """What the gateway's hashes derive from, before a reference target that is served by hand."""
    return hashlib.sha256(json.dumps(["served", name, seed]).encode()).digest()


@contextmanager
def served(
    name: str, seed: int, folder: Path, *, port: int = 0, params: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[str]:
    """Its address. The gateway writes ``<name>.gateway.jsonl`` into the folder, and enforces ``<name>.policy.json``."""
    server = Server(
        name=name,
        app={"reference": name, "seed": seed, "params": dict(params)},
        log=folder / f"{name}.gateway.jsonl",
        policy=folder / f"{name}.policy.json",
        secret=secret_of(name, seed),
        accounts={},
        seed=seed,
        port=port,
        replayed=False,
    )
    with server:
        yield server.url
