"""Own attacks beside ART's and foolbox's: the same samples, the same model, the same budget of queries.

Run: ``python -m benchmarks attacks [--seed=1] [--samples=60]`` (``--seed=1,5``: one after the other); needs the extra
``[crosscheck]`` for the libraries' columns, and says so where it is missing. Each cell: share of the samples whose
final point five fresh queries confirm within the norm, its 95 % interval (Wilson), the median number of queries, and
the CPU seconds for all samples. Everybody stops at the first point within the norm, and at the budget (of a library's
query the part that is paid for is sent). The libraries' settings were chosen for these budgets on other seeds; see
``emulate/crosscheck``. The random control spends the whole budget on draws at the norm.

Then theft of the model: fidelity on digits that nobody asked about or trained on, at equal queries.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # one core, for all alike

import numpy as np  # noqa: E402

from benchmarks.attack_theft import THEFTS, theft  # noqa: E402
from benchmarks.attack_world import THRESHOLDS, World, procedure, share, worlds  # noqa: E402
from threatmatrix.emulate.crosscheck import LIBRARIES, cross_check, cross_checks  # noqa: E402
from threatmatrix.emulate.run import run_procedure  # noqa: E402
from threatmatrix.model.errors import MissingExtraError  # noqa: E402
from threatmatrix.model.evidence import AttackResult, Rate  # noqa: E402
from threatmatrix.remediate.compare import compare, rate  # noqa: E402

BUDGETS = {
    "hop_skip_jump": 600,
    "square": 200,
    "simba": 200,
    "boundary": 600,
    "sign_opt": 600,
    "sur_free": 600,
    "nes": 300,
    "zoo": 300,
}
"""Queries for each sample."""

HANDS = {"own": "own", "art": "ART", "foolbox": "foolbox"}
WIDTH = 31


class Progress:
    """On stderr, one line that is written over: what runs now, and for how long it all has."""

    def __init__(self, total: int) -> None:
        self.done, self.total, self.started = 0, total, time.monotonic()
        self.shown = sys.stderr.isatty()

    def at(self, what: str) -> None:
        self.done += 1
        text = f"{self.done}/{self.total}  {what}  {time.monotonic() - self.started:.0f} s"
        print(f"\r\033[K{text}" if self.shown else text, end="" if self.shown else "\n", file=sys.stderr, flush=True)

    def over(self) -> None:
        if self.shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def own(world: World, use: str, norm: str, seed: int, variant: str = "plain") -> AttackResult:
    return run_procedure(
        procedure(use, norm, BUDGETS[use]), world.target(), world.x, world.y, seed=seed, variant=variant,
        confirm_target=world.target(),
    )  # fmt: skip


def by(hand: str, world: World, use: str, norm: str, seed: int) -> AttackResult | None:
    """Somebody's attack; None where a library has none of the kind. Raises MissingExtraError."""
    if hand == "own":
        return own(world, use, norm, seed)
    if use not in cross_checks(hand):
        return None
    return cross_check(
        procedure(use, norm, BUDGETS[use]), world.target(), world.x, world.y, library=hand, seed=seed,
        confirm_target=world.target(),
    )  # fmt: skip


def leader(rates: dict[str, Rate]) -> str:
    """Who has most confirmed successes; with a star where the interval of own minus the best other leaves out 0."""
    others = {hand: rate for hand, rate in rates.items() if hand != "own"}
    if not others:
        return ""
    best = max(others, key=lambda hand: others[hand].successes)
    gap = compare("own − library", rates["own"], others[best])
    name = "level" if not gap.difference else HANDS["own" if gap.difference > 0 else best]
    return name + ("*" if gap.low > 0 or gap.high < 0 else "")


def row(world: World, use: str, norm: str, seed: int, missing: set[str]) -> str:
    cells, rates = [], {}
    for hand in HANDS:
        started = time.process_time()
        try:
            result = by(hand, world, use, norm, seed)
        except MissingExtraError as error:
            missing.add(str(error))
            result = None
        if result is None:
            cells.append("–")
            continue
        rates[hand] = rate(result.outcomes)
        median = np.median([outcome.queries for outcome in result.outcomes])
        cells.append(f"{share(rates[hand])} @{median:4.0f} {time.process_time() - started:5.1f}s")
    chance = rate(own(world, use, norm, seed, "random-control").outcomes)
    verdict = leader(rates)
    if compare("own − chance", rates["own"], chance).low <= 0:
        verdict = f"{verdict} (own not beyond chance)".strip()
    shown = "".join(f"{text:{WIDTH}}" for text in cells)
    return f"{use:14} {norm:5} {world.name:8} {BUDGETS[use]:4}  {shown}{share(chance):16}{verdict}".rstrip()


def evasions(made: list[World], seed: int, progress: Progress) -> Iterator[str]:
    missing: set[str] = set()
    for use in BUDGETS:
        for norm in THRESHOLDS:
            for world in made:
                progress.at(f"{use} {norm}, {world.name}")
                yield row(world, use, norm, seed, missing)
    yield from sorted(missing)


def thefts(made: list[World], seed: int, progress: Progress) -> Iterator[str]:
    for answers, way, library in THEFTS:
        for world in made:
            progress.at(f"theft by {answers}: {way or library}, {world.name}")
            yield theft(world, answers, way, library, seed)


def report(seed: int, samples: int) -> Iterator[str]:
    """Lines of one seed's tables."""
    made = worlds(seed, samples)
    progress = Progress(len(made) * (len(BUDGETS) * len(THRESHOLDS) + len(THEFTS)))
    yield f"seed {seed}, {samples} samples: confirmed [95 %] @median queries, CPU seconds; L2 ≤ 1, Linf ≤ .15"
    names = "".join(f"{name:{WIDTH}}" for name in ("own", *LIBRARIES.values()))
    yield f"{'attack':14} {'norm':5} {'model':8} {'each':>4}  {names}{'random control':16}most confirmed"
    yield from evasions(made, seed, progress)
    yield f"\nseed {seed}, theft: fidelity [95 %] on {len(made[0].held_out)} held-out digits @queries, CPU seconds"
    yield from thefts(made, seed, progress)
    progress.over()


def option(name: str, default: str) -> list[int]:
    given = [word.partition("=")[2] for word in sys.argv[1:] if word.startswith(f"--{name}=")]
    return [int(part) for part in (given[-1] if given else default).split(",")]


def main() -> int:
    (samples,) = option("samples", "60")
    clear = "\r\033[K" if sys.stderr.isatty() and sys.stdout.isatty() else ""
    for seed in option("seed", "1"):
        print()
        for line in report(seed, samples):
            print(f"{clear}{line}", flush=True)
    print("\n* the 95 % interval of own minus the best library leaves out 0 (Newcombe)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
