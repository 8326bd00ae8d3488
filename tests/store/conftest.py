"""Each store test runs on SQLite, and on PostgreSQL where its programs and psycopg are at hand."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from threatmatrix.store import Store, open_store

NOW = 1_800_000_000_000_000


def _unprivileged() -> str | None:
    """PostgreSQL refuses to run as root: the user to run it as, None for ourselves."""
    if os.geteuid() != 0:
        return None
    known = {user.pw_name for user in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in known), None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server of our own, on a Unix socket in a directory of its own."""
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed: PostgreSQL is not tested")
    # Debian keeps the server's programs out of the PATH
    places = os.pathsep.join([os.environ.get("PATH", ""), *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])
    programs = {name: shutil.which(name, path=places) for name in ("initdb", "pg_ctl")}
    if not all(programs.values()):
        pytest.skip("initdb and pg_ctl are not installed: PostgreSQL is not tested")
    user = _unprivileged()
    # Not tmp_path: another user must reach it, and a socket's path may not be long.
    home = Path(subprocess.run(["mktemp", "-d"], check=True, capture_output=True, text=True).stdout.strip())
    if user:
        shutil.chown(home, user)
    data = str(home / "data")

    def run(name: str, *arguments: str) -> None:
        subprocess.run([str(programs[name]), *arguments], check=True, user=user, cwd=home, stdout=subprocess.DEVNULL)

    run("initdb", "-D", data, "-U", "tester", "--auth=trust", "-E", "UTF8", "--no-sync")
    options = f"-k {home} -c listen_addresses=''"
    run("pg_ctl", "-D", data, "-w", "-l", str(home / "log"), "-o", options, "start")
    yield f"postgresql://tester@/postgres?host={home}"
    run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    server: str = request.getfixturevalue("postgres")
    import psycopg

    name = f"t{abs(hash(request.node.nodeid))}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with open_store(url, clock=lambda: NOW) as opened:
        yield opened
