"""Own attacks beside ART's and foolbox's: the same samples, the same model, the same budget of queries.

Run: ``python -m benchmarks attacks [--seed=1] [--samples=60]`` (``--seed=1,5``: one after the other); needs the extra
``[crosscheck]`` for the libraries' columns, and says so where it is missing. Each cell: share of the samples whose
final point five fresh queries confirm within the norm, the median number of queries, and the seconds for all samples.
Everybody stops at the first point within the norm, and at the budget (of a library's query the part that is paid for
is sent). The libraries' settings were chosen for these budgets on other seeds; see ``emulate/crosscheck``.

Then theft of the model: fidelity on digits that nobody attacked or trained on, at equal queries.
"""

from __future__ import annotations

import os
import sys
import time

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # one core, for all alike

import numpy as np  # noqa: E402

from benchmarks.attack_theft import thefts  # noqa: E402
from benchmarks.attack_world import THRESHOLDS, World, procedure, worlds  # noqa: E402
from threatmatrix.emulate.crosscheck import LIBRARIES, cross_check, cross_checks  # noqa: E402
from threatmatrix.emulate.run import run_procedure  # noqa: E402
from threatmatrix.model.errors import MissingExtraError  # noqa: E402
from threatmatrix.model.evidence import AttackResult  # noqa: E402

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


def cell(result: AttackResult, seconds: float) -> str:
    outcomes = result.outcomes
    rate = np.mean([outcome.confirmed for outcome in outcomes])
    return f"{rate:.2f} @{np.median([outcome.queries for outcome in outcomes]):4.0f} {seconds:5.1f}s"


def own(world: World, use: str, norm: str, seed: int, variant: str = "plain") -> AttackResult:
    return run_procedure(
        procedure(use, norm, BUDGETS[use]), world.target(), world.x, world.y, seed=seed, variant=variant,
        confirm_target=world.target(),
    )  # fmt: skip


def by(library: str, world: World, use: str, norm: str, seed: int) -> AttackResult | None:
    """The same by a library; None where it has no such attack. Raises MissingExtraError."""
    if use not in cross_checks(library):
        return None
    return cross_check(
        procedure(use, norm, BUDGETS[use]), world.target(), world.x, world.y, library=library, seed=seed,
        confirm_target=world.target(),
    )  # fmt: skip


def row(world: World, use: str, norm: str, seed: int, missing: set[str]) -> str:
    cells = []
    for hand in ("own", *LIBRARIES):
        started = time.process_time()
        try:
            result = own(world, use, norm, seed) if hand == "own" else by(hand, world, use, norm, seed)
        except MissingExtraError as error:
            missing.add(str(error))
            result = None
        cells.append("–" if result is None else cell(result, time.process_time() - started))
    chance = own(world, use, norm, seed, "random-control")
    cells.append(f"{np.mean([outcome.confirmed for outcome in chance.outcomes]):.2f}")
    return f"{world.name:8} {use:14} {norm:5} {BUDGETS[use]:4}  " + "  ".join(f"{text:18}" for text in cells)


def evasions(world: World, seed: int) -> None:
    missing: set[str] = set()
    for use in BUDGETS:
        for norm in THRESHOLDS:
            print(row(world, use, norm, seed, missing), flush=True)
    for text in sorted(missing):
        print(text)


def option(name: str, default: str) -> list[int]:
    given = [word.partition("=")[2] for word in sys.argv[1:] if word.startswith(f"--{name}=")]
    return [int(part) for part in (given[-1] if given else default).split(",")]


def main() -> int:
    (samples,) = option("samples", "60")
    for seed in option("seed", "1"):
        print(f"\nseed {seed}, {samples} samples: confirmed @median queries, CPU seconds; L2 ≤ 1, Linf ≤ .15")
        print(f"{'model':8} {'attack':14} {'norm':5} {'each':>4}  " + "  ".join(
            f"{name:18}" for name in ("own", *LIBRARIES.values(), "random control")
        ))  # fmt: skip
        made = worlds(seed, samples)
        for world in made:
            evasions(world, seed)
        for world in made:
            for line in thefts(world, seed):
                print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
