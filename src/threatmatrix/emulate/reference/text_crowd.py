"""Honest users of a model that takes texts, and how such a model is served.

Most are people: each has a pool of texts of its own, some much more often than others (Zipf), and now and then sends
the last one again. A few are programs, which send from a small pool at an even pace.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.reference.base import ModelAnswer, Visit
from threatmatrix.emulate.target import Rows
from threatmatrix.emulate.text_models import TextModel

__all__ = ["Crowd", "ServedText", "cut"]

SECOND = 1_000_000
NETS = ("198.51.100", "203.0.113", "192.0.2")


@dataclass(frozen=True, slots=True)
class ServedText:
    """A classifier of texts as a server asks it: the label and a probability for each class."""

    model: TextModel

    def answer(self, rows: Rows) -> ModelAnswer:
        if any(not isinstance(text, str) for text in rows):
            raise ValueError("each row must be a text")
        scores = self.model.scores(rows)
        return ModelAnswer(np.argmax(scores, axis=1).astype(np.int64), scores)


def cut(rows: Rows, *sizes: int) -> list[Rows]:
    """Rows in disjoint parts of these sizes, in order; raises ValueError where they are too few."""
    if sum(sizes) > len(rows):
        raise ValueError(f"{len(rows)} rows do not make parts of {sizes}")
    return np.split(rows, np.cumsum(sizes))[: len(sizes)]


@dataclass(frozen=True, slots=True)
class _User:
    account: str
    user_agent: str
    address: str
    program: bool
    gap: float  # seconds, in the mean
    pool: Rows
    again: float  # chance that the last text is sent again


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Who sends what. ``people`` and ``programs`` are stocks: each user draws a pool of its own from one of them."""

    people: tuple[Rows, ...]
    programs: tuple[Rows, ...]
    agents: tuple[str, ...]
    scripts: tuple[str, ...]
    gap: tuple[float, float] = (5.0, 40.0)  # of people, seconds
    several: float = 0.1  # chance that a person sends two to four texts at once

    def __call__(self, *, clients: int, seed: int) -> Iterator[Visit]:
        """Visits in order of time, without end."""
        rng = np.random.default_rng([seed, 0x7EC0])
        users = [self._user(number, max(1, clients // 6), rng) for number in range(clients)]
        last: dict[int, Rows] = {}
        heap = [(int(rng.uniform(0, user.gap) * SECOND), i) for i, user in enumerate(users)]
        heapq.heapify(heap)
        while heap:
            at, number = heapq.heappop(heap)
            user = users[number]
            rows = last.get(number)
            if rows is None or rng.random() >= user.again:
                rows = last[number] = self._choose(user, rng)
            yield Visit(at=at, account=user.account, user_agent=user.user_agent, address=user.address, rows=rows)
            wait = max(2.0, rng.normal(user.gap, 0.2)) if user.program else 0.2 + rng.exponential(user.gap)
            heapq.heappush(heap, (at + int(wait * SECOND), number))

    def _user(self, number: int, scripted: int, rng: np.random.Generator) -> _User:
        program = number < scripted
        stocks, agents = (self.programs, self.scripts) if program else (self.people, self.agents)
        stock = stocks[number % len(stocks)]
        size = min(len(stock), int(rng.integers(3, 9) if program else rng.integers(8, 41)))
        return _User(
            account=f"honest-{number + 1:02d}",
            user_agent=agents[int(rng.integers(len(agents)))],
            address=f"{NETS[number // 250 % len(NETS)]}.{number % 250 + 2}",
            program=program,
            gap=float(rng.uniform(2.5, 6.0) if program else rng.uniform(*self.gap)),
            pool=stock[rng.choice(len(stock), size=size, replace=False)],
            again=float(rng.uniform(0.02, 0.15)),
        )

    def _choose(self, user: _User, rng: np.random.Generator) -> Rows:
        """One text, or a few; the r-th of the pool with probability ~ 1/r."""
        weight = 1.0 / np.arange(1, len(user.pool) + 1)
        few = not user.program and rng.random() < self.several
        size = min(int(rng.integers(2, 5)), len(user.pool)) if few else 1
        return user.pool[rng.choice(len(user.pool), size=size, replace=False, p=weight / weight.sum())]
