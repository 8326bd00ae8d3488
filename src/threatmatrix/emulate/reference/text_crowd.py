"""Honest users of a model that takes texts, and how such a model is served.

Most are people: each has a pool of texts of its own, some much more often than others (Zipf), and now and then sends
the last one again. A few are programs, which send from a small pool at an even pace.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.reference.base import ModelAnswer, Visit
from threatmatrix.emulate.reference.callers import NETWORKS, Caller, calls
from threatmatrix.emulate.target import Rows
from threatmatrix.emulate.text_models import TextModel

__all__ = ["Crowd", "ServedText", "cut"]


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
        pools: dict[str, Rows] = {}
        users = [self._user(number, max(1, clients // 6), pools, rng) for number in range(clients)]
        for call in calls(users, rng=rng, most=4, several=self.several, pause=0.0):
            who = call.caller
            yield Visit(
                at=call.at, account=who.account, user_agent=who.user_agent, address=who.address,
                rows=pools[who.account][call.index],
            )  # fmt: skip

    def _user(self, number: int, scripted: int, pools: dict[str, Rows], rng: np.random.Generator) -> Caller:
        """One user; what it draws from goes into ``pools``."""
        program = number < scripted
        stocks, agents = (self.programs, self.scripts) if program else (self.people, self.agents)
        stock, account = stocks[number % len(stocks)], f"honest-{number + 1:02d}"
        size = min(len(stock), int(rng.integers(3, 9) if program else rng.integers(8, 41)))
        user_agent = agents[int(rng.integers(len(agents)))]
        gap = float(rng.uniform(2.5, 6.0) if program else rng.uniform(*self.gap))
        pools[account] = stock[rng.choice(len(stock), size=size, replace=False)]
        return Caller(
            account=account, user_agent=user_agent,
            address=f"{NETWORKS[number // 250 % len(NETWORKS)]}.{number % 250 + 2}", mean_gap=gap, scripted=program,
            stock=np.arange(size), again=float(rng.uniform(0.02, 0.15)),
        )  # fmt: skip
