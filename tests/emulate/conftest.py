"""A small web server that says what a test tells it to, and the targets that speak to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.emulate.small_server import Web, small_server
from tests.emulate.target_kinds import ANSWERS, KINDS


@pytest.fixture(scope="module")
def server() -> Iterator[Web]:
    with small_server() as web:
        yield web


@pytest.fixture
def web(server: Web) -> Web:
    return server.renewed()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, web: Web) -> str:
    """Each protocol in turn, with a server that answers as it should."""
    web.say = lambda path, body: (200, {}, ANSWERS[request.param])
    return str(request.param)
