"""Honest visitors of the two services on faces; deterministic by seed.

Identification: doors and desks of offices, each of which sees the same few people again and again, and now and then
somebody whom the service does not know; a few programs go through staff pictures. Verification: counters of an office
at which people prove who they are, each now and then, and one in ten at once again. Nobody's take is ever the same
twice; a picture is sent twice where a visitor is impatient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from threatmatrix.emulate.reference.base import Visit
from threatmatrix.emulate.reference.callers import Caller
from threatmatrix.emulate.reference.face_drawing import draw, moments
from threatmatrix.emulate.reference.face_takes import claims, live_takes
from threatmatrix.emulate.reference.honest import honest_clients, honest_requests
from threatmatrix.emulate.target import FloatArray, IntArray

__all__ = ["identification_visits", "verification_visits"]

STAFF = 6
"""People whom one office sees."""
TAXPAYERS = 15
"""People who come to one counter."""
STRANGER = 0.04
RESEND, AGAIN = 0.05, 0.1
APPS = ("TaxApp/4.1 (Android 14)", "TaxApp/4.1 (iPhone; iOS 18.1)", "TaxApp/4.0 (Android 12)")


def identification_visits(enrolled: FloatArray, strangers: FloatArray, *, clients: int, seed: int) -> Iterator[Visit]:
    """Photographs of staff, and of strangers at the door."""
    rng = np.random.default_rng([seed, 0xD00])
    last: dict[str, FloatArray] = {}
    for at, client, index in _requests(len(enrolled), STAFF, clients=clients, seed=seed):
        if client.account not in last or rng.random() >= RESEND:
            faces = enrolled[index]
            if rng.random() < STRANGER:
                faces = strangers[rng.integers(len(strangers), size=1)]
            last[client.account] = draw(faces, moments(len(faces), rng), rng)
        yield Visit(
            at=at, account=client.account, user_agent=client.user_agent,
            address=_address(client.account), rows=last[client.account],
        )  # fmt: skip


def verification_visits(enrolled: FloatArray, frames: int, *, clients: int, seed: int) -> Iterator[Visit]:
    """Live takes of people under their own names, one a visit of a counter."""
    rng = np.random.default_rng([seed, 0xD01])
    last: dict[str, IntArray] = {}
    for at, client, _ in _requests(len(enrolled), TAXPAYERS, clients=clients, seed=seed):
        if client.account not in last or rng.random() >= AGAIN:
            last[client.account] = rng.choice(client.stock, size=1)
        person = last[client.account]
        rows = claims(live_takes(enrolled[person], frames, rng), person, len(enrolled))
        app = APPS[int(client.account[-2:]) % len(APPS)]
        yield Visit(at=at, account=client.account, user_agent=app, address=_address(client.account), rows=rows)


def _requests(people: int, each: int, *, clients: int, seed: int) -> Iterator[tuple[int, Caller, IntArray]]:
    """When, who asks, and about whom; every client knows so many of the people."""
    rng = np.random.default_rng([seed, 0xD02])
    who = [
        replace(client, stock=rng.choice(people, size=min(each, people), replace=False).astype(np.int64))
        for client in honest_clients(clients, people, seed=seed)
    ]
    by_account = {client.account: client for client in who}
    for request in honest_requests(np.zeros((people, 1)), who, seed=seed):
        yield request.offset_us, by_account[request.account], request.index


def _address(account: str) -> str:
    """One address for each account."""
    return f"198.51.100.{int(account.rpartition('-')[2]) % 250 + 1}"
