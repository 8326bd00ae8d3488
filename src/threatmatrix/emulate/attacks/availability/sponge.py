"""Sponge inputs: texts that cost the model as much work as texts of their length can.

Source: Shumailov, Zhao, Bates, Papernot, Mullins, Anderson, "Sponge Examples: Energy-Latency Attacks on Neural
Networks", 2021, section 4.2 (genetic algorithm, black box). Access: score (a model that says what an answer cost), else
the words that came out, else the time that passed. Cost: the population once for each generation, within the budget.

Parents are joined as in the paper, one's beginning with the other's end, and letters are changed. It starts from
sentences of the attacker's own, cut to length. The control asks as often, for random words of the same length in
bytes; its dearest texts are taken as well.

Result of one text, e.g. ``SampleOutcome(index=0, claimed=True, confirmed=True, queries=20, distance=0.0)``: confirmed
where a fresh answer costs, for each byte, at least ``threshold`` times what a sample's costs on average. Holds
``sponges`` (texts); figures ``cost_ratio``, ``latency_ratio`` (seconds; not the same twice), ``bytes``.
"""

from __future__ import annotations

import string
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from threatmatrix.emulate.attacks.asking import even_shares
from threatmatrix.emulate.stage import Brought, Stage
from threatmatrix.emulate.target import Target, texts
from threatmatrix.model.errors import BudgetExhausted, TargetRefused
from threatmatrix.model.evidence import SampleOutcome

__all__ = ["SpongeParams", "sponge"]

_LETTERS = string.ascii_lowercase + " "
_COPIED, _PIECE = 0.3, 8  # how often a child repeats a piece of itself elsewhere, and its letters


_BARREN = 20


@dataclass(frozen=True, slots=True)
class SpongeParams:
    """Of the genetic algorithm."""

    size: int = 80  # bytes of a text
    population: int = 60
    parents: float = 0.15  # share of a generation that has children
    changes: float = 0.04  # share of the letters that a child gets anew
    rows: int = 20  # texts in a request


@dataclass(slots=True)
class _Costs:
    """What texts cost, asked once each."""

    stage: Stage
    rows: int
    known: dict[str, float] = field(default_factory=dict)
    refused: bool = False
    over: bool = False
    before: int = field(init=False)

    def __post_init__(self) -> None:
        self.before = self.stage.target.queries

    def of(self, population: Sequence[str]) -> None:
        """Ask for those that are not known yet, as far as the budget goes."""
        new = [text for text in dict.fromkeys(population) if text not in self.known]
        while new and not self.over:
            room = self.stage.budget - (self.stage.target.queries - self.before)
            part = new[: max(0, min(self.rows, room))]
            if not part:
                self.over = True
                break
            try:
                self.known |= zip(part, _cost(self.stage.target, part), strict=True)
            except TargetRefused:
                self.refused = self.over = not self.stage.target.accounts.refused()
                continue
            except BudgetExhausted:
                self.over = True
                break
            new = new[len(part) :]

    def dearest(self, n: int) -> list[str]:
        return sorted(self.known, key=lambda text: (-self.known[text], text))[:n]


def sponge(stage: Stage) -> Brought:
    """Search, then measure the dearest texts again; see the module's docstring."""
    params = stage.settings(SpongeParams)
    costs = _Costs(stage, max(1, params.rows))
    asked = stage.target.queries
    if stage.control:
        for _ in _rounds(costs):
            costs.of([_random(params.size, stage.rng) for _ in range(params.population)])
    else:
        _evolve(stage, params, costs)
    found = costs.dearest(len(stage.samples))
    spent = stage.target.queries - asked
    return _measured(stage, found, spent, costs.refused)


def _rounds(costs: _Costs) -> Iterator[None]:
    """Until the budget is used up, or for some rounds nothing came that was not known."""
    barren = 0
    while not costs.over and barren < _BARREN:
        known = len(costs.known)
        yield
        barren = barren + 1 if len(costs.known) == known else 0


def _evolve(stage: Stage, params: SpongeParams, costs: _Costs) -> None:
    rng = stage.rng
    population = [_cut(str(text), params.size, rng) for text in stage.samples.x[: params.population // 2]]
    population += [_random(params.size, rng) for _ in range(params.population - len(population))]
    for _ in _rounds(costs):
        costs.of(population)
        best = costs.dearest(max(2, int(params.parents * params.population)))
        if not best:
            break
        population = [_child(best, params, rng) for _ in range(params.population)]


def _child(parents: Sequence[str], params: SpongeParams, rng: np.random.Generator) -> str:
    """The beginning of one, the end of another, some letters anew or moved along."""
    first, second = (parents[int(rng.integers(len(parents)))] for _ in range(2))
    at = int(rng.integers(1, max(2, params.size)))
    letters = list(first[:at] + second[at:])
    for place in np.flatnonzero(rng.random(params.size) < params.changes):
        letters[int(place)] = _LETTERS[int(rng.integers(len(_LETTERS)))]
    if rng.random() < _COPIED:
        source, to = (int(rng.integers(max(1, params.size - _PIECE))) for _ in range(2))
        letters[to : to + _PIECE] = letters[source : source + _PIECE]
    return "".join(letters[: params.size])


def _random(size: int, rng: np.random.Generator) -> str:
    """Random letters in words of one to nine."""
    words = ""
    while len(words) < size:
        words += "".join(rng.choice(list(string.ascii_lowercase), int(rng.integers(1, 10)))) + " "
    return words[:size]


def _cut(text: str, size: int, rng: np.random.Generator) -> str:
    """A sentence at exactly this length in bytes."""
    plain = "".join(letter for letter in text.lower() if letter in _LETTERS)
    return (plain + " " + _random(size, rng))[:size]


def _cost(target: Target, population: Sequence[str]) -> list[float]:
    """Operations that the model reports, else words that came out, else seconds."""
    started = time.perf_counter()
    answer = target.ask(texts(population), want_scores=True)
    seconds = time.perf_counter() - started
    if answer.scores is not None:
        return [float(cost) for cost in answer.scores[:, 0]]
    if answer.texts is not None:
        return [float(len(text.split())) for text in answer.texts]
    return [seconds / len(population)] * len(population)


def _timed(target: Target, population: Sequence[str], rows: int) -> tuple[list[float], float]:
    """Costs, and the seconds for all."""
    started = time.perf_counter()
    costs = [
        cost for start in range(0, len(population), rows) for cost in _cost(target, population[start : start + rows])
    ]
    return costs, time.perf_counter() - started


def _measured(stage: Stage, found: Sequence[str], spent: int, refused: bool) -> Brought:
    plain = [str(text) for text in stage.samples.x]
    usual, plain_seconds = _timed(stage.judge, plain, 20)
    costs, seconds = _timed(stage.judge, found, 20)
    size = sum(len(text.encode()) for text in plain)
    each = sum(usual) / size  # of a byte
    outcomes = tuple(
        SampleOutcome(
            index=at, claimed=True, queries=share, distance=0.0, refused=refused,
            confirmed=cost / len(text.encode()) >= stage.threshold * each,
        )
        for at, (text, cost, share) in enumerate(zip(found, costs, even_shares(spent, len(found)), strict=True))
    )  # fmt: skip
    length = sum(len(text.encode()) for text in found)
    figures = {"cost_ratio": sum(costs) / max(length, 1) / each, "bytes": length / max(len(found), 1)}
    if plain_seconds > 0 and length:
        figures["latency_ratio"] = (seconds / length) / (plain_seconds / size)
    return Brought(outcomes=outcomes, holds={"sponges": tuple(found)}, figures=figures)
