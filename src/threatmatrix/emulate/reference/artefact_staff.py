"""Honest users of the artefact store: people who look things up, a training job, a server, builds.

People work from the office (10.0.0.0/8), one visit in seven from elsewhere; they sign in with a second factor, list,
read a few objects, the popular ones more often (from a notebook, every third person in the browser), and sometimes
leave a note under ``scratch``. A training job reads its whole data set, the serving process its weights, builds clone
the code and store a log. Deterministic by seed.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from threatmatrix.emulate.reference.artefact_contents import Furnished
from threatmatrix.emulate.reference.artefact_vault import REPOSITORY, Identity, Vault, secret_of, session_of

__all__ = ["StaffVisit", "honest_staff"]

SECOND = 1_000_000
BROWSERS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_6) AppleWebKit/605.1.15 Version/18.1 Safari/605.1.15",
)
JOB = "Boto3/1.35.10 md/Botocore#1.35.10 ua/2.0 os/linux lang/python#3.11"
GIT = "git/2.43.0"
AWAY = 1 / 7  # of a person's visits
NOTE = 0.2  # of a person's visits
EVERY = {"person": 420.0, "ml-train": 1500.0, "ml-serve": 900.0, "ci": 600.0}
"""Mean seconds between two visits of one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffVisit:
    """One request, ready to send. ``at``: µs since the start.

    ``headers`` hold ``x-api-key`` (not at a sign-in), ``user-agent`` and ``x-forwarded-for``; whoever replays adds
    ``x-event-time``.
    """

    at: int
    account: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


_Step = tuple[str, str, bytes]  # method, path, body
_Visit = Callable[[np.random.Generator], Sequence[_Step]]


@dataclass(frozen=True, slots=True)
class _Worker:
    """Somebody with an own way of working; ``addresses``: the office's, and the one from elsewhere."""

    account: str
    credential: str
    agent: str
    login_agent: str
    addresses: tuple[str, str]
    every: float
    gap: float  # mean seconds between two requests of a visit
    visit: _Visit


def honest_staff(furnished: Furnished, *, seed: int) -> Iterator[StaffVisit]:
    """Requests in order of time, without end."""
    workers = list(_workers(furnished))
    rng = np.random.default_rng([seed, 0x57AF])
    queue: list[tuple[float, int, int, Sequence[_Step], str]] = []
    for number, worker in enumerate(workers):
        heapq.heappush(queue, (float(rng.uniform(0, worker.every)), number, 0, (), ""))
    while True:
        at, number, step, steps, address = heapq.heappop(queue)
        worker = workers[number]
        if step == len(steps):  # the next visit begins
            steps, step, address = worker.visit(rng), 0, worker.addresses[int(rng.random() < AWAY)]
        yield _request(worker, at, address, steps[step])
        last = step + 1 == len(steps)
        gap = float(rng.exponential(worker.every)) if last else 0.05 + float(rng.exponential(worker.gap))
        heapq.heappush(queue, (at + gap, number, step + 1, steps, address))


def _request(worker: _Worker, at: float, address: str, step: _Step) -> StaffVisit:
    method, path, body = step
    headers = {"user-agent": worker.agent, "x-forwarded-for": address, "x-api-key": worker.credential}
    if path.startswith("/users/sign_in"):
        headers = {"user-agent": worker.login_agent, "x-forwarded-for": address}
    return StaffVisit(at=int(at * SECOND), account=worker.account, method=method, path=path, headers=headers, body=body)


def _workers(furnished: Furnished) -> Iterator[_Worker]:
    secret = secret_of(int(furnished.config["seed"]))
    vault = Vault(Path(furnished.config["root"]), secret)
    for number, (name, (password, code)) in enumerate(sorted(furnished.people.items())):
        places = (f"10.20.0.{11 + number}", f"198.51.100.{21 + number}")
        browser = BROWSERS[number % len(BROWSERS)]
        agent = JOB if number % 3 else browser
        form = json.dumps({"account": name, "password": password, "code": code}).encode()
        work = _person(vault, name, form)
        yield _Worker(name, session_of(secret, name), agent, browser, places, EVERY["person"], 4.0, work)
    for number, (name, credential) in enumerate(sorted(furnished.credentials)):
        if name in EVERY:
            here = f"10.30.0.{11 + number}"
            agent = GIT if name == "ci" else JOB
            yield _Worker(name, credential, agent, agent, (here, here), EVERY[name], 0.1, _program(vault, name))


def _person(vault: Vault, name: str, form: bytes) -> _Visit:
    buckets = [b for b in vault.buckets() if vault.may(Identity(name), b, "read") and not b.endswith(REPOSITORY)]
    contents = {bucket: list(vault.objects(bucket)) for bucket in buckets}

    def visit(rng: np.random.Generator) -> Sequence[_Step]:
        bucket = buckets[int(rng.integers(len(buckets)))]
        keys = contents[bucket]
        popular = 1.0 / np.arange(1, len(keys) + 1)
        size = min(len(keys), int(rng.integers(1, 6)))
        chosen = rng.choice(len(keys), size=size, replace=False, p=popular / popular.sum())
        steps = [("POST", "/users/sign_in", form), ("GET", "/storage", b""), ("GET", f"/storage/{bucket}", b"")]
        steps += [("GET", f"/storage/{bucket}/{quote(keys[i])}", b"") for i in chosen]
        if rng.random() < NOTE:
            text = f"{name}: seen {bucket}\n".encode()
            steps.append(("PUT", f"/storage/scratch/{name}/note-{int(rng.integers(10))}.md", text))
        return steps

    return visit


def _program(vault: Vault, name: str) -> _Visit:
    """What a program does each time: all of one kind of file, or a clone."""
    ending = ".safetensors" if name == "ml-serve" else "/part-"
    objects = {b: list(vault.objects(b)) for b in vault.buckets() if not b.endswith(REPOSITORY)}
    reads: list[_Step] = [
        ("GET", f"/storage/{bucket}/{quote(key)}", b"")
        for bucket, keys in objects.items()
        if vault.may(Identity(name), bucket, "read")
        for key in keys
        if ending in key
    ]
    if name == "ci":
        code = next(bucket for bucket in vault.buckets() if bucket.endswith(REPOSITORY))
        reads = [("POST", f"/code/{code}/git-upload-pack", b"{}"), ("PUT", "/storage/scratch/build.log", b"passed\n")]
    return lambda rng: reads
